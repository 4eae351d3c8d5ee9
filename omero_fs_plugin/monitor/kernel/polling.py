"""A disk that sends no events: FSServer looks at every directory from time to time.

The tracker does this look, in the same way as after an overflow.  It is for
network shares on every platform, and for everything with
``omero.fs.observer = polling``.

Why not watchdog's PollingObserver: it keeps a stat of every path in Python
objects, and a second set of them while it compares.  It takes a directory that
cannot be listed for an empty one, so a share that is away has "all its files
deleted".  It ends when the root is gone.  Nobody can stop it while it looks at a
large tree.  The tracker compares one directory at a time with what it knows
anyway, and Create means the same for every observer.
"""

from __future__ import annotations

from .disk import LocalDisk
from .entries import Waitable
from .raw import Raw


class Polling(LocalDisk):
    """The tracker's `Disk` over the real one.  It watches no directory."""

    def fileno(self) -> int | None:
        """None: there is nothing to wait for."""
        return None

    def watch(self, path: bytes) -> int | None:
        """As Disk.watch: none."""
        return None

    def unwatch(self, descriptor: int) -> None:
        """As Disk.unwatch: there are none."""

    def chosen(self, path: bytes) -> str:
        """As Disk.chosen."""
        return "omero.fs.observer = polling"

    def limited(self, number: int, missing: int) -> str | None:
        """As Disk.limited: there is none."""
        return None

    def warning(self, needed: int) -> str | None:
        """As Observer.warning: nothing can run short."""
        return None

    def beyond(self) -> Waitable | None:
        """As Observer.beyond: nobody can say."""
        return None

    def drain(self) -> None:
        """As Observer.drain: nothing comes."""

    @property
    def backlog(self) -> bool:
        """As Observer.backlog."""
        return False

    def events(self) -> list[Raw]:
        """As Observer.events: none."""
        return []
