"""How many Java processes DropBox has started, for its metrics."""

from __future__ import annotations

import threading
from collections import Counter

GROUPING, IMPORTING = "grouping", "importing"


class Counted:
    """Purpose -> processes that were started for it, since the start of DropBox."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Each from 0 on: Prometheus does not see the first of a series as a growth.
        self._numbers: Counter[str] = Counter({GROUPING: 0, IMPORTING: 0})

    def one(self, purpose: str) -> None:
        """One more was started."""
        with self._lock:
            self._numbers[purpose] += 1

    def numbers(self) -> dict[str, int]:
        """All so far."""
        with self._lock:
            return dict(self._numbers)


JAVA = Counted()
