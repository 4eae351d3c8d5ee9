"""Files that a scan met, and whose close may have gone unseen.  Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from .lanes import Held, Scans, is_there
from .tree import Arrival

_AT_ONCE = 1000  # files of which the kernel is asked in one go


class _Group:
    """Files of one scan, which together hold others back."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.files: list[tuple[float, Arrival]] = []  # when each is due in any case, and what it is


class Met:
    """Rule: the kernel is asked whether anybody writes such a file when all events have been fed
    that came before; and when all have been fed that came before its answer, the file is told.

    So its close is not taken for one that comes later, and the file is not told twice.  Until then
    it holds back what came later, see Line.  Each also has a time at which it is due in any case.
    """

    def __init__(self, scans: Scans) -> None:
        self._scans = scans
        self._met: deque[_Group] = deque()
        self._closed: list[_Group] = []  # as the kernel has said
        self.some = False  # events are to be fed soon, because files wait for that

    def clear(self) -> None:
        """Forgets all of them."""
        self._met.clear()
        self._closed.clear()
        self.some = False

    def add(self, arrival: Arrival) -> None:
        """A scan met it."""
        self._add(self._met, arrival)

    def closed(self, arrival: Arrival) -> None:
        """The kernel was asked of it when it was due, and says that nobody writes it."""
        self._add(self._closed, arrival)

    def _add(self, groups: deque[_Group] | list[_Group], arrival: Arrival) -> None:
        held = arrival.directory.lane, self._scans.age_now
        if not groups or groups[-1].held != held:
            groups.append(_Group(self._scans.hold(held)))
        groups[-1].files.append((arrival.due, arrival))
        self.some = True

    def caught_up(self, was_closed: Callable[[Arrival], bool]) -> Iterator[Arrival]:
        """All events that had come by now were fed.  Gives the files that can be told now.

        `was_closed` asks the kernel of a file, and sets when it is due in any case.
        """
        groups, self._closed = self._closed, []
        for group in groups:
            for due, arrival in group.files:
                if _waits(arrival, due):
                    yield arrival
            self._scans.release(group.held)
        left = _AT_ONCE
        while self._met and left:
            group = self._met[0]
            some, group.files = group.files[:left], group.files[left:]
            left -= len(some)
            closed = _Group(self._scans.hold(group.held))
            for due, arrival in some:
                if _waits(arrival, due) and was_closed(arrival):
                    closed.files.append((arrival.due, arrival))
            self._closed.append(closed)
            if not group.files:
                self._met.popleft()
                self._scans.release(group.held)
        self.some = bool(self._met or self._closed)


def _waits(arrival: Arrival, due: float) -> bool:
    """Whether nothing has happened to it since."""
    return arrival.due == due and is_there(arrival)
