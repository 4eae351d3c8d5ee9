"""Linux: what the kernel says of directories, and looks at the disk.

Why not watchdog's observers: version 6 drops the kernel's word that its queue
overflowed, and with it files; version 7 reacts to it, but tells nobody.  All
versions turn each kernel event into objects on two queues, hold back half of
every move for 0.5 s and report opens and reads as well, which alone costs
three times what reading the kernel's events costs.  So watchdog lends its
bindings to the three system calls, and the events are read here.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import select
import stat as stat_module
import termios
import time
from collections import deque
from contextlib import suppress

from watchdog.observers.inotify_c import inotify_add_watch, inotify_init, inotify_rm_watch

from . import raw
from .raw import Raw
from .tree import Entry, Kind

# What is asked of the kernel.  No opens, no reads: they change nothing.
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

_AT_ONCE = 64 * 1024  # bytes; about 1,500 events, a few ms of work
# Beyond this the events are dropped as the kernel would, and a rescan follows.
_BACKLOG = 64 * 1024 * 1024  # bytes

LIMITS = "/proc/sys/fs/inotify/"


class Inotify:
    """One inotify instance, and the tracker's `Disk` over the real one.

    One instance for a monitor: monitors on the same tree do not share
    descriptors, queues or overflows.
    """

    def __init__(self, root: bytes) -> None:
        """Raises OSError when the user has no instance left."""
        self._root = root
        # A kernel event that overflowed here rather than there.
        self._overflowed = False
        self._backlog: deque[bytes] = deque()
        self._backlog_size = 0  # bytes
        descriptor = inotify_init()
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)

    def fileno(self) -> int:
        """For poll: readable when there are events."""
        return self._descriptor

    def close(self) -> None:
        """Gives the instance and all its watches back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # tracker.Disk -----------------------------------------------------------

    def watch(self, path: bytes) -> int:
        """As Disk.watch.  The root may be a symbolic link, nothing below may."""
        flags = _MASK
        if path != self._root:
            flags |= raw.IN_DONT_FOLLOW
        descriptor = inotify_add_watch(self._descriptor, path, flags)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return int(descriptor)

    def unwatch(self, descriptor: int) -> None:
        """As Disk.unwatch."""
        inotify_rm_watch(self._descriptor, descriptor)  # type: ignore[arg-type]

    def look(self, path: bytes) -> Entry | None:
        """As Disk.look."""
        try:
            return _entry(os.lstat(path), time.time())
        except OSError:
            return None

    def entries(self, path: bytes) -> list[tuple[bytes, Entry]]:
        """As Disk.entries; never through a symbolic link, but for the root."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        if path != self._root:
            flags |= os.O_NOFOLLOW
        found: list[tuple[bytes, Entry]] = []
        descriptor = os.open(path, flags)
        try:
            with os.scandir(descriptor) as listing:
                now = time.time()
                for one in listing:
                    with suppress(FileNotFoundError):  # gone since: its event follows
                        entry = _entry(one.stat(follow_symlinks=False), now)
                        found.append((os.fsencode(one.name), entry))
        finally:
            os.close(descriptor)
        return found

    def mount(self, path: bytes) -> bytes:
        """As Disk.mount."""
        at = os.path.realpath(path)
        device = os.stat(path).st_dev  # noqa: PTH116 - bytes are no Path
        while at != b"/":
            above = os.path.dirname(at)  # noqa: PTH120
            if os.lstat(above).st_dev != device:
                break
            at = above
        return at

    # Events -----------------------------------------------------------------

    def drain(self) -> None:
        """Takes what the kernel has, so that its queue stays short."""
        held = array.array("i", [0])
        while True:
            fcntl.ioctl(self._descriptor, termios.FIONREAD, held)
            if not held[0]:
                return
            if self._backlog_size > _BACKLOG:
                self._backlog.clear()
                self._backlog_size = 0
                self._overflowed = True
            size = max(raw.LARGEST, min(held[0], _AT_ONCE))
            try:
                buffer = os.read(self._descriptor, size)
            except BlockingIOError:
                return
            self._backlog.append(buffer)
            self._backlog_size += len(buffer)

    @property
    def backlog(self) -> bool:
        """Whether `events` has something to give."""
        return bool(self._backlog) or self._overflowed

    def events(self) -> list[Raw]:
        """The next few events drained, oldest first; empty when there are none."""
        if self._overflowed:
            self._overflowed = False
            return [raw.OVERFLOW]
        if not self._backlog:
            return []
        buffer = self._backlog.popleft()
        self._backlog_size -= len(buffer)
        return raw.parse(buffer)


def _entry(found: os.stat_result, now: float) -> Entry:
    mode = found.st_mode
    if stat_module.S_ISREG(mode):
        kind = Kind.FILE
    elif stat_module.S_ISDIR(mode):
        kind = Kind.DIRECTORY
    else:
        kind = Kind.OTHER
    identity = (found.st_ino, found.st_size, found.st_mtime_ns)
    return Entry(kind, identity, found.st_nlink, max(0.0, now - found.st_ctime))


class Wakener:
    """Wakes a thread that waits for kernel events, from any thread."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def wake(self) -> None:
        """Makes the present or the next `wait` return."""
        os.eventfd_write(self._event, 1)

    def wait(self, seconds: float | None, source: Inotify | None) -> bool:
        """Waits for `wake`, events of `source`, or time; True when there are events.

        `seconds` None: without end.
        """
        poll = select.poll()
        poll.register(self._event, select.POLLIN)
        if source is not None:
            poll.register(source.fileno(), select.POLLIN)
        ready = poll.poll(None if seconds is None else max(0, int(seconds * 1000 + 0.999)))
        descriptors = [descriptor for descriptor, _ in ready]
        if self._event in descriptors:
            os.eventfd_read(self._event)
        return source is not None and source.fileno() in descriptors

    def close(self) -> None:
        """Gives the descriptor back."""
        os.close(self._event)


def instances_exhausted(error: OSError) -> str:
    """The sentence for an inotify instance that could not be had."""
    if error.errno != errno.EMFILE:
        return f"the kernel gives no inotify instance: {error.strerror}"
    try:
        with open(LIMITS + "max_user_instances", encoding="ascii") as limit:  # noqa: PTH123
            most = limit.read().strip()
    except OSError:
        most = "?"
    return (
        f"this user's {most} inotify instances are in use, or the process has too many open "
        "files: raise the sysctl fs.inotify.max_user_instances, or ulimit -n"
    )
