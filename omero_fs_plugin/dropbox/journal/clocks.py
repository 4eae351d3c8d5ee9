"""One clock for all machines: the journal has times by DropBox's, whoever writes them.

Times in the journal are compared: with each other, and with OMERO's after an allowance for one
clock alone (`importing.activity`).  A machine whose clock is minutes off would take somebody else's
upload for its own, or its own for somebody else's.  Every machine can ask the database for the
time.  So DropBox notes how far its clock is ahead of the database's, and the others go by that.
"""

from __future__ import annotations

import time
from collections.abc import Callable

NOTE = "clock"  # s that DropBox's clock is ahead of the database's
PRECISE_S = 1.0  # a smaller difference is not worth a write
SLOW_S = 4.0  # what the database has answered so late says too little


class DropBoxClock:
    """s since the epoch as DropBox has them, on another machine.  Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: that of this machine."""
        self.here = clock
        self._ahead = 0.0  # s that DropBox's is ahead of ours

    def __call__(self) -> float:
        return self.here() + self._ahead

    def differs(self, ahead: float | None) -> None:
        """DropBox's clock is so far (s) ahead of this machine's; None: nobody knows it now."""
        if ahead is not None:
            self._ahead = ahead


def between(clock: Callable[[], float], database: Callable[[], float]) -> float | None:
    """s that `clock` is ahead of the database's; None if the database is too slow to tell."""
    before = clock()
    there = database()
    after = clock()
    # A clock that is set meanwhile may go back.
    return (before + after) / 2 - there if 0 <= after - before <= SLOW_S else None
