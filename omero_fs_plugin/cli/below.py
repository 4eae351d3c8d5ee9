"""The files below a directory, for commands that tell what became of each."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from functools import partial

from omero_fs_plugin import stores
from omero_fs_plugin.dropbox.disks.calls import Call
from omero_fs_plugin.dropbox.journal.glance import Glance
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.site import printable

from .disks import Disks, Silent

_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)  # nothing can be at such a path


def is_there(path: str, disks: Disks | None = None) -> bool:
    """Whether something is at `path`, a link too.  Raises ConfigurationError if nobody may say.

    Raises Silent too, if `disks` are given.
    """
    try:
        if disks is None:
            os.lstat(path)
        else:
            disks.ask(path, lambda call: os.lstat(path))
    except Silent:
        raise
    except OSError as error:
        if error.errno in _NOTHING:
            return False
        raise ConfigurationError(f"{printable(path)}: {error.strerror}") from error
    return True


def is_directory(path: str, disks: Disks) -> bool:
    """Whether a directory is at `path`, and no link.  Raises Silent."""
    try:
        return stat.S_ISDIR(disks.ask(path, lambda call: os.lstat(path)).st_mode)
    except Silent:
        raise
    except OSError:
        return False


def all_below(top: str, unlisted: dict[str, str], disks: Disks) -> Iterator[str]:
    """Every name below `top` that is no directory; it follows no link.  Hidden ones too.

    A directory that cannot be listed may have any files.  So it counts as a name too, and its
    path and the reason go into `unlisted`.
    """
    found: list[str] = []
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        try:
            names, inner = disks.ask(directory, partial(_listed, directory))
        except OSError as error:
            if error.errno not in _NOTHING:  # it has gone meanwhile
                unlisted[directory] = f"a directory that cannot be listed: {error.strerror}"
                found.append(directory)
            continue
        yield from (f"{directory.rstrip('/')}/{name}" for name in sorted(names))
        waiting += (f"{directory.rstrip('/')}/{name}" for name in sorted(inner, reverse=True))
    yield from found


def _listed(directory: str, call: Call) -> tuple[list[str], list[str]]:
    """The names in a directory, and those of them that are directories.

    A link to a directory is a name like that of a file.
    """
    names: list[str] = []
    inner: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            call.pulse()
            (inner if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
    return names, inner


def above(path: str) -> Iterator[str]:
    """The paths that a store around the file at `path` may have, from the outermost on."""
    return map(stores.store_at, stores.above("/", path))


def store_in(path: str, look: Glance | None) -> str:
    """The store that the journal knows and that `path` is or lies in; empty: in none."""
    if look is None:
        return ""
    places = (*above(path), stores.store_at(path))
    return next((place for place in places if look.at(place)), "")
