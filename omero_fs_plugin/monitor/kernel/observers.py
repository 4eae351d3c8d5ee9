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
from typing import Any, Protocol

from omero_fs_plugin.errors import ConfigurationError

from .entries import Disk, Waitable
from .polling import Polling
from .raw import Raw

AUTO, INOTIFY, POLLING = "auto", "inotify", "polling"

_POLLIN = getattr(select, "POLLIN", 1)


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
    # Whether no link that a user may have made is followed; only Linux can tell
    guarded: bool = False

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
            return Polling(root, wake, guarded=self.guarded and self._linux)
        if self._linux:
            from . import inotify

            return inotify.Inotify(
                root,
                wake,
                shares=self.kind == INOTIFY,
                may_watch=self.may_watch,
                guarded=self.guarded,
            )
        from .native import Native

        return Native(root, wake)


class Wakener:
    """Wakes a thread that waits for events, from any thread."""

    def __init__(self) -> None:
        self.woken = False  # `wake` has ended the last `wait`, or would have
        self._signal: _Signal = _EventFd() if hasattr(os, "eventfd") else _SocketPair()
        # What waits for this descriptor too: to make it anew costs as much as the wait.
        self._heard: int | None = None
        self._poll = _poll_of(self._signal.fileno())

    def wake(self) -> None:
        """Makes the present or the next `wait` return."""
        self._signal.set()

    def wait(self, seconds: float | None, source: Waitable | None) -> bool:
        """Waits for `wake`, for events of `source`, or for the time.  True if there are events.

        `seconds` None: without a time limit.
        """
        heard = None if source is None else source.fileno()
        if heard != self._heard:
            self._poll = _poll_of(self._signal.fileno(), heard)
            self._heard = heard
        self.woken = events = False
        limit = None if seconds is None else max(0, int(seconds * 1000 + 0.999))
        for descriptor, _ in self._poll.poll(limit):
            if descriptor == heard:
                events = True
            else:
                self.woken = True
                self._signal.clear()
        return events

    def close(self) -> None:
        """Closes the descriptors."""
        self._signal.close()


def _poll_of(*descriptors: int | None) -> Any:
    """What waits until one of these can be read, as select.poll does."""
    poll = select.poll() if hasattr(select, "poll") else _Select()
    for descriptor in descriptors:
        if descriptor is not None:
            poll.register(descriptor, _POLLIN)
    return poll


class _Select:
    """Windows: as select.poll, as far as it is used here."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def register(self, descriptor: int, events: int) -> None:
        self._descriptors.append(descriptor)

    def poll(self, limit: int | None) -> list[tuple[int, int]]:
        seconds = None if limit is None else limit / 1000
        return [(one, _POLLIN) for one in select.select(self._descriptors, [], [], seconds)[0]]


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
