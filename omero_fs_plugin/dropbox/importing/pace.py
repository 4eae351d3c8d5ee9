"""How many imports run at a time: fewer while OMERO says that it is busy.  Pure.

If there are more importers than OMERO has connections to its database, OMERO becomes slower for
all, and sometimes hangs.  How many it can take depends on who else uses it.  So the number is
halved when OMERO says that it is busy.  It grows by one from time to time when imports succeed.
"""

from __future__ import annotations

FIRST_REST_S, LONGEST_REST_S = 1.0, 60.0  # the rest doubles each time OMERO is busy in a row
TOGETHER_S = 10.0  # within so long, several imports that find OMERO busy count as one
RISE_S = 30.0  # after so long at the earliest, one import more runs at a time


class Pace:
    """The pace of `number` importers.  Not thread-safe: whoever shares it holds a lock."""

    def __init__(self, number: int, ahead: int = 0) -> None:
        """`ahead`: so many more may upload meanwhile, while OMERO is not busy."""
        self.number = number
        self.ahead = ahead
        self.allowed = number  # imports at a time
        self.why = ""  # what OMERO said last; empty while all importers may import
        self._in_a_row = 0
        self._rest_until = self._met_until = self._rise_at = float("-inf")  # s, monotonic

    def may_begin(self, under_way: int, now: float) -> bool:
        """Whether one more import may begin."""
        ahead = self.ahead if self.allowed == self.number else 0
        return under_way < self.allowed + ahead and now >= self._rest_until

    def busy(self, why: str, now: float, *, back_off: float = 0.0) -> float:
        """OMERO was too busy for an import, and asks for a rest of `back_off` s.

        Returns how long (s) no import begins.
        """
        if now >= self._met_until:
            self.allowed = max(1, self.allowed // 2)
            self._in_a_row += 1
            self._met_until = now + TOGETHER_S
        rest = min(LONGEST_REST_S, FIRST_REST_S * 2.0 ** min(self._in_a_row - 1, 30))
        rest = max(rest, back_off)
        self._rest_until = max(self._rest_until, now + rest)
        self._rise_at = self._rest_until + RISE_S
        self.why = why
        return rest

    def well(self, now: float) -> None:
        """An import succeeded."""
        self._in_a_row = 0
        if self.allowed < self.number and now >= self._rise_at:
            self.allowed += 1
            self._rise_at = now + RISE_S
        if self.allowed == self.number and now >= self._rest_until:
            self.why = ""

    def told(self) -> str:
        """For status; empty while OMERO is not busy."""
        if not self.why:
            return ""
        return f"OMERO is busy, {self.allowed} of {self.number} imports at a time: {self.why}"
