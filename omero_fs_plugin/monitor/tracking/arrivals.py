"""When to tell a file: from the kernel's events to Create, Modify and Delete.

Pure, except for the disk that it is given: `now` is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.kernel.entries import Disk, Entry, Identity, Kind
from omero_fs_plugin.monitor.notices import Tell

from .lanes import OWN, Due, Heaps, Scans
from .line import Line, is_temporary
from .met import Met
from .racy import Racy, to_keep
from .recent import Recent
from .tree import MAYBE, NEVER, Arrival, Directory

# Renames whose second half has not come yet.
_MOVES_REMEMBERED = 64
# If an event comes more than this (s) after a write, and the file looks as it is known,
# then the last look saw that write.  If it comes sooner, this is not certain: two writes
# in one tick of the disk's clock, 10 ms at most, may look the same.
_LATE = 1.0
# Files told in one go; the kernel's queue is read in between.
AT_ONCE = 1000
# ... while directories wait for a scan, which is as much work: they may be others'.
AT_ONCE_OF_MANY = 100
# So long (s) the file systems below the root may keep us waiting before the rest has its turn.
BELOW = 0.1


@dataclass(frozen=True)
class Timing:
    """Every wait, in seconds."""

    hold: float = 0.05  # between the close of a temporary name and its Create: a rename may follow
    silence: float = 10.0  # if its writer keeps a new file open, it is told after this silence
    found: float = 0.5  # the same for a file that a scan met: its close may have been missed
    burst_gap: float = 0.5  # writes closer together than this are one burst, one Modify
    burst_longest: float = 30.0  # a burst is told after this even if it goes on
    overflow: float = 0.05  # between an overflow and its rescan, see rescans.LONGEST_OVERFLOW
    poll: float = 10.0  # between two looks at a directory that cannot be watched
    late: float = 2.0  # that a file system may fail to answer before the client is told
    check: float = 2.0  # between two looks at whether the root is still itself


class Arrivals:
    """Rule: a file is known from the moment when it was told, until its Delete.

    A temporary name (line.is_temporary) that comes and goes within `Timing.hold` is not
    told.  So if it is renamed to the final name, this is one Create, of the final name.

    If only time or owner change, this is not told.  It does not count as known
    either, because a look may show a write whose event was lost.
    """

    def __init__(self, tell: Callable[[Tell], None], timing: Timing, scans: Scans) -> None:
        """`scans`: the directories that wait to be scanned."""
        self.disk: Disk  # set while the tracker is open
        self._tell = tell
        self._timing = timing
        self._heaps = Heaps()
        self._line = Line(scans)
        self._met = Met(scans)
        self._waited = 0.0  # s; how long we had waited for file systems below at the last step
        self._moves: dict[int, float] = {}  # cookie of a rename under way -> bound of its file
        self._recent = Recent(timing.burst_gap)  # known files that were told as written
        self.racy = Racy()

    def clear(self) -> None:
        """Forgets everything that waits or is on its way."""
        self._heaps.clear()
        self._line.clear()
        self._met.clear()
        self._moves.clear()
        self._recent.clear()
        self.racy.clear()

    # What the kernel says ---------------------------------------------------

    def happened(self, directory: Directory, name: bytes, mask: int, now: float) -> None:
        """It came, was written and was closed, or as much of this as `mask` says."""
        closes = mask & raw.IN_CLOSE_WRITE
        if closes and name not in directory.arrivals and not directory.knows(name):
            self._complete(self._arrival(directory, name, fresh=True, now=now), now)
            return  # the close of a new file says all
        if mask & raw.IN_CREATE:
            self.created(directory, name, now)
        if mask & raw.IN_MODIFY:
            self.written(directory, name, now)
        if closes:
            self._closed(directory, name, now)

    def created(self, directory: Directory, name: bytes, now: float) -> None:
        """A name is new.  Its writer has it open, unless it is a link."""
        if name in directory.arrivals:
            return
        if directory.knows(name):
            # A scan met it before its event came, or the event of its deletion was lost.
            self._compare(directory, name, now, closed=False)
            return
        self._begun(directory, name, fresh=True, bound=self._timing.silence, now=now)

    def written(self, directory: Directory, name: bytes, now: float) -> None:
        """Its content has changed.

        The writer still has it open, and its close is awaited; unless it was truncate(2) by its
        path, or a server of files that did this.
        """
        arrival = directory.arrivals.get(name)
        if arrival is None:
            if directory.knows(name):
                wait, bound = self._timing.burst_gap, self._timing.silence
                added = self._add(directory, name, fresh=False, bound=bound, wait=wait, now=now)
                added.unopened = directory.lane == OWN
            else:
                self.created(directory, name, now)
        elif not arrival.fresh and arrival.due != math.inf and not arrival.bound:
            arrival.closed_as = None
            arrival.bound, arrival.unopened = self._timing.silence, directory.lane == OWN
            self._set_due(arrival, self._burst_due(arrival, now))

    def _closed(self, directory: Directory, name: bytes, now: float) -> None:
        """A writer has closed one that is known, or on its way."""
        arrival = directory.arrivals.get(name)
        if arrival is None:
            self._compare(directory, name, now)
        elif not arrival.fresh:
            arrival.bound = 0.0
            self._rewritten(arrival, now)
        elif arrival.bound:
            met, arrival.bound = arrival.bound < self._timing.silence, 0.0
            if met and not is_temporary(name):
                self._set_due(arrival, min(arrival.due, now))  # by a scan, so it has waited
            else:
                self._complete(arrival, now)

    def moved_to(self, directory: Directory, name: bytes, cookie: int, now: float) -> None:
        """It came by a rename, from inside or outside the tree."""
        bound = self._moves.pop(cookie, 0.0)
        fresh = not directory.knows(name)
        if bound:
            self._begun(directory, name, fresh=fresh, bound=bound, now=now)
        else:
            self._complete(self._arrival(directory, name, fresh=fresh, now=now), now)

    def gone(self, directory: Directory, name: bytes, cookie: int = 0) -> None:
        """It was deleted, or with a `cookie` renamed."""
        arrival = directory.arrivals.pop(name, None)
        if cookie and arrival is not None:
            # It was renamed while it is written: its close will come under the new name.
            writing = arrival.bound == math.inf
            self._moves[cookie] = self._timing.silence if writing else arrival.bound
            if len(self._moves) > _MOVES_REMEMBERED:
                del self._moves[next(iter(self._moves))]
        if name in directory.files:
            # First it is told, then it goes into the picture; so too below.  If an error
            # comes in between, it is told twice, not never.
            doubted = directory.files[name] == MAYBE
            self._tell(Tell(EventType.DELETE, directory.join(name), doubted=doubted))
            del directory.files[name]

    # What a scan shows ------------------------------------------------------

    def found(
        self,
        directory: Directory,
        name: bytes,
        entry: Entry,
        now: float,
        *,
        at_once: bool,
        patience: float,
    ) -> bool:
        """A scan met it.  Returns whether it was told at once; only `at_once` allows this.

        `patience`: after so much silence (s) it counts as closed.
        """
        known = directory.files.get(name)
        arrival = directory.arrivals.get(name)
        new = arrival is None and (known is None or known == MAYBE)
        settled = entry.quiet >= patience or entry.kind is Kind.OTHER or entry.links > 1
        if new and settled and at_once:
            # Nearly each file of a tree that was moved in is such a one.
            path, identity, doubted = directory.join(name), to_keep(entry), known == MAYBE
            directory.files[name] = MAYBE  # as in _settle
            self._tell(Tell(EventType.CREATE, path, False, identity, doubted))
            directory.files[name] = entry.identity
            return True
        asks = self._asks_kernel(directory, patience)
        hold = min(patience, self._timing.hold) if asks else patience
        if arrival is not None:
            # Its close may be among the events that were lost.
            if arrival.bound > patience:
                arrival.bound = patience
                self._set_due(arrival, now + hold)
                self._meet(arrival, asks=asks)
        elif new:
            wait = 0.0 if settled else max(0.0, hold - entry.quiet)
            added = self._add(directory, name, fresh=True, bound=patience, wait=wait, now=now)
            added.seen = entry.identity
            self._meet(added, asks=asks)
        elif known != entry.identity:
            self._add(directory, name, fresh=False, bound=patience, wait=0.0, now=now)
        return False

    def _meet(self, arrival: Arrival, *, asks: bool) -> None:
        if asks and not is_temporary(arrival.name):
            self._met.add(arrival)

    def caught_up(self, now: float) -> None:
        """All events that had come by now were fed, see Met."""
        if self._met.some:
            for arrival in self._met.caught_up(lambda one: self._was_closed(one, now)):
                self._due_now(arrival, now)

    def _compare(
        self, directory: Directory, name: bytes, now: float, *, closed: bool = True
    ) -> None:
        """Tells a known file if it has changed.  Unless it was `closed`, its close is awaited."""
        late = directory.lane != OWN and self._has_waited()
        entry = None if late else self.disk.look(directory.join(name))
        if entry is None or entry.kind is Kind.UNSEEN:
            # If it is gone, its event follows.
            wait = self._timing.burst_gap if late else self._timing.check
            self._add(directory, name, fresh=False, bound=0.0, wait=wait, now=now).compare = True
        elif entry.identity == directory.files[name]:
            pass
        elif closed or entry.kind is Kind.OTHER:
            self._rewritten(self._arrival(directory, name, fresh=False, now=now), now, entry)
        else:
            self.written(directory, name, now)

    # Time -------------------------------------------------------------------

    def due(self, below_at: float = -math.inf) -> float:
        """When `step` has something to do; inf if not before something happens.

        `below_at`: the file systems below the root have no turn before.
        """
        if self._met.some:
            return -math.inf  # all events that have come are to be fed
        own = self._heaps.own.first()
        if not (self._heaps.below or self._line.lanes):  # nearly always, and it is asked often
            return own
        own = min(own, self._line.own_due())
        below = min(self._heaps.below_due(), self._line.below_due())
        return min(own, max(below, below_at))

    def step(self, now: float, waited: float, *, below: bool, scanning: bool) -> None:
        """Tells what is due, at most AT_ONCE files of each lane.  `below`: these lanes too.

        `waited`: as Disk.waited says now.
        `scanning`: directories wait for a scan, so AT_ONCE_OF_MANY at most.
        """
        most = AT_ONCE_OF_MANY if scanning else AT_ONCE
        if self._line.lanes:
            for arrival in self._line.gone(now):
                self._push(arrival)
        self._serve(self._heaps.own, now, most)
        self._waited = waited
        if not (below and self._heaps.below):
            return
        for lane, due in self._heaps.due_below(now):
            if self._has_waited():
                return
            self._serve(due, now, most, share=True)
            self._heaps.served(lane)

    def go_first(self, now: float) -> None:
        """Tells what is due, because what came after it is about to be told."""
        if self._heaps.own:
            self._serve(self._heaps.own, now, AT_ONCE)

    def _serve(self, due: Due, now: float, most: int, *, share: bool = False) -> None:
        """`share`: until its file system has had its share of this turn."""
        for _ in range(most):
            arrival = due.pop(now)
            if arrival is None:
                return
            if arrival.due > now:
                self._push(arrival)
            else:
                self._settle(arrival, now)
            if share and self._has_waited():
                return

    def _push(self, arrival: Arrival) -> None:
        self._heaps.of(arrival.directory.lane).push(arrival)

    def _has_waited(self) -> bool:
        """Whether the file systems below have had their share of this turn."""
        return self.disk.waited - self._waited > BELOW

    def confirm(self, now: float, note: Callable[[Tell], None], *, all_: bool = False) -> None:
        """Notes what files look like that were told just after a write.

        As Racy.certain.  Only where no events come each is looked at once more.  Until it is
        noted, a restart tells the file once more.
        """
        for directory, name, identity in self.racy.certain(now, all_=all_):
            path = directory.join(name)
            if directory.descriptor is not None or self._looks_as(path, identity, directory.lane):
                note(Tell(EventType.MODIFY, path, identity=identity))

    def _looks_as(self, path: bytes, identity: Identity, lane: bytes) -> bool:
        if lane != OWN and self._has_waited():
            return False  # it is told once more after a restart
        entry = self.disk.look(path)
        return entry is not None and entry.identity == identity and to_keep(entry) == identity

    def _settle(self, arrival: Arrival, now: float) -> None:
        directory, name = arrival.directory, arrival.name
        path = directory.join(name)
        entry = arrival.closed_as or self.disk.look(path)
        if entry is None and directory.descriptor is not None:
            # If it is gone, its event follows.  If none does, a directory above the root was
            # renamed, and may soon be back: no event tells of that.
            arrival.due = now + self._timing.check
            self._push(arrival)
            return
        if entry is None or entry.kind is Kind.DIRECTORY:
            del directory.arrivals[name]  # its Delete will be told, or was told
            return
        if entry.kind is Kind.UNSEEN:
            arrival.due = now + self._timing.poll
            self._push(arrival)
            return
        complete = entry.kind is Kind.OTHER or (arrival.fresh and entry.links > 1)
        if arrival.bound and not complete:
            if entry.identity != arrival.seen:
                arrival.seen, arrival.seen_at = entry.identity, now
            # The disk's clock may be that of another machine, and wrong.  So silence
            # that we saw counts as much as silence that is recorded.
            silent = max(entry.quiet, now - arrival.seen_at)
            if silent < arrival.bound:
                if self._was_closed(arrival, now):
                    self._met.closed(arrival)
                else:
                    wait = min(arrival.bound - silent, self._timing.silence)
                    arrival.due = now + max(wait, 0.01)
                self._push(arrival)
                return
        del directory.arrivals[name]
        same = not arrival.fresh and entry.identity == directory.files[name]
        if same and (arrival.compare or entry.quiet > _LATE):
            return  # the event is older than the look after which the client was told
        kind = EventType.CREATE if arrival.fresh else EventType.MODIFY
        doubted = directory.files.get(name) == MAYBE
        keep = to_keep(entry)
        if arrival.fresh:
            # If an error comes between what is told and the picture, and the file is gone by the
            # rescan, the client must hear of that.
            directory.files[name] = MAYBE
        self._tell(Tell(kind, path, identity=keep, doubted=doubted))
        directory.files[name] = entry.identity
        if not (arrival.fresh or arrival.burst):  # after a burst its last write counts
            self._recent.told(directory, name, now)
        if keep == NEVER:
            self.racy.add(directory, name, entry.identity, now)

    def _asks_kernel(self, directory: Directory, bound: float) -> bool:
        """Whether the kernel is asked if a file was closed.

        Not where no events come: there the writer may be on another machine.
        """
        return directory.lane == OWN and bound < self._timing.silence

    def _was_closed(self, arrival: Arrival, now: float) -> bool:
        """Whether the kernel says so of a file whose close may have been missed.

        Then it is due soon, see Met.  If the kernel says that somebody writes it, the
        close is still to come.  Of a known file the kernel is asked again after a silence:
        that close may come under another name of it.
        """
        if not (arrival.unopened or self._asks_kernel(arrival.directory, arrival.bound)):
            return False
        written, entry = self.disk.written(arrival.directory.join(arrival.name))
        if written is False:
            arrival.bound, arrival.due = 0.0, now + self._timing.hold
            arrival.closed_as = entry
        elif written and not arrival.fresh:
            arrival.bound, arrival.unopened = math.inf, True
        elif written or arrival.bound == math.inf:
            arrival.bound = self._timing.silence
        return written is False

    def _arrival(
        self, directory: Directory, name: bytes, *, fresh: bool, now: float, bound: float = 0.0
    ) -> Arrival:
        arrival = Arrival(directory, name, fresh=fresh, bound=bound, now=now)
        arrival.due = math.inf
        directory.arrivals[name] = arrival
        return arrival

    def _add(
        self,
        directory: Directory,
        name: bytes,
        *,
        fresh: bool,
        bound: float,
        wait: float,
        now: float,
    ) -> Arrival:
        arrival = self._arrival(directory, name, fresh=fresh, bound=bound, now=now)
        self._set_due(arrival, now + wait)
        return arrival

    def _begun(
        self, directory: Directory, name: bytes, *, fresh: bool, bound: float, now: float
    ) -> None:
        """It is there, and its writer has it open, unless it is a link: a look tells which.

        Where looks are slow, its close may make this one needless.
        """
        wait = self._timing.hold if directory.lane != OWN or is_temporary(name) else 0.0
        self._add(directory, name, fresh=fresh, bound=bound, wait=wait, now=now)

    def _complete(self, arrival: Arrival, now: float) -> None:
        """Its writer has closed it, or it came by a rename."""
        name, lane = arrival.name, arrival.directory.lane
        temporary = is_temporary(name) is not None
        if not temporary and self._line.is_free(lane):
            self._due_now(arrival, now)
        else:
            arrival.due = now + self._timing.hold
            self._line.append(arrival, temporary=temporary)

    def _set_due(self, arrival: Arrival, due: float) -> None:
        """Sets when an arrival is due.

        If that is later than before, `step` puts it back on the heap when it comes up.  If
        it is earlier, it needs another place on the heap now.
        """
        earlier = due < arrival.due
        arrival.due = due
        if earlier:
            self._push(arrival)

    def _due_now(self, arrival: Arrival, now: float) -> None:
        """As `_set_due`, of one that waits for nothing any more."""
        if now < arrival.due:
            arrival.due = now
            self._heaps.of(arrival.directory.lane).push_due(arrival)

    def _rewritten(self, arrival: Arrival, now: float, entry: Entry | None = None) -> None:
        """A known file was closed: the first one is told, what soon follows is a burst.

        `entry`: what it looks like since.
        """
        arrival.closed_as = None
        burst = self._recent.written(arrival.directory, arrival.name, now)
        if burst or is_temporary(arrival.name):
            arrival.burst = True
            self._set_due(arrival, self._burst_due(arrival, now))
        else:
            arrival.closed_as = entry
            self._complete(arrival, now)

    def _burst_due(self, arrival: Arrival, now: float) -> float:
        return min(now + self._timing.burst_gap, arrival.since + self._timing.burst_longest)
