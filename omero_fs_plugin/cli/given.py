"""The files that PATHs on the command line stand for."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from omero_fs_plugin.accounts import NoAnswer
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.disks.calls import Call
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.settling.handover import Given, Left
from omero_fs_plugin.dropbox.targets.sidecar import is_sidecar
from omero_fs_plugin.dropbox.watching.rescan import oddity_at, store_over, walk
from omero_fs_plugin.errors import ConfigurationError, ImportRefused
from omero_fs_plugin.events import regular_stat
from omero_fs_plugin.names import why_not_utf8
from omero_fs_plugin.site import printable
from omero_fs_plugin.stores import is_store

from .below import is_there


def files(
    path: str, user: str | None, places: Places, left: list[Left], call: Call | None = None
) -> list[Given]:
    """The files that `path` stands for.  Raises for a wrong path, before anything is done.

    `call` is the call to its disk.
    """
    named = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link
    if not is_there(str(named)):
        raise ConfigurationError(f"{printable(path)}: there is no such file or directory")
    below = _below_watch_dir(named, [rule.watch_dir for rule in places.rules])
    is_directory = named.is_dir() and not named.is_symlink()
    store = _store(path, str(below), places)
    if store is not None:
        found = [store]
    elif is_directory:
        found = [
            met
            for met in walk(
                str(below),
                lambda where, why: left.append(Left((where,), why, bool(oddity_at(where)))),
                call=call,
            )
            if not is_sidecar(met.path)
        ]
    else:
        found = [_one_file(path, str(below))]
    given = []
    for met in found:
        if wrong := why_not_utf8(met.path):
            raise ConfigurationError(f"{printable(met.path)}: {wrong}")
        try:
            place = places.of(met.path, met.stat)
        except NoAnswer as error:
            raise ConfigurationError(f"{printable(met.path)}: {error.strerror}") from error
        if user is None and place is None:
            watched = ", ".join(str(rule.watch_dir) for rule in places.rules)
            if places.place(met.path) is not None:
                why = places.nobodys(met.path, met.stat).removeprefix("waits: ")
                raise ConfigurationError(
                    f"{printable(met.path)}: {why}, or say whose it is with --user"
                )
            raise ConfigurationError(
                f"{printable(met.path)}: lies in no user's directory below "
                f"{watched}: say whose it is with --user"
            )
        if place is not None and place.user == (user or place.user):
            owner, root = place.user, place.root
        else:
            owner = user or ""
            root = str(below if is_directory else below.parent)
            if is_store(met.path):
                root = str(Path(met.path).parent)
        rule = rule_for(places, met.path, owner)
        given.append(Given(met, owner, root, rule, named=not is_directory or store is not None))
    return given


def _store(path: str, below: str, places: Places) -> Found | None:
    """The store that `below` is or lies in, if there is one."""
    place = places.place(below)
    try:
        return store_over("/" if place is None else place.root, below)
    except OSError as error:
        raise ConfigurationError(
            f"{printable(path)}: cannot be looked at: {error.strerror}"
        ) from error


def _one_file(path: str, below: str) -> Found:
    if is_sidecar(below):
        raise ConfigurationError(
            f"{printable(path)}: a sidecar says how the images beside it are imported, and is "
            "not imported itself: name the images"
        )
    try:
        stat = regular_stat(below)
    except OSError as error:
        raise ConfigurationError(
            f"{printable(path)}: cannot be looked at: {error.strerror}"
        ) from error
    if stat is None:
        raise ImportRefused(
            f"{printable(path)}: not a regular file; links and devices are not imported"
        )
    return Found(below, stat)


def rule_for(places: Places, path: str, user: str) -> Rule | None:
    """The rule for the file at `path` if it is imported for `user`."""
    return places.rule_of(path, user)


def _below_watch_dir(named: Path, watch_dirs: list[Path]) -> Path:
    """`named` as DropBox names it, also if links lead to its directory."""
    real = named.parent.resolve() / named.name
    for watch_dir in watch_dirs:
        with suppress(ValueError):
            return watch_dir / real.relative_to(watch_dir.resolve())
    return real
