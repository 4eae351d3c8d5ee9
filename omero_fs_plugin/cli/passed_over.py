"""Why a file is passed over: the rule that covers it, and what that rule leaves out.

It asks the same parts as DropBox: the watched directories, the filter, and what is no file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property
from pathlib import PurePosixPath

from omero_fs_plugin import system_names
from omero_fs_plugin.config.layout import depth, owner
from omero_fs_plugin.config.settings import EVERYONE, Rule, Settings, is_by_owner
from omero_fs_plugin.dropbox.confine import DEEPEST, TOO_DEEP
from omero_fs_plugin.dropbox.places import nobodys, whose
from omero_fs_plugin.dropbox.targets.sidecar import is_sidecar
from omero_fs_plugin.dropbox.watching.rescan import oddity_at
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import regular_stat
from omero_fs_plugin.filters import Filter
from omero_fs_plugin.names import why_not_utf8
from omero_fs_plugin.site import Site


def rule_around(path: str, settings: Settings) -> Rule | None:
    """The rule whose directory is the nearest above `path`; None if no rule covers it."""
    covering = [
        rule for rule in settings.rules if PurePosixPath(path).is_relative_to(str(rule.watch_dir))
    ]
    return max(covering, key=lambda rule: len(str(rule.watch_dir)), default=None)


def user_of(path: str, rule: Rule) -> str:
    """The OMERO user whose file `path` is under `rule`; empty if it is nobody's.

    Asks the disk if the owner of the file says it; see `is_by_owner`.
    """
    if is_by_owner(rule):
        return _by_owner(path)[0]
    parts = PurePosixPath(path).relative_to(str(rule.watch_dir)).parts
    if rule.user != EVERYONE:
        return rule.user
    whose = owner(rule.layout, parts[:-1])
    return whose.user if whose is not None else ""


def _by_owner(path: str) -> tuple[str, str]:
    """The account that owns the file, and why none counts; one of both is empty."""
    try:
        stat = regular_stat(path)
        return whose(stat) if stat is not None else ("", "it is not a regular file")
    except OSError as error:
        return "", f"cannot be looked at: {error.strerror}"


def why_passed_over(path: str, settings: Settings) -> str:
    """Why DropBox does not import the file at `path`; empty if no rule keeps it from that."""
    if odd := oddity_at(path):
        return odd
    rule = rule_around(path, settings)
    if rule is None:
        watched = ", ".join(str(rule.watch_dir) for rule in settings.rules) or "nothing"
        return f"lies in no watched directory: watched is {watched}"
    if not user_of(path, rule):
        return _by_owner(path)[1] if is_by_owner(rule) else nobodys(rule)
    if is_sidecar(path):
        return "a sidecar: it says how the images around it are imported"
    top = PurePosixPath(str(rule.watch_dir))
    *directories, name = PurePosixPath(path).relative_to(top).parts
    own = directories if rule.user != EVERYONE else directories[depth(rule.layout) :]
    if len(own) > DEEPEST:
        return f"lies {TOO_DEEP}"
    if own and rule.path_mode == "Flat":
        return "lies in a subdirectory, and omero.fs.pathMode is Flat"
    by_rule = Filter(
        os.fsencode(top),
        whitelist=rule.whitelist,
        blacklist=rule.blacklist,
        ignore_sys_files=rule.ignore_sys_files,
    )
    parent = top
    for part in directories:
        if part.startswith(".") or not by_rule.directory(os.fsencode(parent), os.fsencode(part)):
            return f"lies in {part}: {_of_what(part, rule, system_names.DIRECTORIES)}"
        parent /= part
    if name.startswith(".") or not by_rule.file(os.fsencode(parent), os.fsencode(name)):
        return _of_what(name, rule, system_names.FILES)
    return why_not_utf8(path)


class Users:
    """Which users OMERO has.  It is asked once, when that is needed first, and not again."""

    def __init__(self, where: Site, settings: Settings) -> None:
        self._where, self._settings = where, settings

    def why_none(self, user: str) -> str:
        """Why files of this user's directory are left alone: no such user may import.

        Empty if the user may, or if OMERO cannot be asked.
        """
        active = self._active
        if active is None or active.get(user):
            return ""
        if user in active:
            return f"the OMERO user {user} is not active"
        return f"there is no OMERO user named {user}"

    @cached_property
    def _active(self) -> dict[str, bool] | None:
        from omero_fs_plugin.blitz.sessions import Omero

        with suppress(FsError), self._where.grid() as grid:
            omero = Omero.of(grid.communicator, self._settings)
            try:
                return omero.experimenters()
            finally:
                omero.close()
        return None


def _of_what(name: str, rule: Rule, known: tuple[system_names.SystemName, ...]) -> str:
    """What keeps this name out, in words."""
    system = next(
        (one for one in known if system_names.any_of((one,)).match(name.casefold())), None
    )
    if system is not None and (name.startswith(".") or rule.ignore_sys_files):
        return f"a system file (omero.fs.ignoreSysFiles): {system_names.kind_of(system)}"
    if name.startswith("."):
        return "a system file (omero.fs.ignoreSysFiles)"
    alone = Filter(b"/", blacklist=rule.blacklist)
    raw = os.fsencode(name)
    if not (alone.file(b"/", raw) and alone.directory(b"/", raw)):
        return "on omero.fs.blacklist"
    return "not on omero.fs.whitelist, or on omero.fs.blacklist with its path"
