"""How long a store rests that changes often.  Pure: the time is handed in.

A writer that pauses for longer than the quiet period, and goes on, makes a revision of the whole
store at each pause, and each one is imported anew.
"""

from __future__ import annotations

import math
from collections import deque

DAY_S = 86_400.0
LONGEST_S = 4 * 3600.0  # a store need not rest for longer, unless its rule says so
_MOST = 32  # times of one store that are kept: it rests for LONGEST_S long before


class Often:
    """When each store was queued, within a day.

    Rule: the first time, and the first revision, take one quiet period; each further revision
    within a day takes twice as long as the one before.  Times are seconds of one monotonic clock;
    with a restart it begins anew.
    """

    def __init__(self) -> None:
        self._queued: dict[str, deque[float]] = {}

    def queued(self, store: str, now: float) -> None:
        """It goes on to its import."""
        for known in list(self._queued):
            if self._queued[known][-1] <= now - DAY_S:
                del self._queued[known]
        self._queued.setdefault(store, deque(maxlen=_MOST)).append(now)

    def rest(self, store: str, quiet: float, now: float) -> float:
        """For how long (s) it must have rested, if its quiet period is `quiet`."""
        times = sum(at > now - DAY_S for at in self._queued.get(store, ()))
        return max(quiet, min(LONGEST_S, math.ldexp(quiet, max(0, times - 1))))
