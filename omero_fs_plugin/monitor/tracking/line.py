"""Complete files that wait a moment: for a rename, or for what came earlier.  Pure."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator

from .lanes import OWN, Scans, is_there
from .tree import Arrival

# Names that a program may give a file only until it is complete.  Most of them do not come here,
# because nobody wants to hear of them: see system_names.
is_temporary = re.compile(
    rb"\.|.*(?:~|\.(?:tmp|temp|part|partial|new|lock)[^.]*)$", re.IGNORECASE | re.DOTALL
).match


class Line:
    """In each lane the files that wait, in the order in which they were complete.

    Rule: a file goes when those before it have gone.  One with a temporary name goes at its `due`,
    because a rename may follow.  Any other goes as soon as the directories of its lane are scanned
    that waited for that when it came, because they may hold what came earlier, and what they hold
    is due; and at its `due` in any case.
    """

    def __init__(self, scans: Scans) -> None:
        self._scans = scans
        # Those in which something waits: when it is due, the youngest of the scans that it waits
        # for, and what it is
        self.lanes: dict[bytes, deque[tuple[float, float, Arrival]]] = {}

    def clear(self) -> None:
        """Nothing waits any more."""
        self.lanes.clear()

    def is_free(self, lane: bytes) -> bool:
        """Whether a file with a usual name need not wait there."""
        return lane not in self.lanes and lane not in self._scans.ages

    def append(self, arrival: Arrival, *, temporary: bool) -> None:
        """It comes last, and goes at its `due` at the latest."""
        lane = self.lanes.get(arrival.directory.lane)
        if lane is None:
            lane = self.lanes[arrival.directory.lane] = deque()
        lane.append((arrival.due, math.inf if temporary else self._scans.age, arrival))

    def own_due(self) -> float:
        """When the first of the root's own lane goes, if nothing else happens; inf without one."""
        return self._due(OWN)

    def below_due(self) -> float:
        """The same of the other lanes."""
        return min((self._due(lane) for lane in self.lanes if lane != OWN), default=math.inf)

    def _due(self, lane: bytes) -> float:
        waiting = self.lanes.get(lane)
        if not waiting:
            return math.inf
        due, age, arrival = waiting[0]
        waits = age == math.inf or self._scans.waits_for(lane, age)
        return due if waits and is_there(arrival) and arrival.due == due else -math.inf

    def gone(self, now: float) -> Iterator[Arrival]:
        """Takes out those that go now: they are due now, or when something has happened to them."""
        for lane in list(self.lanes):
            waiting = self.lanes[lane]
            while waiting and self._due(lane) <= now:
                due, _, arrival = waiting.popleft()
                if is_there(arrival):
                    if arrival.due == due:
                        arrival.due = now
                    yield arrival
            if not waiting:
                del self.lanes[lane]
