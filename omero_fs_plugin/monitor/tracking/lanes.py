"""What waits for a look at the disk, in lanes: one for the root's own file system, and one for each
that is mounted below.

Rule: a lane whose file system is slow holds up itself alone.  Those who look take a little from
each lane, and rest from the lanes below for as long as these have kept them waiting.  Within a
lane the branches take turns, each a directory in the root with all below it: it is often a user's,
and may have a hundred thousand directories.  Pure.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Collection, Iterator

from .tree import Arrival, Directory

OWN = b""  # the lane of the root's own file system; the others have their mount point as name


class Scans:
    """The directories that wait for a scan, and whether silently: in each branch in their order."""

    def __init__(self) -> None:
        self._lanes: dict[bytes, dict[bytes, deque[tuple[Directory, bool]]]] = {}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._lanes.clear()

    def append(self, directory: Directory, silent: bool) -> None:
        """It comes last in its branch."""
        branches = self._lanes.setdefault(directory.lane, {})
        branches.setdefault(directory.branch, deque()).append((directory, silent))

    def put_back(self, lane: bytes, directory: Directory, silent: bool) -> None:
        """It comes next in `lane`."""
        branches, branch = self._lanes.get(lane, {}), directory.branch
        waiting = branches.pop(branch, deque())
        waiting.appendleft((directory, silent))
        self._lanes[lane] = {branch: waiting, **branches}

    def waits(self, lane: bytes) -> bool:
        """Whether something waits there."""
        return lane in self._lanes

    def lanes(self) -> list[bytes]:
        """Those in which something waits."""
        return list(self._lanes)

    def below(self, busy: Collection[bytes]) -> bool:
        """Whether something waits in another lane than the root's own and those that are `busy`."""
        return any(lane != OWN and lane not in busy for lane in self._lanes)

    def pop(self, busy: Collection[bytes], *, below: bool) -> tuple[bytes, Directory, bool] | None:
        """The next one, with its lane; None if there is none.

        `below`: from the lanes below, each in its turn; else from the root's own.
        """
        lanes = self._lanes
        if below:
            lane = next((one for one in lanes if one != OWN and one not in busy), None)
        else:
            lane = OWN if OWN in lanes else None
        if lane is None:
            return None
        branches = lanes.pop(lane)
        branch = next(iter(branches))
        waiting = branches.pop(branch)
        directory, silent = waiting.popleft()
        if waiting:
            branches[branch] = waiting  # the last of the branches now
        if branches:
            lanes[lane] = branches  # the last of the lanes now
        return lane, directory, silent


class Heaps:
    """The files on their way, by when they are due: a heap for each lane."""

    def __init__(self) -> None:
        self._lanes: dict[bytes, list[tuple[float, int, Arrival]]] = {}
        self._number = itertools.count()  # keeps the order of what is due at once

    def clear(self) -> None:
        """Nothing is on its way any more."""
        self._lanes.clear()

    def push(self, arrival: Arrival) -> None:
        """It has a new time at which it is due."""
        if arrival.due != math.inf:
            heap = self._lanes.setdefault(arrival.directory.lane, [])
            heapq.heappush(heap, (arrival.due, next(self._number), arrival))

    def own_due(self) -> float:
        """When the first on the root's own file system is due; inf if there is none."""
        heap = self._lanes.get(OWN)
        return heap[0][0] if heap else math.inf

    def below_due(self) -> float:
        """When the first in another lane is due; inf if there is none."""
        return min(
            (heap[0][0] for lane, heap in self._lanes.items() if lane != OWN), default=math.inf
        )

    def due_below(self, now: float) -> list[bytes]:
        """The other lanes that have something due, in their turn."""
        return [lane for lane, heap in self._lanes.items() if lane != OWN and heap[0][0] <= now]

    def served(self, lane: bytes) -> None:
        """The others come before it next time."""
        heap = self._lanes.pop(lane, None)
        if heap:
            self._lanes[lane] = heap

    def pop(self, lane: bytes, now: float) -> Arrival | None:
        """The next one of `lane` that is due, and still to be told; None if there is none."""
        heap = self._lanes.get(lane)
        if heap is None:
            return None
        while heap and not is_there(heap[0][2]):
            heapq.heappop(heap)  # it was told, or is gone; nobody is to wake for it
        if not heap:
            del self._lanes[lane]
            return None
        if heap[0][0] > now:
            return None
        arrival = heapq.heappop(heap)[2]
        if not heap:
            del self._lanes[lane]
        return arrival

    def waiting(self, lane: bytes) -> int:
        """How many wait there."""
        return len(self._lanes.get(lane, ()))

    def all_of(self, lane: bytes) -> Iterator[Arrival]:
        """Those of one lane, in no order."""
        return (arrival for _, _, arrival in self._lanes.get(lane, ()))


def is_there(arrival: Arrival) -> bool:
    """Whether it is still to be told."""
    directory = arrival.directory
    return directory.alive and directory.arrivals.get(arrival.name) is arrival
