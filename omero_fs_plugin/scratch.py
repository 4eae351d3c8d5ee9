"""Directories for what is temporary, of one process; what a killed process left is removed.

Whoever makes one looks first for those that nobody has any more, for nobody else knows of them.
Who has one holds a lock on it, which the kernel lets go with the process.  A number of a process
in the name would not tell: in a container, a server that is started again may have the same.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from .room import temporary


class Scratch:
    """One directory, for this account alone.  As a context it is removed at the end."""

    def __init__(self, name: str) -> None:
        """Makes it, as `name`-... in the directory for what is temporary.  Raises OSError."""
        place = temporary()
        for left in place.glob(f"{name}-*"):
            _remove_if_left(left)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place))
            try:
                self._lock = _opened(self.path)
            except FileNotFoundError:
                continue  # taken for one that was left: it had no lock yet
            if _locked(self._lock) is not False and os.fstat(self._lock).st_nlink:
                return
            os.close(self._lock)

    def remove(self) -> None:
        """Removes it and all that is in it, as far as that can be done.  May be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()


def _remove_if_left(path: Path) -> None:
    try:
        descriptor = _opened(path)
    except OSError:
        return  # gone, no directory, or another's
    try:
        if os.fstat(descriptor).st_uid == os.geteuid() and _locked(descriptor):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _locked(descriptor: int) -> bool | None:
    """Whether we have the lock now; None: this file system has none, so nobody can tell."""
    import fcntl  # here, so that the rest of the module can be imported anywhere

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
