"""Linux: reads the kernel's events of directories.

Why not watchdog's observers: version 6 ignores the kernel's message that its
queue overflowed, and so loses files.  Version 7 reacts to it, but tells nobody.
All versions turn each kernel event into objects on two queues, hold back half
of every move for 0.5 s, and report opens and reads as well.  This alone costs
three times as much as reading the kernel's events.  So we use only watchdog's
bindings to the three system calls, and read the events here.

Import it on Linux only.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import select
import termios
from collections import deque
from collections.abc import Callable

from watchdog.observers.inotify_c import inotify_add_watch, inotify_init, inotify_rm_watch

from . import limits, raw
from .disk import LocalDisk
from .entries import Waitable
from .guarded import place
from .held import Held, Process
from .raw import Raw

# The events that we ask the kernel for.  Not opens and reads, because they change nothing.
_MASK = (
    raw.IN_CREATE
    | raw.IN_MODIFY
    | raw.IN_ATTRIB
    | raw.IN_CLOSE_WRITE
    | raw.IN_MOVED_FROM
    | raw.IN_MOVED_TO
    | raw.IN_DELETE
    | raw.IN_DELETE_SELF
    | raw.IN_MOVE_SELF
    | raw.IN_ONLYDIR
    | raw.IN_EXCL_UNLINK
)

# To watch a directory, nobody needs to read it.
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_AT_ONCE = 64 * 1024  # bytes; about 1,500 events, a few ms of work
# If there are more, events are dropped, as the kernel does, and a rescan follows.
_BACKLOG = 64 * 1024 * 1024  # bytes
_PROCESS = Process()  # the kernel's limit is for all instances together


class Inotify(LocalDisk):
    """One inotify instance, and the tracker's `Disk` over the real one.

    Each monitor has its own instance.  So monitors on the same tree do not share
    descriptors, queues or overflows.  If no instance is left, each `watch` says so,
    and the next one tries again.
    """

    def __init__(
        self,
        root: bytes,
        wake: Callable[[], None] = lambda: None,
        *,
        shares: bool = False,
        may_watch: Callable[[], bool] = lambda: True,
        guarded: bool = False,
    ) -> None:
        """`wake` and `guarded` as for LocalDisk.

        `shares`: watch network shares too, do not poll them.
        `may_watch` says whether one more directory below the root may be watched.
        """
        super().__init__(root, wake, guarded=guarded)
        self._shares = shares
        self._may_watch = may_watch
        # Our own backlog has overflowed, not the kernel's queue.
        self._overflowed = False
        self._held = Held(_PROCESS, root)
        self._backlog: deque[bytes] = deque()
        self._backlog_size = 0  # bytes
        self._descriptor = -1
        self._last = b""  # what the last look has found, unless there were surely several events
        self._news: select.epoll | None = None  # see `beyond`

    def fileno(self) -> int | None:
        """A descriptor for poll, readable when there are events; None if none will come."""
        return self._descriptor if self._descriptor >= 0 else None

    def close(self) -> None:
        """Closes the instance and all its watches."""
        super().close()
        self._held.clear()
        # Never close it twice: by then somebody else may have its number.
        descriptor, self._descriptor = self._descriptor, -1
        news, self._news = self._news, None
        if news is not None:
            news.close()
        if descriptor >= 0:
            os.close(descriptor)

    # tracker.Disk -----------------------------------------------------------

    def watch(self, path: bytes) -> int | None:
        """As Disk.watch; None on a network share."""
        self.mounts.refresh()
        if self.mounts.sharing and not self._shares and self.share(path) is not None:
            return None
        if self._descriptor < 0:
            self._descriptor = self._instance()
        flags = _MASK
        if path != self._root:
            flags |= raw.IN_DONT_FOLLOW
            if not self._may_watch() or not self._held.may_have(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        ours = self._descriptor
        mount = self._mount_of(path) if self.mounts.below_as_read(self._real) else None
        if mount is None:
            descriptor = self._add_watch(ours, path, flags)
        else:
            descriptor = self._ask(mount, path, lambda beat: self._add_watch(ours, path, flags))
        self._held.has(descriptor, path)
        return descriptor

    def _add_watch(self, instance: int, path: bytes, flags: int) -> int:
        if self._guard is None:
            return _add_watch(instance, path, flags)
        where = self._guard.opened(path, _PLACE)
        try:
            return _add_watch(instance, place(where), flags & ~raw.IN_DONT_FOLLOW)
        finally:
            os.close(where)

    def _instance(self) -> int:
        descriptor = inotify_init()
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)
        return descriptor

    def unwatch(self, descriptor: int) -> None:
        """As Disk.unwatch."""
        self._held.gone(descriptor)
        inotify_rm_watch(self._descriptor, descriptor)  # type: ignore[arg-type]

    def chosen(self, path: bytes) -> str:
        """As Disk.chosen."""
        return f"on a network share ({self.share(path)})"

    def limited(self, number: int, missing: int) -> str | None:
        """As Disk.limited."""
        # A branch may have half at the most: it needs as many again for others.
        return limits.advice(number, missing, beside=missing if self._held.kept_back else 0)

    def warning(self, needed: int) -> str | None:
        """As Observer.warning."""
        return limits.warning(needed)

    # Events -----------------------------------------------------------------

    def drain(self) -> None:
        """Takes all events from the kernel, so that its queue stays short."""
        if self._descriptor < 0:
            return
        while True:
            if self._backlog_size > _BACKLOG:
                self._backlog.clear()
                self._backlog_size = 0
                self._overflowed = True
            try:
                buffer = os.read(self._descriptor, _AT_ONCE)
            except BlockingIOError:
                return
            self._backlog.append(buffer)
            self._backlog_size += len(buffer)
            if len(buffer) <= _AT_ONCE - raw.LARGEST:
                return  # one more event would have fitted, so there was none

    @property
    def backlog(self) -> bool:
        """Whether `events` will return something."""
        return bool(self._backlog) or self._overflowed

    def events(self) -> list[Raw]:
        """The next few events drained, oldest first; empty if there are none."""
        if self._overflowed:
            self._overflowed = False
            return [raw.OVERFLOW]
        if not self._backlog:
            return []
        buffer = self._backlog.popleft()
        self._backlog_size -= len(buffer)
        events = raw.parse(buffer)
        for event in events:
            if event.mask & raw.IN_IGNORED:
                self._held.gone(event.descriptor)
        self._last = buffer if len(buffer) <= raw.LARGEST else b""
        return events

    def beyond(self) -> Waitable | None:
        """As Observer.beyond.

        The kernel merges an event with the last one in its queue if they are equal, and then
        wakes nobody (fs/notify/notification.c, fsnotify_insert_event).  An epoll that is
        triggered by edges tells of what was not merged.
        """
        alone = len(self._last)
        if self._descriptor < 0 or not alone or not raw.is_one(self._last):
            return None
        if self._news is None:
            self._news = select.epoll()
            self._news.register(self._descriptor, select.EPOLLIN | select.EPOLLET)
        self._news.poll(0)  # from here on
        held = array.array("i", [0])
        fcntl.ioctl(self._descriptor, termios.FIONREAD, held)
        return self._news if held[0] == alone else None


def _add_watch(instance: int, path: bytes, flags: int) -> int:
    descriptor = inotify_add_watch(instance, path, flags)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(descriptor)
