"""What to tell of, given what the kernel says, what the disk shows and the time.

`Tracker` is the monitor's mind, without a clock, a thread or a system call of
its own: `now` is an argument, the disk a protocol.  It knows every file that
the client has been told of (or that was there at the start) and compares that
picture with the disk wherever the kernel's word does not suffice.

What a client is told::

    Create  a file came to be: its first writer closed it, it was moved or
            linked in, or it has been silent for a bounded time
    Modify  a known file was written and closed, once for a burst of writes
    Delete  a known file is gone
    System  a sentence; its first word says which (see `Notice`)

A name that comes and goes within `Timing.hold` is not told: so a temporary
name renamed into place is one Create of the final name.
"""

from __future__ import annotations

import enum
import errno
import heapq
import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..events import EventType
from .filters import Filter

log = logging.getLogger(__name__)

# inotify(7); the same on every Linux architecture.
IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ISDIR = 0x40000000

_GONE = IN_MOVED_FROM | IN_DELETE
_CAME = IN_MOVED_TO | IN_CREATE
_MOVES_REMEMBERED = 64
# Files told in one step: the kernel's queue is read in between.
_AT_ONCE = 1000


class PathMode(enum.Enum):
    """As omero.grid.monitors.PathMode."""

    FLAT = "Flat"  # the directory itself
    RECURSE = "Recurse"  # and the subdirectories there at the start
    FOLLOW = "Follow"  # and those that come later


class Kind(enum.Enum):
    """What a name stands for, without following a symbolic link."""

    FILE = 1
    DIRECTORY = 2
    OTHER = 3  # symbolic link, pipe, socket, device: complete as soon as it is there


# Inode, size (bytes), mtime (ns): as events.FileStat, without the device, for
# a share that is mounted again may get another number.
Identity = tuple[int, int, int]
# No file has it: what is known under it differs from whatever the disk shows.
NEVER: Identity = (-1, -1, -1)


class Entry(NamedTuple):
    """What one look at a name shows."""

    kind: Kind
    identity: Identity
    links: int
    quiet: float  # s since content or status last changed, by the disk's clock; 0: unknown


class Disk(Protocol):
    """The file system, as far as the tracker needs it."""

    def watch(self, path: bytes) -> int:
        """Asks for raw events of a directory; its watch descriptor.  Raises OSError."""

    def unwatch(self, descriptor: int) -> None:
        """No more raw events; a descriptor that is gone already is no error."""

    def look(self, path: bytes) -> Entry | None:
        """What is there, or None."""

    def entries(self, path: bytes) -> list[tuple[bytes, Entry]]:
        """What a directory holds.  Raises OSError."""

    def mount(self, path: bytes) -> bytes:
        """The mount point that `path` lies on.  Raises OSError."""


class Raw(NamedTuple):
    """One inotify event."""

    descriptor: int
    mask: int
    cookie: int
    name: bytes


class Tell(NamedTuple):
    """One thing to tell the client."""

    type: EventType
    path: bytes  # for SYSTEM a sentence in UTF-8
    directory: bool = False


class Notice(str, enum.Enum):
    """The first word of a System event's text."""

    OVERFLOW = "overflow"  # the kernel dropped events; a rescan follows
    RESCANNED = "rescanned"  # client and disk agree again
    UNREACHABLE = "unreachable"  # a directory cannot be watched; its files are not deleted
    REACHABLE = "reachable"  # it is back, and was compared with what was known
    LIMIT = "limit"  # a kernel limit was reached; what cannot be watched is polled
    NAME = "name"  # of a file whose name is not UTF-8
    GAP = "gap"  # the client could not be reached and events were dropped; a rescan follows
    TIMEOUT = "timeout"  # a one-shot monitor ended without an event
    INACTIVE = "inactive"  # an inactivity monitor's word

    def text(self, sentence: str) -> str:
        """The System event's fileId."""
        return f"{self.value}: {sentence}"


