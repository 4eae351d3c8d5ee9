"""How many threads are at work, and whether OMERO can take one more import."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from omero_fs_plugin.errors import ServerBusyError

from .pace import Pace

log = logging.getLogger(__name__)


class Load:
    """The threads that import, or look for something to import, and their pace.  Thread-safe.

    The lock guards their number and the pace, so that no two threads are the last that may begin.
    `parked` is called while it is held, and must ask no disk, OMERO or the journal.
    """

    def __init__(self, number: int, ahead: int, parked: Callable[[], int]) -> None:
        """`number` and `ahead` are those of Pace; `parked` says how many make no progress now."""
        self._parked = parked
        self._most = number + ahead
        self._lock = threading.Lock()
        self._pace = Pace(number, ahead)
        self._at_work = 0

    @contextmanager
    def one_more(self) -> Iterator[bool]:
        """Yields whether OMERO can take one more import.  If so, it counts until the end."""
        with self._lock:
            getting_on = self._at_work - self._parked()
            may = self._pace.may_begin(max(0, getting_on), time.monotonic())
            self._at_work += may
        try:
            yield may
        finally:
            if may:
                with self._lock:
                    self._at_work -= 1

    def is_beyond(self) -> bool:
        """Whether more are at work than there are places: some then have those of parked ones."""
        with self._lock:
            return self._at_work > self._most

    def allowed(self) -> int:
        """How many imports may run at a time."""
        return self._pace.allowed

    def ease(self, error: ServerBusyError) -> None:
        """OMERO has too much to do: no import begins for a while, then fewer run at a time."""
        with self._lock:
            rest = self._pace.busy(str(error), time.monotonic(), back_off=error.back_off)
            allowed = self._pace.allowed
        log.warning(
            "OMERO is busy, no import begins for %g s, then %d at a time: %s", rest, allowed, error
        )

    def went_well(self) -> None:
        """An import succeeded."""
        with self._lock:
            self._pace.well(time.monotonic())

    def told(self) -> str:
        """How many imports OMERO can take now, and why not more; empty if OMERO is not busy."""
        with self._lock:
            return self._pace.told()
