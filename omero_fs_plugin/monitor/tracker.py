"""What to tell of, given what the kernel says, what the disk shows and the time.

`Tracker` is the monitor's mind, without a clock, a thread or a system call of
its own: `now` is an argument, the disk a protocol.  It knows every file that
the client has been told of (or that was there at the start) and compares that
picture with the disk wherever the kernel's word does not suffice: after an
overflow, in a directory that was filled before it was watched, in a tree that
was moved in, after any interruption.
"""

from __future__ import annotations

import errno
import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from ..events import EventType
from . import raw
from .arrivals import AT_ONCE, Arrivals, Timing
from .filters import Filter
from .notices import Notice, Tell, shown
from .raw import Raw
from .tree import MAYBE, NEVER, Directory, Disk, Entry, Kind, PathMode
from .watches import Watches, Why

log = logging.getLogger(__name__)


class Tracker:
    """Rule: once nothing is on its way, the files known are those the disk shows.

    Every method does a bounded piece of work; `step` scans at most one
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
        note: Callable[[Tell], None] = lambda tell: None,
    ) -> None:
        """`note` is called for a directory that comes or goes and is not told of."""
        self.root = Directory(root, None)
        self.reachable = False
        self.active_at = -math.inf  # when something last happened to what is told of
        self.mount = b""  # where the root's file system is mounted; empty: not known
        self._tell = tell
        self._note = note
        self._filter = passes
        self._mode = mode
        self._directory_events = directory_events
        self._timing = timing or Timing()
        self._arrivals = Arrivals(tell, self._timing)
        self._watches = Watches(root, tell, self._timing)
        self._disk: Disk  # while open
        self._scans: deque[tuple[Directory, bool]] = deque()  # (what, silently)
        # Waiting to be scanned; with True also all that is known below them.
        self._queued: dict[Directory, bool] = {}
        self._rescan_at = math.inf
        self._rescanning = False  # the client was told that events were lost
        self._agree_at = math.inf  # when it can be told that none are missing now
        self._check_at = math.inf
        self._away = False  # the client was told that the root is unreachable

    # Beginning and end ------------------------------------------------------

    def open(self, disk: Disk, now: float, *, known: bool) -> None:
        """Begins to watch; `step` until `scanning` is False completes it.

        With `known` False what is there is taken as known already.  With True
        it is compared with what was known before, and told where it differs:
        after a gap, an interruption or a restart.

        Raises OSError, with `known` False only, when the root cannot be
        watched; otherwise it is tried again until it can.
        """
        self._disk = self._arrivals.disk = self._watches.disk = disk
        if known:
            self._check_at = now
            return
        self.mount = disk.mount(self.root.path)
        self._watches.bind_root(self.root, now)
        self.reachable = True
        self._check_at = now + self._timing.check
        self.active_at = now
        self._queue(self.root, silent=True)

    def close(self) -> None:
        """Ends watching and forgets what was on its way, not what is known.

        A write under way is not forgotten: the file will be told as modified
        after the next `open` with `known`.
        """
        self._release()
        self._rescan_at = self._agree_at = self._check_at = math.inf
        self._rescanning = False
        self.reachable = False

    def _release(self) -> None:
        self._watches.clear()
        self._arrivals.clear()
        self._scans.clear()
        self._queued.clear()
        for directory in self.root.tree():
            for name, arrival in directory.arrivals.items():
                if not arrival.fresh:
                    directory.files[name] = NEVER
            directory.arrivals.clear()

    @property
    def scanning(self) -> bool:
        """Whether directories wait for `step`."""
        return bool(self._scans)

    @property
    def watches(self) -> int:
        """Directories that the kernel watches."""
        return len(self._watches.by_descriptor)

    def polled(self) -> Counter[Why]:
        """Directories that are polled instead, and why."""
        return self._watches.polled()

    def polled_why(self) -> str:
        """The reasons for people."""
        return self._watches.reasons()

    # What the kernel says ---------------------------------------------------

    def feed(self, events: Iterable[Raw], now: float) -> None:
        """Takes raw events, in their order."""
        lookup = self._watches.by_descriptor.get
        passes = self._filter.file
        arrivals = self._arrivals
        for descriptor, mask, cookie, name in events:
            directory = lookup(descriptor)
            if directory is None:
                if mask & raw.IN_Q_OVERFLOW:
                    self.overflowed(now)
                elif mask & raw.LOOK:
                    self._hint(name, now)
            elif not name:
                self._self_event(directory, mask, now)
            elif mask & raw.IN_ISDIR:
                self._directory_event(directory, name, mask, now)
            elif passes(directory.path, name):
                if mask & raw.IN_ATTRIB:
                    continue  # of interest for directories only
                self.active_at = now
                if mask & raw.IN_CREATE:
                    arrivals.created(directory, name, now)
                elif mask & raw.IN_MODIFY:
                    arrivals.written(directory, name, now)
                elif mask & raw.IN_CLOSE_WRITE:
                    arrivals.closed(directory, name, now)
                elif mask & raw.IN_MOVED_TO:
                    arrivals.moved_to(directory, name, cookie, now)
                elif mask & raw.GONE:
                    arrivals.gone(directory, name, cookie if mask & raw.IN_MOVED_FROM else 0)

    def overflowed(self, now: float) -> None:
        """Events were lost: everything will be compared with the disk."""
        if not self._rescanning:
            log.warning("%s: events were lost, a rescan follows", shown(self.root.path))
            self._tell(Notice.OVERFLOW.tell(self.root.path, "events were lost, a rescan follows"))
        self._rescanning = True
        self._agree_at = math.inf
        if self._rescan_at == math.inf:
            self._rescan_at = now + self._timing.overflow

    def _self_event(self, directory: Directory, mask: int, now: float) -> None:
        if mask & raw.IN_IGNORED:
            self._watches.lost(directory)
        if directory is self.root:
            self._check_at = now
        elif mask & raw.IN_UNMOUNT:
            self._unmounted(directory, now)
        elif (
            mask & raw.LEFT
            and directory.parent is not None
            and self._watches.is_polled(directory.parent)
        ):
            self._queue(directory.parent)  # nobody else says what is there now
        elif mask & raw.IN_ATTRIB and self._watches.is_polled(directory):
            self._queue(directory)

    def _unmounted(self, directory: Directory, now: float) -> None:
        """The kernel says so of every directory, in an order of its own."""
        while not directory.mounted:
            if directory.parent is None:
                self._check_at = now
                return
            directory = directory.parent
        self._watches.unmounted(directory, now)

    def _hint(self, path: bytes, now: float) -> None:
        """Something happened to what has, or had, this path."""
        if path == self.root.path:
            self._check_at = now
            self._queue(self.root)
            return
        parent = self.root.known(path.rpartition(b"/")[0] or b"/")
        name = path.rpartition(b"/")[2]
        if parent is None or parent.unmounted or not self.reachable:
            return  # a scan will meet it
        entry = self._disk.look(path)
        if entry is not None:
            if self._passes(parent, name, entry):
                self._found(parent, name, entry, False, now, deep=True, at_once=True)
        elif name in parent.subdirs:
            self.active_at = now
            self._drop(parent, name)
        elif name in parent.files or name in parent.arrivals:
            self.active_at = now
            self._arrivals.gone(parent, name)

    def _directory_event(self, parent: Directory, name: bytes, mask: int, now: float) -> None:
        if not self._filter.directory(parent.path, name):
            return
        self.active_at = now
        known = parent.subdirs.get(name)
        if mask & raw.GONE:
            if name in parent.subdirs:
                self._drop(parent, name)
        elif known is not None:
            # Made readable, removed and made again, or met by a scan before.
            if mask & raw.CAME or self._watches.is_polled(known):
                self._queue(known)
        elif mask & raw.CAME and name not in parent.subdirs:
            self._adopt(parent, name, enter=self._mode is PathMode.FOLLOW)

    # The tree ---------------------------------------------------------------

    def _adopt(self, parent: Directory, name: bytes, *, enter: bool, silent: bool = False) -> None:
        child = Directory(parent.join(name), parent) if enter else None
        if not silent:
            self._tell_directory(EventType.CREATE, parent.join(name))
        parent.subdirs[name] = child
        if child is not None:
            self._queue(child, silent=silent)

    def _drop(self, parent: Directory, name: bytes, *, silent: bool = False) -> None:
        """Forgets a directory and all below it; tells the deepest first."""
        child = parent.subdirs[name]
        path = parent.join(name)
        below = list(child.tree()) if child is not None else []
        for directory in reversed(below) if not silent else ():
            for file in directory.files:
                self._tell(Tell(EventType.DELETE, directory.join(file)))
            for other, entered in directory.subdirs.items():
                if entered is None:
                    self._tell_directory(EventType.DELETE, directory.join(other))
            if directory is not child:
                self._tell_directory(EventType.DELETE, directory.path)
        if not silent:
            self._tell_directory(EventType.DELETE, path)
        del parent.subdirs[name]
        parent.resolve(name)
        for directory in below:
            directory.alive = False
            self._watches.forget(directory)
            self._queued.pop(directory, None)

    def _tell_directory(self, kind: EventType, path: bytes) -> None:
        if self._directory_events and self._filter.directory_event(path.rpartition(b"/")[2]):
            self._tell(Tell(kind, path, True))
        else:
            self._note(Tell(kind, path, True))

    def untell(self, tells: Sequence[Tell], tried: int = 0) -> None:
        """Takes back what the client did not hear, so that a rescan tells it anew.

        In the order in which it was told; the first `tried` it may have heard.
        For use after `close` only.
        """
        for number in reversed(range(len(tells))):
            kind, path, is_directory, _ = tells[number]
            if kind is EventType.SYSTEM:
                continue
            above, _, name = path.rpartition(b"/")
            parent = self.root.below(above or b"/")
            if kind is EventType.MODIFY:
                if parent.files.get(name) != MAYBE:
                    parent.files[name] = NEVER
            elif number < tried:
                self._doubt(parent, name, is_directory)
            elif not is_directory:
                if kind is EventType.CREATE:
                    parent.files.pop(name, None)
                else:
                    parent.files[name] = NEVER
            elif kind is EventType.CREATE:
                if name in parent.subdirs:
                    self._drop(parent, name, silent=True)
            elif name not in parent.subdirs:
                enter = self._mode is PathMode.FOLLOW
                parent.subdirs[name] = Directory(path, parent) if enter else None

    def doubt(self, path: bytes, is_directory: bool) -> None:
        """The client may have heard that it came, or that it went.

        For use before `open` only.
        """
        above, _, name = path.rpartition(b"/")
        self._doubt(self.root.below(above or b"/"), name, is_directory)

    def _doubt(self, parent: Directory, name: bytes, is_directory: bool) -> None:
        enter = self._mode is PathMode.FOLLOW
        parent.doubt(name, directory=is_directory, enter=enter)

    # Time and the disk ------------------------------------------------------

    def due(self) -> float:
        """When `step` has something to do next; inf: never of itself."""
        if self._scans:
            return -math.inf
        first = self._arrivals.due()
        times = (self._rescan_at, self._watches.poll_at, self._check_at, self._agree_at)
        return min(first, *times)

    def step(self, now: float) -> None:
        """Tells what is due, not too much at once, and scans one directory if any waits."""
        self._arrivals.step(now)
        if self._check_at <= now:
            self._check_at = now + self._timing.check
            self._check_root(now)
        if not self.reachable:
            return
        if self._rescan_at <= now and not self._scans:
            self._rescan()
        if self._watches.poll_at <= now:
            for directory in self._watches.begin_round(now):
                self._queue(directory, deep=False)
        if self._scans:
            self._scan(*self._scans.popleft(), now)
            if not self._scans:
                self._watches.end_round(now)
                if self._rescanning and self._rescan_at == math.inf:
                    # Once the files it met have been silent long enough to be told.
                    longest = self._timing.silence if self.polled() else self._timing.found
                    self._agree_at = now + 2 * longest
        elif self._agree_at <= now:
            self._agree_at = math.inf
            self._rescanning = False
            self._tell(Notice.RESCANNED.tell(self.root.path, "client and disk agree again"))

    def _rescan(self) -> None:
        self._rescan_at = self._agree_at = math.inf
        self._rescanning = True
        self._queue(self.root)

    def _queue(self, directory: Directory, *, silent: bool = False, deep: bool = True) -> None:
        if directory not in self._queued:
            self._scans.append((directory, silent))
        self._queued[directory] = deep or self._queued.get(directory, False)

    def _scan(self, directory: Directory, silent: bool, now: float) -> None:
        """Watches `directory` and compares it with what is known of it."""
        deep = self._queued.pop(directory, False)
        if not directory.alive or self._watches.is_away(directory):
            return
        listing = self._watches.watch_and_list(directory, now)
        if listing is None:
            if directory is self.root:
                self._check_at = now
            return
        if self._elsewhere(directory, listing.device, now):
            return
        there: set[bytes] = set()
        told = 0
        for name, entry in listing.names:
            if self._passes(directory, name, entry):
                there.add(name)
                at_once = told < AT_ONCE
                told += self._found(directory, name, entry, silent, now, deep=deep, at_once=at_once)
        gone = [name for name in directory.subdirs if name not in there]
        for name in gone:
            child = directory.subdirs[name]
            if child is None or not child.unmounted:
                self._drop(directory, name)
        lost = [name for name in directory.files if name not in there]
        for name in lost:
            self._arrivals.gone(directory, name)
        for name in [name for name in directory.arrivals if name not in there]:
            del directory.arrivals[name]
        if gone or lost:
            self.active_at = now

    def _elsewhere(self, directory: Directory, device: int, now: float) -> bool:
        """Whether something was mounted here, or unmounted, since the last look.

        Then nothing is believed before it is clear which: what an empty mount
        point shows is not that all is gone.
        """
        before, directory.device = directory.device, device
        if before in (0, device):
            return False
        if directory.parent is None:
            self._check_root(now)
        else:
            self._queue(directory.parent, deep=False)
        if self.reachable:
            self._queue(directory)
        return True

    def _passes(self, directory: Directory, name: bytes, entry: Entry) -> bool:
        if entry.kind is Kind.UNSEEN:
            return True  # whatever it is, it is not gone
        if entry.kind is Kind.DIRECTORY:
            return self._filter.directory(directory.path, name)
        return self._filter.file(directory.path, name)

    def _found(
        self,
        directory: Directory,
        name: bytes,
        entry: Entry,
        silent: bool,
        now: float,
        *,
        deep: bool,
        at_once: bool,
    ) -> bool:
        """The disk shows it; True when it was told at once."""
        if entry.kind is Kind.DIRECTORY:
            self._found_directory(directory, name, entry, silent, now, deep=deep)
            return False
        if entry.kind is Kind.UNSEEN:
            child = directory.subdirs.get(name)
            if child is not None:
                self._queue(child, silent=silent, deep=False)  # says why, if it cannot either
            elif entry.mounted:  # so it is a directory, and will be back
                self._found_directory(directory, name, entry, silent, now, deep=deep)
            return False
        if name in directory.subdirs:
            self._drop(directory, name)
        return self._found_file(directory, name, entry, silent, now, at_once=at_once)

    def _found_directory(
        self,
        parent: Directory,
        name: bytes,
        entry: Entry,
        silent: bool,
        now: float,
        *,
        deep: bool,
    ) -> None:
        if name in parent.files:
            self._arrivals.gone(parent, name)  # a file had this name
        if parent.resolve(name):
            self._tell_directory(EventType.CREATE, parent.join(name))
        child = parent.subdirs.get(name)
        if child is not None:
            if child.mounted and not entry.mounted:
                self._watches.unmounted(child, now)
            elif entry.mounted and not child.mounted:
                child.mounted = True
                self._note(Tell(EventType.CREATE, child.path, True))  # to be kept
            # Watched or polled by itself, a look at its parent is none at it.
            if deep or not self._watches.is_watched(child):
                self._queue(child, silent=silent, deep=deep)
        elif name not in parent.subdirs:
            enter = self._mode is PathMode.FOLLOW or (self._mode is PathMode.RECURSE and silent)
            if not silent:
                self.active_at = now
            self._adopt(parent, name, enter=enter, silent=silent)
            child = parent.subdirs[name]
            if child is not None:
                child.mounted = entry.mounted

    def _found_file(
        self,
        directory: Directory,
        name: bytes,
        entry: Entry,
        silent: bool,
        now: float,
        *,
        at_once: bool,
    ) -> bool:
        known = directory.files.get(name)
        if silent and known is None and name not in directory.arrivals:
            directory.files[name] = entry.identity
            return False
        if known != entry.identity and name not in directory.arrivals:
            self.active_at = now
        # Where nobody tells of a close, silence must stand for it.
        polled = self._watches.is_polled(directory)
        patience = self._timing.silence if polled else self._timing.found
        return self._arrivals.found(directory, name, entry, now, at_once=at_once, patience=patience)

    # The root ---------------------------------------------------------------

    def _check_root(self, now: float) -> None:
        """Whether the root's path still leads to the directory being watched."""
        before = self.root.descriptor
        try:
            mount = self._disk.mount(self.root.path)
            # A shorter mount point: an empty directory that waits for its share.
            if len(mount) < len(self.mount):
                raise OSError(errno.ENODEV, f"nothing is mounted on {shown(self.mount)}")
            self._watches.bind_root(self.root, now)
        except OSError as error:
            self._lose_root(error)
            return
        self.mount = mount
        self._check_mounts()
        if self._away:
            self._away = False
            log.info("%s is reachable again", shown(self.root.path))
            self._tell(Notice.REACHABLE.tell(self.root.path, "it is back, a rescan follows"))
        if not self.reachable or (before is not None and before != self.root.descriptor):
            self.reachable = True
            self._rescan()
        elif before != self.root.descriptor:
            self._queue(self.root)  # it was polled, and is watched now

    def _check_mounts(self) -> None:
        """No kernel event tells of what is mounted over a directory, or was."""
        for path in self._disk.remounted():
            parent = self.root.known(path.rpartition(b"/")[0])
            if parent is not None:
                self._queue(parent, deep=False)
            directory = self.root.known(path)
            if directory is not None:
                self._queue(directory)

    def _lose_root(self, error: OSError) -> None:
        if not self._away:
            self._away = True
            reason = error.strerror or type(error).__name__
            log.warning("%s is unreachable: %s", shown(self.root.path), reason)
            if not self._watches.has_told(self.root):
                self._tell(Notice.UNREACHABLE.tell(self.root.path, reason))
        self.reachable = False
        self._release()
        for directory in self.root.tree():
            directory.unmounted = False  # seen anew when the root is back