@dataclass(frozen=True)
class Timing:
    """Every wait, in seconds."""

    hold: float = 0.05  # between a close and its Create: time for a rename to follow
    silence: float = 10.0  # a new file that its writer keeps open is told after this
    found: float = 0.5  # the same for a file met by a scan: its close may have been missed
    burst_gap: float = 0.5  # writes closer together are one burst, one Modify
    burst_longest: float = 30.0  # a burst is told of after this even if it goes on
    overflow: float = 0.2  # between an overflow and its rescan, for there may be more
    poll: float = 10.0  # between two looks at a directory that cannot be watched
    check: float = 2.0  # between two looks at whether the root is still itself


class _Pending:
    """A file that will be told of: rule: nothing is told before `due`, and not
    before it has been silent for `bound`."""

    __slots__ = ("bound", "directory", "due", "fresh", "name", "seen", "seen_at", "since")

    def __init__(
        self,
        directory: Directory,
        name: bytes,
        *,
        fresh: bool,
        bound: float,
        due: float,
        now: float,
    ) -> None:
        self.directory = directory
        self.name = name
        self.fresh = fresh  # Create when told, else Modify
        self.bound = bound  # s of silence needed; 0: its writer has closed it
        self.due = due  # inf: when its writer closes it
        self.since = now
        self.seen: Identity | None = None  # at the last look
        self.seen_at = now


class Directory:
    """One directory that is watched, and what is known in it."""

    __slots__ = ("alive", "descriptor", "files", "mount", "parent", "path", "pending", "subdirs")

    def __init__(self, path: bytes, parent: Directory | None) -> None:
        self.path = path
        self.parent = parent
        self.alive = True
        self.descriptor: int | None = None
        self.mount: bytes | None = None  # while it is frozen: where it was mounted
        self.files: dict[bytes, Identity] = {}
        self.pending: dict[bytes, _Pending] = {}
        # None: there, but not entered (Flat, or Recurse and new).
        self.subdirs: dict[bytes, Directory | None] = {}

    def join(self, name: bytes) -> bytes:
        """The path of `name` in it."""
        return self.path + name if self.path == b"/" else self.path + b"/" + name

    @property
    def name(self) -> bytes:
        """Its own name in its parent."""
        return self.path.rpartition(b"/")[2]


