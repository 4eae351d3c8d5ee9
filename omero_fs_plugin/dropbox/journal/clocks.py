"""One clock for all machines: the journal has times by DropBox's, whoever writes them.

Times in the journal are compared: with each other, and with OMERO's after an allowance for one
clock alone (`importing.activity`).  A machine whose clock is minutes off would take somebody else's
upload for its own, or its own for somebody else's.  Every machine can ask the database for the
time.  So DropBox notes how far its clock is ahead of the database's, and the others go by that.  It
also notes its time zone, by which omero.fs.window opens on all machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta, timezone

NOTE = "clock"  # s that DropBox's clock is ahead of the database's, and its zone
PRECISE_S = 1.0  # a smaller difference is not worth a write
SLOW_S = 4.0  # what the database has answered so late says too little


@dataclass(frozen=True)
class Clock:
    """DropBox's, beside another."""

    ahead: float  # s
    zone: int | None = None  # s that its time zone is east of UTC; None: an older release is silent

    @property
    def text(self) -> str:
        """As it is noted."""
        return f"{self.ahead:.1f}" + ("" if self.zone is None else f" {self.zone}")

    @classmethod
    def read(cls, text: str) -> Clock:
        """What `text` gave."""
        ahead, _, zone = text.partition(" ")
        return cls(float(ahead), int(zone) if zone else None)


def zone_at(at: float) -> int:
    """s that the time zone of this machine is east of UTC at `at`, s since the epoch."""
    return time.localtime(at).tm_gmtoff


class DropBoxClock:
    """s since the epoch as DropBox has them, on another machine.  Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: that of this machine."""
        self.here = clock
        self._ahead = 0.0  # s that DropBox's is ahead of ours
        self._zone: int | None = None  # s, see `Clock`

    def __call__(self) -> float:
        return self.here() + self._ahead

    def differs(self, dropbox: Clock | None) -> None:
        """DropBox's clock is so far ahead of this machine's; None: nobody knows it now."""
        if dropbox is not None:
            self._ahead, self._zone = dropbox.ahead, dropbox.zone

    def zone(self) -> timezone | None:
        """DropBox's time zone; None if it is that of this machine, or is not known."""
        zone = self._zone
        if zone is None or zone == zone_at(self()):
            return None
        return timezone(timedelta(seconds=zone))


def between(clock: Callable[[], float], database: Callable[[], float]) -> float | None:
    """s that `clock` is ahead of the database's; None if the database is too slow to tell."""
    before = clock()
    there = database()
    after = clock()
    # A clock that is set meanwhile may go back.
    return (before + after) / 2 - there if 0 <= after - before <= SLOW_S else None
