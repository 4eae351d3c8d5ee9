"""What waits for a look at the disk, in lanes: one for the root's own file system, and one for each
that is mounted below.

Rule: a lane whose file system is slow holds up itself alone.  Those who look take a little from
each lane, and rest from the lanes below for as long as these have kept them waiting.  Within a
lane the branches take turns, each a directory in the root with all below it: it is often a user's,
and may have a hundred thousand directories, or files that are due at once.  Pure.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Collection

from .tree import Arrival, Directory

OWN = b""  # the lane of the root's own file system; the others have their mount point as name

Held = tuple[bytes, int]  # the lane and the age of what was met


class Scans:
    """The directories that wait for a scan, and whether silently: in each branch in their order.

    Each has an age, the number of the event for which it waits.  What a scan meets is as old.
    """

    def __init__(self) -> None:
        # Those in which something waits.  Ordered, and no plain dicts: to find the first of those
        # looks at all that have gone since.
        self.lanes: OrderedDict[bytes, OrderedDict[bytes, deque[tuple[Directory, bool, int]]]] = (
            OrderedDict()
        )
        self.age = 0  # of the youngest
        self._under_way: int | None = None  # the age of the one that is being scanned
        # In each lane the ages, the oldest first, and how many have them; also of the one that is
        # under way, and of what is held
        self.ages: dict[bytes, OrderedDict[int, int]] = {}

    def clear(self) -> None:
        """Nothing waits any more."""
        self.lanes.clear()
        self.ages.clear()
        self._under_way = None

    def append(self, directory: Directory, silent: bool) -> None:
        """It comes last in its branch."""
        lane = directory.lane
        branches = self.lanes.get(lane)
        if branches is None:
            branches = self.lanes[lane] = OrderedDict()
        waiting = branches.get(directory.branch)
        if waiting is None:
            waiting = branches[directory.branch] = deque()
        if self._under_way is None:
            self.age += 1
        age = self.age_now
        waiting.append((directory, silent, age))
        self._count(lane, age)

    def _count(self, lane: bytes, age: int) -> None:
        ages = self.ages.get(lane)
        if ages is None:
            ages = self.ages[lane] = OrderedDict()
        ages[age] = ages.get(age, 0) + 1

    def put_back(self, lane: bytes, directory: Directory, silent: bool) -> None:
        """It is under way, and comes next in `lane`."""
        branches, branch = self.lanes.setdefault(lane, OrderedDict()), directory.branch
        age = self.age_now
        branches.setdefault(branch, deque()).appendleft((directory, silent, age))
        self._count(lane, age)
        branches.move_to_end(branch, last=False)

    def waits(self, lane: bytes) -> bool:
        """Whether something waits there."""
        return lane in self.lanes

    def waits_for(self, lane: bytes, age: float) -> bool:
        """Whether something waits there, is under way or is held, that is so old or older."""
        ages = self.ages.get(lane)
        return ages is not None and next(iter(ages)) <= age

    @property
    def age_now(self) -> int:
        """How old is what is met now."""
        return self.age if self._under_way is None else self._under_way

    def hold(self, held: Held) -> Held:
        """Something that was met is not due yet, until `release` of the same."""
        self._count(*held)
        return held

    def release(self, held: Held) -> None:
        """It is due now, or nobody is about to tell it."""
        lane, age = held
        ages = self.ages.get(lane)
        if ages is None or age not in ages:
            return
        ages[age] -= 1
        if not ages[age]:
            del ages[age]
            if not ages:
                del self.ages[lane]

    def done(self, lane: bytes) -> None:
        """The one of this lane that was under way has been scanned."""
        age, self._under_way = self._under_way, None
        if age is not None:
            self.release((lane, age))

    @property
    def only_own(self) -> bool:
        """Whether something waits in the root's own lane, and nothing in any other."""
        return len(self.lanes) == 1 and OWN in self.lanes

    def below(self, busy: Collection[bytes]) -> bool:
        """Whether something waits in another lane than the root's own and those that are `busy`."""
        return any(lane != OWN and lane not in busy for lane in self.lanes)

    def pop(self, busy: Collection[bytes], *, below: bool) -> tuple[bytes, Directory, bool] | None:
        """The next one, with its lane; None if there is none.  It is under way until `done`.

        `below`: from the lanes below, each in its turn; else from the root's own.
        """
        lanes = self.lanes
        if below:
            lane = next((one for one in lanes if one != OWN and one not in busy), None)
        else:
            lane = OWN if OWN in lanes else None
        if lane is None:
            return None
        branches = lanes[lane]
        branch = next(iter(branches))
        waiting = branches[branch]
        directory, silent, self._under_way = waiting.popleft()
        if waiting:
            branches.move_to_end(branch)
        else:
            del branches[branch]
        if branches:
            lanes.move_to_end(lane)
        else:
            del lanes[lane]
        return lane, directory, silent


