"""The directories that DropBox watches, and those that it writes to."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from omero_fs_plugin import filesystems
from omero_fs_plugin.config.settings import EVERYONE, Rule, Settings
from omero_fs_plugin.dropbox.confine.roots import Roots, apart_from
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.names import in_shell, is_utf8

from . import Line, Subject, error, ok, warning
from .account import name_of

log = logging.getLogger(__name__)

_MANY = 5  # users named in one line


def roots_of(subject: Subject) -> Roots:
    """The directories of all rules, for `watched` and `in_each_others_way`."""
    roots = Roots(tell=log.debug)
    paths = [str(rule.watch_dir) for rule in subject.settings.rules]
    roots.apply(paths, apart_from(subject.settings, str(subject.omerodir)))
    return roots


def watched(subject: Subject, roots: Roots, rule: Rule) -> Iterator[Line]:
    """The directory of one rule, as the user who runs this sees it."""
    directory, about = rule.watch_dir, f"directory of {rule.user}"
    try:
        mode = directory.stat().st_mode
    except FileNotFoundError:
        yield _missing(subject, rule, about)
        return
    except PermissionError as refused:
        yield error(about, f"{directory} cannot be reached: {refused.strerror}", _enter(directory))
        return
    if not stat.S_ISDIR(mode):
        yield error(
            about, f"{directory} is not a directory", f"move it away; `mkdir {in_shell(directory)}`"
        )
        return
    if not os.access(directory, os.R_OK | os.X_OK):
        yield error(about, f"{directory} cannot be read", _enter(directory))
        return
    roots.look(str(directory))  # no other's, whose share may not answer
    if line := _not_followed(rule, roots):
        yield line
        return
    open_to_all = bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
    if rule.user == EVERYONE and open_to_all:
        yield warning(
            about,
            f"everybody may write to {directory}, and so can make a directory there and import "
            "as its user",
            f"`chmod o-w {in_shell(directory)}`",
        )
    yield from _share(subject, directory, about)
    if rule.user == EVERYONE:
        yield from _of_everyone(directory)
    else:
        yield ok(about, f"{directory}, owned by {name_of(directory)}")


def in_each_others_way(roots: Roots, rules: Sequence[Rule]) -> list[Line]:
    """Those of `rules` whose directories lead to files of another one.  Asks no disk.

    Only when `watched` has looked at all of them is it known which of two is not followed.
    """
    found = [_not_followed(rule, roots) for rule in rules]
    found += [_two_users(rule, roots) for rule in rules]
    return [line for line in found if line is not None]


def _two_users(rule: Rule, roots: Roots) -> Line | None:
    """A directory of one user is mounted in that of another, below the directory of one rule."""
    places = Places([replace(rule, path_mode="Follow")])
    for one, other in roots.two_ways(str(rule.watch_dir)):
        found = [places.place(f"{directory}/x") for directory in (one, other)]
        users = [place.user for place in found if place is not None and not place.passed_over]
        if len(set(users)) > 1:
            what = (
                f"{one} has the files of {other} by another mount: each is imported for "
                f"{' or for '.join(users)}, whoever comes first"
            )
            remedy = "unmount one of them, or name one in omero.fs.blacklist; `omero fs reload`"
            return error(f"directory of {rule.user}", what, remedy)
    return None


def _not_followed(rule: Rule, roots: Roots) -> Line | None:
    why = roots.trouble(str(rule.watch_dir))
    if not why:
        return None
    what = f"{rule.watch_dir} is not followed: {why}"
    return error(f"directory of {rule.user}", what, "correct omero.fs.watchDir; `omero fs reload`")


def _missing(subject: Subject, rule: Rule, about: str) -> Line:
    directory = rule.watch_dir
    if directory.parent == subject.settings.data_dir:
        if os.access(directory.parent, os.W_OK | os.X_OK):
            return ok(about, f"{directory} is made when DropBox starts")
        what = f"{directory} is not there, and cannot be made"
        return error(about, what, "see the line about omero.data.dir")
    what = f"{directory} is not there"
    return error(
        about, what, f"`mkdir -p {in_shell(directory)}`, or set omero.fs.watchDir to another"
    )


def _enter(directory: Path) -> str:
    command = f"`setfacl -m u:USER:rx {in_shell(directory)}`"
    return f"as its owner, for the user that OMERO.server runs as: {command}"


def _share(subject: Subject, directory: Path, about: str) -> Iterator[Line]:
    kind = filesystems.shared(str(directory))
    if kind is None:
        return
    observer, interval = subject.monitoring.observer, subject.monitoring.poll_interval
    if observer == "inotify":
        yield warning(
            about,
            f"{directory} is on a network file system ({kind}), where inotify reports only what "
            "this machine writes",
            "`omero config set omero.fs.observer auto`; `omero admin restart`",
        )
    else:
        yield ok(
            about, f"{directory} is on a network file system ({kind}), polled each {interval:g} s"
        )


def _of_everyone(directory: Path) -> Iterator[Line]:
    """Each user's subdirectory."""
    users = []
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                yield warning(
                    f"directory of {entry.name}",
                    f"{entry.path} is a link, which is not followed",
                    "name the user in omero.fs.importUsers besides default, and the directory that "
                    "it leads to in omero.fs.watchDir",
                )
            elif entry.is_dir(follow_symlinks=False):
                wrong = _of_user(Path(entry.path))
                if wrong is None:
                    users.append(entry.name)
                else:
                    yield wrong
    about = f"directory of {EVERYONE}"
    if users:
        named = ", ".join(users[:_MANY]) + (", ..." if len(users) > _MANY else "")
        yield ok(about, f"{directory} has {len(users)} directories that can be read: {named}")
    else:
        yield warning(
            about,
            f"{directory} has no user's directory that can be read",
            "`omero fs users --create`, while OMERO runs",
        )


