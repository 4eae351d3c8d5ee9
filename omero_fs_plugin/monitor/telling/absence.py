"""Pure: how long a client has been away, and when it is given up."""

from __future__ import annotations

# A client that nothing is told to is asked so often whether it is there.
PROBE = 600.0  # s
# What is counted is kept in steps: it need not be exact, and days are long.
_STEP = 300.0  # s


class Absence:
    """Rule: a client is given up when it was away for `limit` s without a break while we ran.

    The time in which FSServer itself was down does not count.  Nor does the time
    by which somebody sets the clock.  Both are no fault of the client.
    """

    def __init__(self, limit: float, so_far: float = 0.0) -> None:
        """`limit` 0: never given up."""
        self.so_far = so_far  # s
        self._limit = limit
        self._failed_at: float | None = None
        self._kept = so_far

    @property
    def probe(self) -> float:
        """Seconds between two looks at a client that nothing is told to."""
        return min(PROBE, max(self._limit / 4, 0.1)) if self._limit else PROBE

    def failed(self, now: float) -> None:
        """It did not answer."""
        if self._failed_at is not None:
            self.so_far += now - self._failed_at
        self._failed_at = now

    def answered(self) -> None:
        """It did."""
        self._failed_at = None
        self.so_far = 0.0

    @property
    def given_up(self) -> bool:
        """Whether it has been too long."""
        return 0 < self._limit <= self.so_far

    def to_keep(self) -> float | None:
        """What should be kept now, s; None: nothing new."""
        if self.so_far == self._kept or 0 < self.so_far < self._kept + _STEP:
            return None
        self._kept = self.so_far
        return self.so_far