class Due:
    """The files of one lane on their way.  Of those that are due, the branches take turns."""

    def __init__(self) -> None:
        self._later: list[tuple[float, int, Arrival]] = []  # a heap
        # Those that are due, in each branch in their order; the first branch has the next turn.
        self._now: OrderedDict[bytes, deque[Arrival]] = OrderedDict()
        self._pushed = 0  # so many until now, which keeps the order of what is due at once

    def __bool__(self) -> bool:
        return bool(self._now or self._later)

    def first(self) -> float:
        """When the first is due; inf if there is none."""
        if self._now:
            return -math.inf  # one of them may have been put off since, the others have not
        return self._later[0][0] if self._later else math.inf

    def push(self, arrival: Arrival) -> None:
        """It has a new time at which it is due."""
        if arrival.due != math.inf:
            self._pushed += 1
            heapq.heappush(self._later, (arrival.due, self._pushed, arrival))

    def push_due(self, arrival: Arrival) -> None:
        """It is due now, and waits for nothing any more."""
        if self._later and self._later[0][0] <= arrival.due:
            self.push(arrival)  # some come before it
        else:
            self._append(arrival)

    def _append(self, arrival: Arrival) -> None:
        branch = arrival.directory.branch
        waiting = self._now.get(branch)
        if waiting is None:
            waiting = self._now[branch] = deque()
        waiting.append(arrival)

    def pop(self, now: float) -> Arrival | None:
        """The next one that is due, and still to be told; None if there is none."""
        later, due = self._later, self._now
        while later and later[0][0] <= now:
            self._append(heapq.heappop(later)[2])
        while due:
            branch = next(iter(due))
            waiting = due[branch]
            arrival = waiting.popleft()
            if waiting:
                due.move_to_end(branch)
            else:
                del due[branch]
            if is_there(arrival):
                return arrival
        # What was told, or is gone, goes as well: nobody is to wake for it.
        while later and not is_there(later[0][2]):
            heapq.heappop(later)
        return None


class Heaps:
    """The files on their way, by when they are due, in lanes."""

    def __init__(self) -> None:
        self.own = Due()  # on the root's own file system
        self.below: dict[bytes, Due] = {}  # in the other lanes that have some

    def clear(self) -> None:
        """Nothing is on its way any more."""
        self.own = Due()
        self.below.clear()

    def of(self, lane: bytes) -> Due:
        """Those of this lane, for one that comes to them."""
        if lane == OWN:
            return self.own
        due = self.below.get(lane)
        if due is None:
            due = self.below[lane] = Due()
        return due

    def below_due(self) -> float:
        """When the first in another lane than the root's own is due; inf if there is none."""
        return min((due.first() for due in self.below.values()), default=math.inf)

    def due_below(self, now: float) -> list[tuple[bytes, Due]]:
        """The other lanes that have something due, in their turn."""
        return [(lane, due) for lane, due in self.below.items() if due.first() <= now]

    def served(self, lane: bytes) -> None:
        """The others come before it next time."""
        due = self.below.pop(lane, None)
        if due:
            self.below[lane] = due


def is_there(arrival: Arrival) -> bool:
    """Whether it is still to be told."""
    directory = arrival.directory
    return directory.alive and directory.arrivals.get(arrival.name) is arrival
