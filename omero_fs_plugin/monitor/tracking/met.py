"""Files that a scan met, and whose close may have gone unseen.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .lanes import Held, Scans, is_there
from .tree import Arrival

_AT_ONCE = 1000  # files of which the kernel is asked in one go


class Met:
    """Rule: the kernel is asked whether anybody writes such a file when all events have been fed
    that came before; and when all have been fed that came before its answer, the file is told.

    So its close is not taken for one that comes later, and the file is not told twice.  Until then
    it holds back what came later, see Line.  Each also has a time at which it is due in any case.
    """

    def __init__(self, scans: Scans) -> None:
        self._scans = scans
        # When each is due in any case, what it is, and that it holds others back
        self._met: list[tuple[float, Arrival, Held]] = []
        self._closed: list[tuple[float, Arrival, Held]] = []  # as the kernel has said

    def __bool__(self) -> bool:
        """Whether events are to be fed soon, because files wait for that."""
        return bool(self._met or self._closed)

    def clear(self) -> None:
        """Forgets all of them."""
        self._met.clear()
        self._closed.clear()

    def add(self, arrival: Arrival) -> None:
        """A scan met it."""
        self._met.append((arrival.due, arrival, self._scans.hold(arrival.directory.lane)))

    def closed(self, arrival: Arrival) -> None:
        """The kernel was asked of it when it was due, and says that nobody writes it."""
        self._closed.append((arrival.due, arrival, self._scans.hold(arrival.directory.lane)))

    def caught_up(self, was_closed: Callable[[Arrival], bool]) -> Iterator[Arrival]:
        """All events that had come by now were fed.  Gives the files that can be told now.

        `was_closed` asks the kernel of a file, and sets when it is due in any case.
        """
        closed, self._closed = self._closed, []
        for due, arrival, held in closed:
            if _waits(arrival, due):
                yield arrival
            self._scans.release(held)
        some, self._met = self._met[:_AT_ONCE], self._met[_AT_ONCE:]
        for due, arrival, held in some:
            if _waits(arrival, due) and was_closed(arrival):
                self._closed.append((arrival.due, arrival, held))
            else:
                self._scans.release(held)


def _waits(arrival: Arrival, due: float) -> bool:
    """Whether nothing has happened to it since."""
    return arrival.due == due and is_there(arrival)
