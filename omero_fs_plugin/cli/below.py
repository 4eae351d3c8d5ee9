"""The files below a directory, for commands that tell what became of each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress

from omero_fs_plugin import stores
from omero_fs_plugin.dropbox.journal.glance import Glance
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.site import printable

_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)  # nothing can be at such a path


def is_there(path: str) -> bool:
    """Whether something is at `path`, a link too.  Raises ConfigurationError if nobody may say."""
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in _NOTHING:
            return False
        raise ConfigurationError(f"{printable(path)}: {error.strerror}") from error
    return True


def all_below(top: str, unlisted: dict[str, str]) -> Iterator[str]:
    """Every name below `top` that is no directory; it follows no link.  Hidden ones too.

    A directory that cannot be listed may have any files.  So it counts as a name too, and its
    path and the reason go into `unlisted`.
    """
    found: list[str] = []

    def failed(error: OSError) -> None:
        if error.errno not in _NOTHING:  # it has gone meanwhile
            where = str(error.filename)
            unlisted[where] = f"a directory that cannot be listed: {error.strerror}"
            found.append(where)

    for directory, _, names in os.walk(top, onerror=failed):
        for name in sorted(names):
            yield f"{directory.rstrip('/')}/{name}"
        # A link to a directory is a name like that of a file.
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink() and entry.is_dir():
                    yield entry.path
    yield from found


def above(path: str) -> Iterator[str]:
    """The paths that a store around the file at `path` may have, from the outermost on."""
    return map(stores.store_at, stores.above("/", path))


def store_in(path: str, look: Glance | None) -> str:
    """The store that the journal knows and that `path` is or lies in; empty: in none."""
    if look is None:
        return ""
    places = (*above(path), stores.store_at(path))
    return next((place for place in places if look.at(place)), "")
