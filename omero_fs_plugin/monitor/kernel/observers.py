"""How a monitor learns of changes: by inotify, by polling, or by the platform's own means.

This module and its imports run on every platform.  A module for one platform is
imported when it is chosen.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from omero_fs_plugin.errors import ConfigurationError

from .entries import Disk, Waitable
from .polling import Polling
from .raw import Raw

AUTO, INOTIFY, POLLING = "auto", "inotify", "polling"


class Observer(Disk, Protocol):
    """The disk, and the events that come from it."""

    def fileno(self) -> int | None:
        """A descriptor, readable when there are events; None if nobody can wait for it."""

    def beyond(self) -> Waitable | None:
        """What to wait for while one file is being written, and that event waits to be taken.

        It is readable when anything else has happened.  None if something has, or if nobody can
        say.
        """

    def drain(self) -> None:
        """Takes all events from the platform, so that its queue stays short."""

    @property
    def backlog(self) -> bool:
        """Whether `events` will return something."""

    def events(self) -> list[Raw]:
        """The next few events drained, oldest first; empty if there are none."""

    def warning(self, needed: int) -> str | None:
        """What to tell an admin if `needed` directories are watched and few more can be."""

    def share(self, path: bytes) -> str | None:
        """The type of file system if `path` is on a network share, otherwise None."""

    def close(self) -> None:
        """Closes everything."""


@dataclass(frozen=True)
class Observing:
    """omero.fs.observer: which Observer a monitor gets."""

    kind: str = AUTO
    platform: str = sys.platform
    # Whether the kernel may watch one more directory for it; if not, that one is polled
    may_watch: Callable[[], bool] = lambda: True

    def __post_init__(self) -> None:
        """Raises ConfigurationError for an observer that this platform does not have."""
        if self.kind == INOTIFY and not self._linux:
            raise ConfigurationError(
                f"omero.fs.observer = {INOTIFY}: only Linux has it, and this is {self.platform}: "
                f"set it to {AUTO} or {POLLING}"
            )

    @property
    def _linux(self) -> bool:
        return self.platform.startswith("linux")

    def open(self, root: bytes, wake: Callable[[], None]) -> Observer:
        """An Observer of the tree at `root`.

        It calls `wake`, from any thread, for news that `fileno` does not show.
        """
        if self.kind == POLLING:
            return Polling(root, wake)
        if self._linux:
            from . import inotify

            return inotify.Inotify(
                root, wake, shares=self.kind == INOTIFY, may_watch=self.may_watch
            )
        from .native import Native

        return Native(root, wake)


class Wakener:
    """Wakes a thread that waits for events, from any thread."""

    def __init__(self) -> None:
        self._signal: _Signal = _EventFd() if hasattr(os, "eventfd") else _SocketPair()
        # What waits for these descriptors: to make it anew costs as much as the wait.
        self._ready: tuple[int, Callable[[float | None], list[int]]] | None = None

    def wake(self) -> None:
        """Makes the present or the next `wait` return."""
        self._signal.set()

    def wait(self, seconds: float | None, source: Waitable | None) -> bool:
        """Waits for `wake`, for events of `source`, or for the time.  True if there are events.

        `seconds` None: without a time limit.
        """
        signal = self._signal.fileno()
        heard = None if source is None else source.fileno()
        kept = self._ready
        if heard is None or kept is None or kept[0] != heard:
            wait = _waiting([signal] if heard is None else [signal, heard])
            if heard is not None:
                self._ready = heard, wait
        else:
            wait = kept[1]
        ready = wait(seconds)
        if signal in ready:
            self._signal.clear()
        return heard is not None and heard in ready

    def close(self) -> None:
        """Closes the descriptors."""
        self._signal.close()


def _waiting(descriptors: list[int]) -> Callable[[float | None], list[int]]:
    """Waits for the time (s), or without a limit, and returns those that can be read."""
    if not hasattr(select, "poll"):  # Windows
        return lambda seconds: select.select(descriptors, [], [], seconds)[0]
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)

    def wait(seconds: float | None) -> list[int]:
        limit = None if seconds is None else max(0, int(seconds * 1000 + 0.999))
        return [descriptor for descriptor, _ in poll.poll(limit)]

    return wait


class _Signal(Protocol):
    def fileno(self) -> int: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...
    def close(self) -> None: ...


class _EventFd:
    """Linux: one descriptor."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._event

    def set(self) -> None:
        os.eventfd_write(self._event, 1)

    def clear(self) -> None:
        os.eventfd_read(self._event)

    def close(self) -> None:
        os.close(self._event)


class _SocketPair:
    """Works everywhere.  Windows can wait only for sockets."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def set(self) -> None:
        with suppress(BlockingIOError):  # it is full, so it is set already
            self._writer.send(b"\0")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
