"""Pure: how long a client has been away, and when it is given up."""

from __future__ import annotations

# How often the client is asked whether it is there, if there is nothing to tell.
PROBE = 600.0  # s
# The time is kept in steps of this: it need not be exact, and a limit is days long.
_STEP = 300.0  # s


class Absence:
    """Counts how long a client is away.

    Rule: a client is given up when it was away for `limit` s without a break while we ran.
    The time in which FSServer itself was down does not count, nor does it matter if
    somebody sets the clock.  Neither is the client's fault.
    """

    def __init__(self, limit: float, so_far: float = 0.0) -> None:
        """If `limit` is 0, the client is never given up."""
        self.so_far = so_far  # s
        self._limit = limit
        self.away = so_far > 0  # it was, when we last knew
        self._failed_at: float | None = None
        self._kept = so_far

    @property
    def probe(self) -> float:
        """Seconds between two questions to a client if there is nothing to tell."""
        return min(PROBE, max(self._limit / 4, 0.1)) if self._limit else PROBE

    def failed(self, now: float) -> None:
        """The client did not answer."""
        if self._failed_at is not None:
            self.so_far += now - self._failed_at
        self._failed_at = now
        self.away = True

    def answered(self) -> None:
        """The client answered."""
        self._failed_at = None
        self.so_far = 0.0
        self.away = False

    @property
    def given_up(self) -> bool:
        """Whether the client was away for too long."""
        return 0 < self._limit <= self.so_far

    def to_keep(self) -> float | None:
        """The time (s) to keep now; None if there is nothing new."""
        if self.so_far == self._kept or 0 < self.so_far < self._kept + _STEP:
            return None
        self._kept = self.so_far
        return self.so_far
