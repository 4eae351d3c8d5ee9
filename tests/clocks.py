"""A clock that goes on as ever, and can be ahead of it."""

from __future__ import annotations

import time


class Ahead:
    """Seconds, monotonic, `ahead` of the machine's."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead
