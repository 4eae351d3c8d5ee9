"""One at a time moves a fileset: DropBox and ``omero fs import --retry`` run side by side."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.errors import FsError

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_TAKEN = (errno.EACCES, errno.EAGAIN)


class Busy(FsError):
    """Another process, or thread, is moving the fileset at this moment."""


@contextmanager
def alone(lock: Path, vault: str) -> Iterator[None]:
    """Nobody else is between this and the end of the `with`.  A kill ends it too.

    `lock` is a file on the disk of `vault`.  It is made here, and removed at the end.  Where that
    file system has no locks, nobody is kept out.  Raises Busy and OSError.
    """
    import fcntl  # Windows has none

    with CALLS.at(vault):
        descriptor = os.open(lock, _FLAGS, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = lock.lstat()
            mine = os.fstat(descriptor)
            if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
                raise Busy("another process has just moved it")
        except (OSError, Busy) as error:
            if isinstance(error, (Busy, FileNotFoundError)) or error.errno in _TAKEN:
                os.close(descriptor)
                raise Busy("another process is moving it: try again later") from error
    try:
        yield
    finally:
        try:
            with suppress(FileNotFoundError), CALLS.at(vault):
                lock.unlink()
        finally:
            os.close(descriptor)
