"""One at a time moves a fileset: DropBox and ``omero fs import --retry`` run side by side."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.errors import FsError

from .copying import DIRECTORY

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_TAKEN = (errno.EACCES, errno.EAGAIN)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_MOVES = "another process is moving it: try again later"


class Busy(FsError):
    """Another process, or thread, is moving the fileset at this moment."""


@contextmanager
def alone(lock: Path, vault: str) -> Iterator[None]:
    """Nobody else is between this and the end of the `with`.  A kill ends it too.

    `lock` is a file on the disk of `vault`.  It is made here, and removed at the end.  Where that
    file system has no locks, nobody is kept out.  Raises Busy and OSError.

    Everyone shares the directory of the file.  If there is no room for the file, the directory is
    taken as a whole: then what lies there can still leave that disk.
    """
    import fcntl  # Windows has none

    with CALLS.at(vault):
        above = os.open(lock.parent, DIRECTORY)
    try:
        with CALLS.at(vault):
            _hold(above, fcntl.LOCK_SH)
        descriptor = _made(lock, above, vault)
        try:
            yield
        finally:
            if descriptor is not None:
                try:
                    with suppress(FileNotFoundError), CALLS.at(vault):
                        lock.unlink()
                finally:
                    os.close(descriptor)
    finally:
        os.close(above)


def _made(lock: Path, above: int, vault: str) -> int | None:
    """Makes the file, and holds it; None if there is no room for it, and the directory is held.

    Raises Busy and OSError.
    """
    import fcntl

    with CALLS.at(vault):
        try:
            descriptor = os.open(lock, _FLAGS, 0o600)
        except OSError as error:
            if error.errno not in _NO_ROOM or not _hold(above, fcntl.LOCK_EX):
                raise
            return None
        try:
            _hold(descriptor, fcntl.LOCK_EX)
            there, mine = lock.lstat(), os.fstat(descriptor)
            if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
                raise Busy(_MOVES)  # or has just moved it
        except FileNotFoundError as error:
            os.close(descriptor)
            raise Busy(_MOVES) from error
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _hold(descriptor: int, how: int) -> bool:
    """Whether we hold it now.  False: the file system has no locks for it.  Raises Busy."""
    import fcntl

    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            raise Busy(_MOVES) from error
        return False
    return True