class Tracker:
    """Rule: once nothing is pending, the files known are those the disk shows.

    Every method returns at once but for `step`, which scans at most one
    directory.  Not thread-safe: one thread owns it.
    """

    def __init__(
        self,
        root: bytes,
        *,
        tell: Callable[[Tell], None],
        passes: Filter,
        mode: PathMode = PathMode.FOLLOW,
        directory_events: bool = False,
        timing: Timing | None = None,
    ) -> None:
        self.root = Directory(root, None)
        self._disk: Disk  # while open
        self._emit = tell
        self._filter = passes
        self._mode = mode
        self._directory_events = directory_events
        self._timing = timing or Timing()
        self._by_descriptor: dict[int, Directory] = {}
        self._due: list[tuple[float, int, _Pending]] = []
        self._number = itertools.count()
        self._moves: dict[int, float] = {}  # cookie -> bound of a new file on its way
        self._touched: dict[tuple[Directory, bytes], None] = {}
        self._scans: deque[tuple[Directory, bool]] = deque()  # (what, silently)
        self._queued: set[Directory] = set()
        self._unwatched: dict[Directory, None] = {}
        self._rescan_at = math.inf
        self._rescanning = False  # the client was told that events were lost
        self._agree_at = math.inf  # when it can be told that none are missing now
        self._poll_at = math.inf
        self._check_at = math.inf
        self._limit_told = False
        self._at_once = 0  # files that the present scan may tell of itself
        self._root_mount = b""  # where the root's file system is mounted
        self._away = False  # the client was told that the root is unreachable
        self.reachable = False
        self.active_at = -math.inf  # when something last happened to a file told of

    # Beginning and end ------------------------------------------------------

    def open(self, disk: Disk, now: float, *, known: bool) -> None:
        """Begins to watch; `step` until `scanning` is False completes it.

        With `known` False what is there is taken as known already.  With True
        it is compared with what was known before, and told where it differs:
        after a gap, an interruption or a restart.

        Raises OSError, with `known` False only, when the root cannot be
        watched; otherwise it is tried again until it can.
        """
        self._disk = disk
        if known:
            self._check_at = now
            return
        self._root_mount = self._disk.mount(self.root.path)
        self._bind(self.root, self._disk.watch(self.root.path), now)
        self.reachable = True
        self._check_at = now + self._timing.check
        self.active_at = now
        self._queue(self.root, silent=True)

    def close(self) -> None:
        """Ends watching and forgets what was pending, not what is known.

        A write under way is not forgotten: the file will be told as modified
        by the next `open(known=True)`.
        """
        self._release()
        self._rescan_at = self._poll_at = self._check_at = self._agree_at = math.inf
        self._rescanning = False
        self.reachable = False

    def _release(self) -> None:
        for descriptor in list(self._by_descriptor):
            self._disk.unwatch(descriptor)
        self._by_descriptor.clear()
        for directory in self._all(self.root):
            directory.descriptor = None
            for name, pending in directory.pending.items():
                if not pending.fresh:
                    directory.files[name] = NEVER
            directory.pending.clear()
        self._due.clear()
        self._moves.clear()
        self._touched.clear()
        self._scans.clear()
        self._queued.clear()
        self._unwatched.clear()

    @property
    def scanning(self) -> bool:
        """Whether directories wait for `step`."""
        return bool(self._scans)

    @property
    def watches(self) -> int:
        """Directories that the kernel watches."""
        return len(self._by_descriptor)

    def files(self) -> int:
        """Files known; walks them all."""
        return sum(len(directory.files) for directory in self._all(self.root))

    # What the kernel says ---------------------------------------------------

    def feed(self, events: Iterable[Raw], now: float) -> None:
        """Takes raw events, in their order."""
        lookup = self._by_descriptor.get
        passes = self._filter.file
        for descriptor, mask, cookie, name in events:
            directory = lookup(descriptor)
            if directory is None:
                if mask & IN_Q_OVERFLOW:
                    self.overflowed(now)
            elif not name:
                self._self_event(directory, mask, now)
            elif mask & IN_ISDIR:
                self._directory_event(directory, name, mask, now)
            elif passes(directory.path, name):
                self.active_at = now
                if mask & IN_CREATE:
                    self._created(directory, name, now)
                elif mask & IN_MODIFY:
                    self._written(directory, name, now)
                elif mask & IN_CLOSE_WRITE:
                    self._closed(directory, name, now)
                elif mask & IN_ATTRIB:
                    self._touched[(directory, name)] = None
                elif mask & IN_MOVED_TO:
                    self._moved_to(directory, name, cookie, now)
                elif mask & _GONE:
                    self._gone(directory, name, cookie if mask & IN_MOVED_FROM else 0)
            elif mask & IN_MOVED_FROM:
                # A temporary name that is passed over, on its way to one that is not.
                self._remember_move(cookie, 0.0)
        if self._touched:
            self._refresh()

    def overflowed(self, now: float) -> None:
        """Events were lost: everything will be compared with the disk."""
        if not self._rescanning:
            log.warning("%s: events were lost, a rescan follows", self._shown(self.root.path))
            self._notice(Notice.OVERFLOW, "events were lost, a rescan follows")
        self._rescanning = True
        self._agree_at = math.inf
        if self._rescan_at == math.inf:
            self._rescan_at = now + self._timing.overflow

    def _created(self, directory: Directory, name: bytes, now: float) -> None:
        if name in directory.pending:
            return
        if name in directory.files:
            # A scan met it before its event came; or its deletion was lost.
            self._compare(directory, name, now)
            return
        self._pend(
            directory, name, fresh=True, bound=self._timing.silence, wait=self._timing.hold, now=now
        )

    def _written(self, directory: Directory, name: bytes, now: float) -> None:
        pending = directory.pending.get(name)
        if pending is None:
            if name in directory.files:
                self._pend(directory, name, fresh=False, bound=0.0, wait=math.inf, now=now)
            else:
                self._created(directory, name, now)
        elif not pending.fresh and pending.due != math.inf:
            pending.due = self._burst_due(pending, now)

    def _closed(self, directory: Directory, name: bytes, now: float) -> None:
        pending = directory.pending.get(name)
        if pending is None:
            if name in directory.files:
                self._compare(directory, name, now)
            else:
                self._pend(directory, name, fresh=True, bound=0.0, wait=self._timing.hold, now=now)
        elif pending.fresh:
            if pending.bound:
                pending.bound = 0.0
                self._set_due(pending, now + self._timing.hold)
        else:
            pending.bound = 0.0
            self._set_due(pending, self._burst_due(pending, now))

    def _moved_to(self, directory: Directory, name: bytes, cookie: int, now: float) -> None:
        bound = self._moves.pop(cookie, 0.0)
        fresh = name not in directory.files
        directory.pending.pop(name, None)
        self._pend(directory, name, fresh=fresh, bound=bound, wait=self._timing.hold, now=now)

    def _gone(self, directory: Directory, name: bytes, cookie: int) -> None:
        pending = directory.pending.pop(name, None)
        if cookie and pending is not None:
            # Renamed while it is written: the close will come under the new name.
            writing = pending.due == math.inf
            self._remember_move(cookie, self._timing.silence if writing else pending.bound)
        if directory.files.pop(name, None) is not None:
            self._tell(EventType.DELETE, directory.join(name))

    def _remember_move(self, cookie: int, bound: float) -> None:
        self._moves[cookie] = bound
        if len(self._moves) > _MOVES_REMEMBERED:
            del self._moves[next(iter(self._moves))]

    def _refresh(self) -> None:
        """A changed time or owner is no change of content: take it as known.

        A write that the look shows already is told all the same, for its own
        event follows.
        """
        touched, self._touched = self._touched, {}
        for directory, name in touched:
            if directory.alive and name in directory.files and name not in directory.pending:
                entry = self._disk.look(directory.join(name))
                if entry is not None and directory.files[name] != NEVER:
                    directory.files[name] = entry.identity

    def _compare(self, directory: Directory, name: bytes, now: float) -> None:
        entry = self._disk.look(directory.join(name))
        if entry is not None and entry.identity != directory.files[name]:
            self._pend(
                directory, name, fresh=False, bound=0.0, wait=self._timing.burst_gap, now=now
            )

    # Directories ------------------------------------------------------------

    def _self_event(self, directory: Directory, mask: int, now: float) -> None:
        if mask & IN_IGNORED:
            self._unbind(directory)
        if mask & IN_UNMOUNT:
            self._freeze(directory, now)
        if directory is self.root:
            self._check_at = now
        elif mask & IN_ATTRIB and directory in self._unwatched:
            self._queue(directory)

    def _directory_event(self, parent: Directory, name: bytes, mask: int, now: float) -> None:
        if not self._filter.directory(parent.path, name):
            return
        if mask & _GONE:
            if name in parent.subdirs:
                self._drop(parent, name)
                self.active_at = now
        elif mask & _CAME:
            self.active_at = now
            known = parent.subdirs.get(name)
            if known is not None:
                # Removed and made again, or met by a scan before.
                self._queue(known)
            elif name not in parent.subdirs:
                self._adopt(parent, name, follow=self._mode is PathMode.FOLLOW)
        elif mask & IN_ATTRIB:
            known = parent.subdirs.get(name)
            if known is not None and known in self._unwatched:
                self._queue(known)

    def _adopt(self, parent: Directory, name: bytes, *, follow: bool, silent: bool = False) -> None:
        child = Directory(parent.join(name), parent) if follow else None
        parent.subdirs[name] = child
        if not silent:
            self._tell_directory(EventType.CREATE, parent.join(name))
        if child is not None:
            self._queue(child, silent=silent)

    def _drop(self, parent: Directory, name: bytes, *, silent: bool = False) -> None:
        child = parent.subdirs.pop(name)
        if child is not None:
            for directory in reversed(list(self._all(child))):
                self._forget(directory)
                if not silent:
                    for file in directory.files:
                        self._tell(EventType.DELETE, directory.join(file))
                    if directory is not child:
                        self._tell_directory(EventType.DELETE, directory.path)
        if not silent:
            self._tell_directory(EventType.DELETE, parent.join(name))

    def _forget(self, directory: Directory) -> None:
        directory.alive = False
        descriptor = directory.descriptor
        self._unbind(directory)
        if descriptor is not None:
            self._disk.unwatch(descriptor)
        directory.pending.clear()
        self._unwatched.pop(directory, None)
        self._queued.discard(directory)

    def _bind(self, directory: Directory, descriptor: int, now: float) -> None:
        other = self._by_descriptor.get(descriptor)
        if other is directory:
            return
        if other is not None:
            # The same directory under two paths: renamed a moment ago, or
            # mounted twice.  The kernel reports one; the other is polled.
            other.descriptor = None
            self._poll(other, now)
        old = directory.descriptor
        self._unbind(directory)
        if old is not None:
            self._disk.unwatch(old)
        directory.descriptor = descriptor
        self._by_descriptor[descriptor] = directory

    def _unbind(self, directory: Directory) -> None:
        if directory.descriptor is not None:
            self._by_descriptor.pop(directory.descriptor, None)
            directory.descriptor = None

    def _freeze(self, directory: Directory, now: float) -> None:
        """Its file system was unmounted: nothing in it counts as deleted."""
        if directory is self.root or directory.mount is not None:
            return
        if directory.parent is not None and directory.parent.mount is None:
            self._notice(Notice.UNREACHABLE, f"{self._shown(directory.path)} was unmounted")
        directory.mount = directory.path
        self._poll(directory, now)

    def _poll(self, directory: Directory, now: float) -> None:
        self._unwatched[directory] = None
        if self._poll_at == math.inf:
            self._poll_at = now + self._timing.poll

    # Time and the disk ------------------------------------------------------

    def due(self) -> float:
        """When `step` has something to do next; inf: never of itself."""
        if self._scans:
            return -math.inf
        first = self._due[0][0] if self._due else math.inf
        return min(first, self._rescan_at, self._poll_at, self._check_at, self._agree_at)

    def step(self, now: float) -> None:
        """Tells what is due, not too much at once, and scans one directory if any waits."""
        for _ in range(_AT_ONCE):
            if not self._due or self._due[0][0] > now:
                break
            pending = heapq.heappop(self._due)[2]
            directory = pending.directory
            if directory.pending.get(pending.name) is pending and directory.alive:
                if pending.due > now:
                    self._push(pending)
                else:
                    self._settle(pending, now)
        if self._check_at <= now:
            self._check_at = now + self._timing.check
            self._check_root(now)
        if not self.reachable:
            return
        if self._rescan_at <= now and not self._scans:
            self._rescan()
        if self._poll_at <= now:
            self._poll_at = now + self._timing.poll if self._unwatched else math.inf
            for directory in self._unwatched:
                self._queue(directory)
        if self._scans:
            self._scan(*self._scans.popleft(), now)
            if not self._scans and self._rescanning and self._rescan_at == math.inf:
                # Once the files it met have been silent long enough to be told.
                self._agree_at = now + 2 * self._timing.found
        elif self._agree_at <= now:
            self._agree_at = math.inf
            self._rescanning = False
            self._notice(Notice.RESCANNED, "client and disk agree again")

    def _rescan(self) -> None:
        self._rescan_at = self._agree_at = math.inf
        self._rescanning = True
        self._queue(self.root)

    def _settle(self, pending: _Pending, now: float) -> None:
        directory, name = pending.directory, pending.name
        entry = self._disk.look(directory.join(name))
        if entry is None or entry.kind is Kind.DIRECTORY:
            del directory.pending[name]  # its Delete is on its way, or was told
            return
        complete = entry.kind is Kind.OTHER or (pending.fresh and entry.links > 1)
        if pending.bound and not complete:
            if entry.identity != pending.seen:
                pending.seen, pending.seen_at = entry.identity, now
            # The disk's clock may be another's, and wrong: silence that was
            # seen counts as much as silence that is recorded.
            silent = max(entry.quiet, now - pending.seen_at)
            if silent < pending.bound:
                pending.due = now + max(pending.bound - silent, 0.01)
                self._push(pending)
                return
        del directory.pending[name]
        directory.files[name] = entry.identity
        self._tell(EventType.CREATE if pending.fresh else EventType.MODIFY, directory.join(name))

    def _scan(self, directory: Directory, silent: bool, now: float) -> None:
        """Watches `directory` and compares it with what is known of it."""
        self._queued.discard(directory)
        if not directory.alive or (directory.mount is not None and not self._thaw(directory)):
            return
        entries = self._watch_and_list(directory, now)
        if entries is None:
            return
        found: set[bytes] = set()
        self._at_once = _AT_ONCE
        enter = self._mode is PathMode.FOLLOW or (self._mode is PathMode.RECURSE and silent)
        for name, entry in entries:
            if entry.kind is Kind.DIRECTORY:
                if not self._filter.directory(directory.path, name):
                    continue
                found.add(name)
                if name in directory.files:
                    self._gone(directory, name, 0)
                child = directory.subdirs.get(name)
                if child is not None:
                    self._queue(child, silent=silent)
                elif name not in directory.subdirs:
                    self._adopt(directory, name, follow=enter, silent=silent)
            elif self._filter.file(directory.path, name):
                found.add(name)
                if name in directory.subdirs:
                    self._drop(directory, name)
                self._found(directory, name, entry, silent, now)
        for name in [name for name in directory.subdirs if name not in found]:
            child = directory.subdirs[name]
            if child is None or child.mount is None:
                self._drop(directory, name)
        for name in [name for name in directory.files if name not in found]:
            self._gone(directory, name, 0)
        for name in [name for name in directory.pending if name not in found]:
            del directory.pending[name]

    def _found(
        self, directory: Directory, name: bytes, entry: Entry, silent: bool, now: float
    ) -> None:
        known = directory.files.get(name)
        pending = directory.pending.get(name)
        patience = self._timing.found
        if pending is not None:
            # Its close may be among the events that were lost.
            if pending.bound > patience or pending.due == math.inf:
                pending.bound = patience
                self._set_due(pending, now + patience)
        elif known is None and silent:
            directory.files[name] = entry.identity
        elif known is None:
            settled = entry.kind is Kind.OTHER or entry.links > 1 or entry.quiet >= patience
            if settled and self._at_once:
                self._at_once -= 1
                directory.files[name] = entry.identity
                self._tell(EventType.CREATE, directory.join(name))
            else:
                wait = 0.0 if settled else patience - entry.quiet
                self._pend(directory, name, fresh=True, bound=patience, wait=wait, now=now)
                directory.pending[name].seen = entry.identity
        elif known != entry.identity:
            self._pend(directory, name, fresh=False, bound=patience, wait=0.0, now=now)

    def _watch_and_list(self, directory: Directory, now: float) -> list[tuple[bytes, Entry]] | None:
        """The watch first, so that nothing comes to be between the two."""
        watched = False
        try:
            self._bind(directory, self._disk.watch(directory.path), now)
            watched = True
        except (FileNotFoundError, NotADirectoryError):
            if directory is self.root:
                self._check_at = now
            return None  # its parent's event, or scan, tells of it
        except OSError as error:
            self._unbind(directory)
            self._cannot_watch(directory, error)
        try:
            entries = self._disk.entries(directory.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if directory not in self._unwatched:
                self._cannot_watch(directory, error)
            self._poll(directory, now)
            return None
        if not watched:
            self._poll(directory, now)
        elif self._unwatched.pop(directory, self) is not self:
            self._notice(Notice.REACHABLE, f"{self._shown(directory.path)} is watched again")
        return entries

    def _cannot_watch(self, directory: Directory, error: OSError) -> None:
        if directory in self._unwatched:
            return
        shown = self._shown(directory.path)
        if error.errno == errno.ENOSPC:  # inotify's word for its limit
            if not self._limit_told:
                self._limit_told = True
                text = (
                    f"no more than {self.watches} directories can be watched, the others are "
                    "polled: raise the sysctl fs.inotify.max_user_watches"
                )
                log.warning("%s: %s", shown, text)
                self._notice(Notice.LIMIT, text)
            return
        log.warning("%s cannot be watched: %s", shown, error.strerror)
        self._notice(Notice.UNREACHABLE, f"{shown} cannot be watched: {error.strerror}")

    def _thaw(self, directory: Directory) -> bool:
        try:
            back = self._disk.mount(directory.path) == directory.mount
        except OSError:
            return False
        if back:
            directory.mount = None
            for below in self._all(directory):
                below.mount = None
        return back

    def _check_root(self, now: float) -> None:
        """Whether the root's path still leads to the directory being watched."""
        root = self.root
        before = root.descriptor
        try:
            mount = self._disk.mount(root.path)
            # A shorter mount point: an empty directory that waits for its share.
            if len(mount) < len(self._root_mount):
                raise OSError(
                    errno.ENODEV, f"nothing is mounted on {self._shown(self._root_mount)}"
                )
            self._bind(root, self._disk.watch(root.path), now)
        except OSError as error:
            if self.reachable or not self._away:
                reason = error.strerror or type(error).__name__
                log.warning("%s is unreachable: %s", self._shown(root.path), reason)
                self._notice(Notice.UNREACHABLE, f"{self._shown(root.path)}: {reason}")
            self.reachable = False
            self._away = True
            self._release()
            return
        self._root_mount = mount
        if self._away:
            self._away = False
            log.info("%s is reachable again", self._shown(root.path))
            self._notice(Notice.REACHABLE, f"{self._shown(root.path)}, a rescan follows")
        if not self.reachable or before != root.descriptor:
            self.reachable = True
            self._rescan()

    # Telling ----------------------------------------------------------------

    def _tell(self, type_: EventType, path: bytes) -> None:
        self._emit(Tell(type_, path))

    def _tell_directory(self, type_: EventType, path: bytes) -> None:
        if self._directory_events and self._filter.directory_event(path.rpartition(b"/")[2]):
            self._emit(Tell(type_, path, True))

    def _notice(self, notice: Notice, sentence: str) -> None:
        self._emit(Tell(EventType.SYSTEM, notice.text(sentence).encode()))

    def untell(self, tells: Iterable[Tell]) -> None:
        """Takes back what the client never heard, so that a rescan tells it anew.

        In the order in which it was told.  For use after `close` only.
        """
        for type_, path, is_directory in reversed(list(tells)):
            if type_ is EventType.SYSTEM:
                continue
            parent_path, _, name = path.rpartition(b"/")
            parent = self._known_directory(parent_path or b"/")
            if parent is None:
                continue
            if is_directory:
                if type_ is EventType.DELETE:
                    parent.subdirs[name] = Directory(path, parent)
                elif name in parent.subdirs:
                    self._drop(parent, name, silent=True)
            elif type_ is EventType.CREATE:
                parent.files.pop(name, None)
            else:
                parent.files[name] = NEVER

    def _known_directory(self, path: bytes) -> Directory | None:
        """The Directory of `path`, made again if it was dropped meanwhile."""
        root = self.root
        if path == root.path:
            return root
        inside = path[len(root.path.rstrip(b"/")) + 1 :]
        directory = root
        for name in inside.split(b"/"):
            child = directory.subdirs.get(name)
            if child is None:
                child = Directory(directory.join(name), directory)
                directory.subdirs[name] = child
            directory = child
        return directory

    # Small things -----------------------------------------------------------

    def _pend(
        self,
        directory: Directory,
        name: bytes,
        *,
        fresh: bool,
        bound: float,
        wait: float,
        now: float,
    ) -> None:
        pending = _Pending(directory, name, fresh=fresh, bound=bound, due=now + wait, now=now)
        directory.pending[name] = pending
        self._push(pending)

    def _push(self, pending: _Pending) -> None:
        if pending.due != math.inf:
            heapq.heappush(self._due, (pending.due, next(self._number), pending))

    def _set_due(self, pending: _Pending, due: float) -> None:
        """An entry that comes up early is put back by `step`; one that would
        come up late, or not at all, needs another."""
        earlier = due < pending.due
        pending.due = due
        if earlier:
            self._push(pending)

    def _burst_due(self, pending: _Pending, now: float) -> float:
        return min(now + self._timing.burst_gap, pending.since + self._timing.burst_longest)

    def _queue(self, directory: Directory, *, silent: bool = False) -> None:
        if directory not in self._queued:
            self._queued.add(directory)
            self._scans.append((directory, silent))

    def _all(self, directory: Directory) -> Iterable[Directory]:
        stack = [directory]
        while stack:
            one = stack.pop()
            yield one
            stack.extend(child for child in one.subdirs.values() if child is not None)

    @staticmethod
    def _shown(path: bytes) -> str:
        return path.decode("utf-8", "backslashreplace")
