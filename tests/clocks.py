"""A clock that stands still, but for what the test lets pass."""

from __future__ import annotations

import time


class Ahead:
    """Seconds, monotonic: the time when it was made, and what it is `ahead` of that.

    It does not go on by itself.  Else a thread that is off the processor for as long as a disk
    may take would be one that waits for a disk that does not answer.
    """

    def __init__(self) -> None:
        self._made = float(int(time.monotonic()))  # so that nothing is lost by rounding
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._made + self.ahead
