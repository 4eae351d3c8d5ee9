"""How many imports go on at a time: fewer while OMERO says that it is busy.  Pure.

More importers than OMERO has connections to its database make it slower for all, and at times
hang it; what it can take depends on who else uses it.  So the number is halved when it says busy,
and grows by one from time to time when imports go through again.
"""

from __future__ import annotations

FIRST_REST_S, LONGEST_REST_S = 1.0, 60.0  # doubled each time OMERO is busy in a row
TOGETHER_S = 10.0  # imports begun together that meet it together count once
RISE_S = 30.0  # at the earliest one more import at a time after so long


class Pace:
    """For `number` importers.  Not thread-safe: whoever shares it holds a lock."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.allowed = number  # imports at a time
        self.why = ""  # what OMERO said last; empty while all of them may
        self._in_a_row = 0
        self._rest_until = self._met_until = self._rise_at = float("-inf")  # s, monotonic

    def may_begin(self, under_way: int, now: float) -> bool:
        """Whether one more import may begin."""
        return under_way < self.allowed and now >= self._rest_until

    def busy(self, why: str, now: float, *, back_off: float = 0.0) -> float:
        """OMERO was too busy for an import, and wants to be left alone for `back_off` s.

        Nothing begins for a while: for how long, in s.
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
        """An import went through."""
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
