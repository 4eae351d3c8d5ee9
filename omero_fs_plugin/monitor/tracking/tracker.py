"""Decides what to tell, from the kernel's events, the disk and the time.

`Tracker` decides for one monitor.  It has no clock, thread or system call of its
own: `now` is an argument, the disk is a protocol.  It uses the kernel's events
if they are enough.  If not, it compares what is known with the disk: after an
overflow, in a directory that was filled before it was watched, in a tree that was
moved in, and after any interruption.
"""

from __future__ import annotations

import errno
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping

from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.kernel.entries import Disk, Kind
from omero_fs_plugin.monitor.kernel.raw import Raw
from omero_fs_plugin.monitor.notices import Notice, shown
from omero_fs_plugin.monitor.requests import PathMode

from .comparison import Comparison
from .lanes import OWN
from .tree import NEVER, Directory
from .watches import Why

log = logging.getLogger(__name__)

# Between two looks (s) at whether a listing that takes long still shows life.
_LISTING = 0.5
# A rescan waits so long (s) until nothing else waits to be scanned.  Somebody who makes directories
# without end would keep it from beginning, and others' events may be lost too.
_RESCAN_LATEST = 5.0


class Tracker(Comparison):
    """Rule: when nothing is on its way, the known files are those that the disk shows.

    Every method does a limited piece of work; `step` scans at most one directory.
    Not thread-safe: one thread owns it.
    """

    _away = False  # the client was told that the root is unreachable
    _below_at = -math.inf  # the file systems below the root have their next turn
    _listing_at = math.inf  # when the listings that take long are looked at

    # Beginning and end ------------------------------------------------------

    def open(self, disk: Disk, now: float, *, known: bool) -> None:
        """Begins to watch.  To complete this, call `step` until `scanning` is False.

        With `known` False, everything that is there counts as known already.  With
        `known` True, it is compared with what was known before, and differences are
        told: this is for after a gap, an interruption or a restart.

        With `known` False, raises OSError if the root cannot be watched.  With `known`
        True, this is tried again until it can be.
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
        """Ends watching.  Forgets what was on its way, but not what is known.

        A write under way is not forgotten: after the next `open` with `known`, the file
        is told as modified.
        """
        self._release()
        self._check_at = math.inf
        self._below_at = -math.inf
        self._wait_for_nothing()
        self._rescans.told = False
        self.reachable = False

    def _release(self) -> None:
        self._watches.clear()
        self._arrivals.clear()
        self._late.clear()
        self._scans.clear()
        self._queued.clear()
        self._long.clear()
        self._again.clear()
        self._unfound.clear()
        for directory in self.root.tree():
            directory.touched = None
            for name, arrival in directory.arrivals.items():
                if not arrival.fresh:
                    directory.files[name] = NEVER
            directory.arrivals.clear()

    @property
    def scanning(self) -> bool:
        """Whether directories wait to be scanned by `step`."""
        return bool(self._scans.lanes)

    @property
    def unanswered(self) -> list[bytes]:
        """The mount points below the root that do not answer.  From any thread."""
        return self._late.lasting()

    @property
    def watches(self) -> int:
        """The number of directories that the kernel watches."""
        return len(self._watches.by_descriptor)

    def polled(self) -> Counter[Why]:
        """How many directories are polled instead, for each reason."""
        return self._watches.polled()

    def polled_why(self) -> str:
        """The reasons, for people."""
        return self._watches.reasons()

    # What the kernel says ---------------------------------------------------

    def feed(self, events: Iterable[Raw], now: float, *, more: bool = False) -> None:
        """Takes raw events, in their order.  `more` of those that have come by now follow."""
        lookup = self._watches.by_descriptor.get
        passes = self._filter.file
        arrivals = self._arrivals
        # A file's events come one after the other.
        last: tuple[Directory | None, bytes] = (None, b"")
        passed = closes = False
        for descriptor, mask, cookie, name in events:
            directory = lookup(descriptor)
            if directory is None:
                if mask & raw.IN_Q_OVERFLOW:
                    self.overflowed(now)
                elif mask & raw.LOOK:
                    self._hint(name, now)
                continue
            if not name:
                self._self_event(directory, mask, now)
                continue
            if directory.touched is not None:
                directory.touched.add(name)
            if mask & raw.IN_ISDIR:
                if self._directory_events or mask & raw.GONE:
                    arrivals.go_first(now)
                self._directory_event(directory, name, mask, now)
                continue
            if last[1] != name or last[0] is not directory:
                last = directory, name
                passed = passes(directory.path, name)
                closes = passed and self._filter.closes(directory.path, name)
            if passed:
                self.active_at = now
                if closes and mask & (raw.CAME | raw.GONE):
                    self._queue(directory, deep=False)  # its directories are entered, or not
                if mask & raw.WRITTEN:
                    arrivals.happened(directory, name, mask, now)
                elif mask & raw.IN_MOVED_TO:
                    if name in directory.subdirs:  # they were exchanged
                        self._hint(directory.join(name), now)
                    arrivals.moved_to(directory, name, cookie, now)
                    self._exchanges.came(directory, name)
                elif mask & raw.GONE:
                    if name in directory.files:
                        arrivals.go_first(now)
                    arrivals.gone(directory, name, cookie if mask & raw.IN_MOVED_FROM else 0)
                    if mask & raw.IN_MOVED_FROM and self._exchanges.may_be(directory, name):
                        self._hint(directory.join(name), now)
        if not more:
            arrivals.caught_up(now)

    def confirm(self, now: float, *, all_: bool = False) -> None:
        """Notes what files look like that were told just after a write, see Arrivals.confirm."""
        if self.reachable:
            self._arrivals.confirm(now, self._note, all_=all_)

    def overflowed(self, now: float) -> None:
        """Events were lost: everything will be compared with the disk."""
        if not self._rescans.told:
            log.warning("%s: events were lost, a rescan follows", shown(self.root.path))
            self._tell(Notice.OVERFLOW.tell(self.root.path, "events were lost, a rescan follows"))
        self._rescans.lost(now)

    def _self_event(self, directory: Directory, mask: int, now: float) -> None:
        if mask & raw.IN_IGNORED:
            self._watches.lost(directory)
        if directory is self.root:
            self._was_away |= bool(mask & raw.LEFT)
            self._check_at = now
        elif mask & raw.IN_UNMOUNT:
            self._unmounted(directory, now)
        elif (
            mask & raw.LEFT
            and directory.parent is not None
            and self._watches.is_polled(directory.parent)
        ):
            self._queue(directory.parent)  # no event says what is there now
        elif mask & raw.IN_ATTRIB and self._watches.is_polled(directory):
            self._queue(directory)

    def _unmounted(self, directory: Directory, now: float) -> None:
        """The kernel says for every directory, in any order, that it was unmounted."""
        while not directory.mounted:
            if directory.parent is None:
                self._check_at = now
                return
            directory = directory.parent
        self._watches.unmounted(directory, now)

    def _hint(self, path: bytes, now: float) -> None:
        """Something happened to the file or directory that has, or had, this path."""
        if path == self.root.path:
            self._check_at = now
            self._queue(self.root)
            return
        parent = self.root.known(path.rpartition(b"/")[0] or b"/")
        name = path.rpartition(b"/")[2]
        if parent is None or parent.unmounted or not self.reachable:
            return  # a scan will meet it
        entry = self._disk.look(path)
        if entry is None and self._disk.look(parent.path) is not None:
            self._is_gone(parent, name, now)
            return
        if entry is None or entry.kind is Kind.UNSEEN:
            self._unfound.add(parent)  # nobody can say now what is there
        if entry is not None and self._passes(parent, name, entry):
            self._found(parent, name, entry, False, now, deep=True, at_once=True)

    def _is_gone(self, parent: Directory, name: bytes, now: float) -> None:
        if name in parent.subdirs:
            self.active_at = now
            self._drop(parent, name)
        elif name in parent.files or name in parent.arrivals:
            self.active_at = now
            self._arrivals.gone(parent, name)

    def _directory_event(self, parent: Directory, name: bytes, mask: int, now: float) -> None:
        if parent.closed or not self._filter.directory(parent.path, name):
            return
        self.active_at = now
        known = parent.subdirs.get(name)
        if mask & raw.IN_MOVED_TO:
            self._exchanges.came(parent, name)
        if mask & raw.GONE:
            if name in parent.subdirs:
                self._drop(parent, name)
            if mask & raw.IN_MOVED_FROM and self._exchanges.may_be(parent, name):
                self._hint(parent.join(name), now)
        elif known is not None:
            # It became readable, or was removed and made again, or a scan has met it before.
            if mask & raw.CAME or self._watches.is_polled(known):
                self._queue(known)
        elif mask & raw.CAME and name in parent.files:  # they were exchanged
            self._hint(parent.join(name), now)
        elif mask & raw.CAME and name not in parent.subdirs:
            self._adopt(parent, name, enter=self._mode is PathMode.FOLLOW)

    # Time and the disk ------------------------------------------------------

    def due(self) -> float:
        """When `step` has something to do next; inf if not before something happens."""
        if self._rescans.over:
            return -math.inf
        late = self._disk.late()
        late_at = self._late.due(late) if late or self._late.known else math.inf
        if not self.reachable:
            return min(self._arrivals.due(), self._check_at, late_at)
        if not self._scans.lanes:  # nearly always, and this is asked for each event
            scans = self._rescans.agree_at
        elif self._scans.waits(OWN):
            return -math.inf
        else:
            scans = self._below_at if self._scans.below(self._busy()) else math.inf
        first = self._arrivals.due(self._below_at)
        times = (self._rescans.at, self._watches.poll_at, self._check_at, self._listing_at)
        return min(scans, first, *times, late_at)

    def step(self, now: float) -> None:
        """Tells what is due, but not too much at once, and scans one directory if one waits.

        What the file systems below the root keep us waiting for, they rest afterwards.
        """
        waited, below = self._disk.waited, now >= self._below_at
        if self._rescans.over:
            self._rescans.ended(now)
        self._arrivals.step(now, waited, below=below, scanning=bool(self._scans.lanes))
        late = self._disk.late()
        if late or self._late.known:
            self._mind_late(late, now)
        if self._check_at <= now:
            self._check_at = now + self._timing.check
            self._check_root(now)
        if not self.reachable:
            return
        at = self._rescans.at
        if at <= now and (not self._scans.waits(OWN) or at + _RESCAN_LATEST <= now):
            self._rescan(now)
        if self._watches.poll_at <= now:
            for directory in self._watches.begin_round(now):
                self._queue(directory, deep=False)
        if self._scans.lanes:
            self._scan_next(now, below=below)
        else:
            self._listing_at = math.inf  # the one that was waited for is of a root that was away
            if self._rescans.agree_at <= now:
                self._rescans.agreed()
                self._tell(Notice.RESCANNED.tell(self.root.path, "client and disk agree again"))
        waited = self._disk.waited - waited
        if waited:
            self._below_at = now + 2 * waited  # we are there only since `now` and as long as that

    def scan_own(self, now: float) -> bool:
        """Scans one more directory in the turn of the last `step`, without what else a step does.

        Does nothing, and returns False, unless directories wait on the root's own file system
        alone.
        """
        if not self._scans.only_own or not self.reachable:
            return False
        self._scan_own(now)
        return True

    def _scan_own(self, now: float) -> None:
        found = self._scans.pop((), below=False)
        if found is not None:
            self._scan(found[1], found[2], now)
            self._scanned(OWN, now)

    def _busy(self) -> set[bytes]:
        """The lanes that have no turn now.

        One of their directories is being listed; or the directory that they are mounted in waits
        for its scan, which says whether they are mounted still.
        """
        busy = set(self._disk.listing())
        for lane in self._scans.lanes:
            above = self.root.known(lane.rpartition(b"/")[0]) if lane != OWN else None
            if above is not None and above in self._queued:
                busy.add(lane)
        return busy

    def _scan_next(self, now: float, *, below: bool) -> None:
        if self._scans.only_own:
            self._scan_own(now)
        else:
            busy = self._busy()
            found = self._scans.pop(busy, below=True) if below else None
            found = found or self._scans.pop(busy, below=False)
            if found is not None:
                lane, directory, silent = found
                self._scan(directory, silent, now)
                self._scanned(lane, now)
        self._listing_at = now + _LISTING if self.scanning and self._disk.listing() else math.inf

    def _scanned(self, lane: bytes, now: float) -> None:
        self._scans.done(lane)
        if self._scans.waits(lane):
            return
        self._watches.end_round(lane, now)
        if lane == OWN:
            self._rescans.scanned_own()
        if self._rescans.told and not self._scans.lanes:
            # By then the files that it met were silent for long enough to be told.
            longest = self._timing.silence if self.polled() else self._timing.found
            self._rescans.scanned_all(now, 2 * longest)

    def _rescan(self, now: float) -> None:
        self._rescans.begin(now)
        self._look_anew()

    def _look_anew(self) -> None:
        self._was_away = False
        self._again.update(self._long)  # events were lost since their listings began
        self._queue(self.root)

    def _wait_for_nothing(self) -> None:
        self._listing_at = math.inf
        self._rescans.forget()

    # File systems below the root that do not answer ---------------------------

    def _mind_late(self, late: Mapping[bytes, float], now: float) -> None:
        """What happened there was not seen: once it answers, it is compared with what is known."""
        for path in self._late.lasts(late, now):
            directory = self.root.known(path)
            if directory is not None:
                self._watches.unanswered(directory, now)
        for path in self._late.over(late):
            directory = self.root.known(path)
            if directory is not None:
                log.info("%s answers again", shown(path))
                self._queue(directory)

    # The root ---------------------------------------------------------------

    def _check_root(self, now: float) -> None:
        """Checks whether the root's path still leads to the watched directory."""
        before = self.root.descriptor
        try:
            mount = self._disk.mount(self.root.path)
            # If the mount point is shorter, this is an empty directory that waits for its share;
            # unless a link led to that share, and leads elsewhere now.
            if len(mount) < len(self.mount) and self._disk.lies_below(self.mount):
                raise OSError(errno.ENODEV, f"nothing is mounted on {shown(self.mount)}")
            self._watches.bind_root(self.root, now)
        except OSError as error:
            self._lose_root(error)
            return
        self.mount = mount
        self._check_mounts()
        for directory in self._unfound:
            if directory.alive:
                self._queue(directory)
        self._unfound.clear()
        if self._away:
            self._away = False
            self._watches.reached(self.root)
            log.info("%s is reachable again", shown(self.root.path))
            self._tell(Notice.REACHABLE.tell(self.root.path, "it is back, a rescan follows"))
        another = before is not None and before != self.root.descriptor
        if not self.reachable or another:
            self.reachable = True
            self._rescan(now)
        elif self._was_away:
            self._back_at = now
            self._look_anew()
        elif before != self.root.descriptor:
            self._queue(self.root)  # it was polled before, and is watched now

    def _check_mounts(self) -> None:
        """Finds mounts and unmounts over directories; no kernel event tells of them."""
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
        self.reachable = self._was_away = False
        self._release()
        self._wait_for_nothing()  # a rescan begins when it is back
        for directory in self.root.tree():
            directory.unmounted = False  # this is looked at again when the root is back