def _of_user(directory: Path) -> Line | None:
    """What is wrong with a user's subdirectory."""
    about = f"directory of {directory.name}"
    if not is_utf8(directory.name):
        what = f"the name of {directory} is not valid UTF-8, so no OMERO user has it"
        remedy = f"as its owner: `mv {in_shell(directory)} {in_shell(directory.parent)}/USER`"
        return warning(about, f"{what}: nothing in it is imported", remedy)
    if not os.access(directory, os.R_OK | os.X_OK):
        return error(about, f"{directory} cannot be read", _enter(directory))
    status = directory.stat()
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        what = f"everybody may write to {directory}, and so import as {directory.name}"
        return warning(about, what, f"`chmod o-w {in_shell(directory)}`")
    if not status.st_mode & stat.S_IWUSR:
        what = f"its owner, {name_of(directory)}, may not write to {directory}"
        return warning(about, what, f"`chmod u+w {in_shell(directory)}`")
    return None


def written(subject: Subject) -> Iterator[Line]:
    """omero.data.dir, where the journal is; and what `quarantined` and `moved_to` say."""
    data_dir = subject.settings.data_dir
    if not data_dir.is_dir():
        remedy = f"`mkdir -p {in_shell(data_dir)}`, or `omero config set omero.data.dir /another`"
        yield error("omero.data.dir", f"{data_dir} is not a directory", remedy)
    elif not os.access(data_dir, os.W_OK | os.X_OK):
        remedy = f"`chown {name_of(subject.omerodir / 'etc')} {in_shell(data_dir)}`"
        yield error("omero.data.dir", f"{data_dir} cannot be written to", remedy)
    else:
        yield ok("omero.data.dir", f"{data_dir}, owned by {name_of(data_dir)}")
    yield from quarantined(subject)
    for directory in moves(subject.settings):
        yield from moved_to(subject, directory)


def quarantined(subject: Subject) -> Iterator[Line]:
    """omero.fs.quarantine, if it is set."""
    quarantine = subject.settings.quarantine
    if quarantine is None:
        return
    wrong = unusable(quarantine)
    if wrong:
        me = name_of(subject.omerodir / "etc")
        # Only the directory itself is given away: one above it may belong to the whole system.
        word = in_shell(quarantine)
        remedy = f"as root: `mkdir -p {word}; chown {me} {word}; chmod 700 {word}`"
        if existing(quarantine) != quarantine and not existing(quarantine).is_dir():
            remedy = "set omero.fs.quarantine to another directory"
        yield error("quarantine", wrong, remedy)
    else:
        yield ok("quarantine", f"failed files are moved to {quarantine}")


def moves(settings: Settings) -> list[Path]:
    """Each directory that omero.fs.afterImport moves files to."""
    found = (rule.after_import.directory for rule in settings.rules)
    return sorted({directory for directory in found if directory is not None})


def moved_to(subject: Subject, directory: Path) -> Iterator[Line]:
    """One of `moves`.  DropBox does not make it: its disk may not be mounted."""
    if directory.is_dir() and os.access(directory, os.W_OK | os.X_OK):
        yield ok("omero.fs.afterImport", f"imported files are moved to {directory}")
        return
    me = name_of(subject.omerodir / "etc")
    word = in_shell(directory)
    remedy = f"as root: `chown {me} {word}`"
    what = "cannot be written to"
    if not directory.exists():
        what = "is not there, so no file is moved"
        remedy = f"mount its disk, or as root: `mkdir -p {word}; chown {me} {word}`"
    elif not directory.is_dir():
        what, remedy = "is not a directory", "set omero.fs.afterImport to another"
    yield error("omero.fs.afterImport", f"{directory} {what}", remedy)


def unusable(quarantine: Path) -> str:
    """Why no file can be moved to this directory by whoever runs this; empty if it can."""
    there = existing(quarantine)
    if not there.is_dir():
        return f"{there} is not a directory"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{quarantine} cannot be {'written to' if there == quarantine else 'made'}"
    return ""


def existing(path: Path) -> Path:
    """`path`, or the nearest directory above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
