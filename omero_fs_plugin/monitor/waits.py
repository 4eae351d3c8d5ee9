"""How a monitor's thread waits for what is next, and gathers what comes with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from .kernel import raw
from .kernel.observers import Observer, Wakener
from .telling.gathering import FIRST, Gathering
from .tracking.line import is_temporary


class Waits:
    """Rule: a wait ends when something is due or happens, or when the wakener is told to wake.

    It is longer by no more than the moment for which Gathering has events gathered.
    """

    def __init__(self, awaited: Callable[[], bool]) -> None:
        """`awaited`: whether an answer of the client is waited for too, which wakes."""
        self._awaited = awaited
        self.wakener = Wakener()
        self.gathering = Gathering()
        self.begun = -math.inf  # s; when the last `wait` began
        self.sure = -math.inf  # s; what it gave, if anything, is all that had happened by then

    def wait(self, source: Observer | None, due: float) -> list[raw.Raw]:
        """Waits for events of `source`, until it is `due` at the latest, and gathers.

        Returns the events, or an empty list if they are still to be drained.
        """
        begun = self.begun = time.monotonic()
        if due <= begun:
            return []
        seconds = None if due == math.inf else due - begun
        if self.gathering.busy and source is not None and not self._awaited():
            rest = self.gathering.rest(begun)
            if rest and (seconds is None or seconds > rest):
                time.sleep(rest)
                return []
        if self.wakener.wait(seconds, source) and source is not None:
            return self._gathered(source, begun, due)
        return []

    def _gathered(self, source: Observer, begun: float, due: float) -> list[raw.Raw]:
        """Waits for more events.  Meanwhile the kernel merges equal ones."""
        now = self.sure = time.monotonic()
        if self.gathering.only_writes and not self.wakener.woken:
            beyond = source.beyond()
            writes = self.gathering.writes(now - begun, alone=beyond is not None)
            writes = max(0.0, min(writes, due - now))
            if not self.wakener.wait(writes, beyond) or beyond is None:
                return []
            now = self.sure = time.monotonic()
        seconds = self.gathering.seconds(now)
        events: list[raw.Raw] = []
        if seconds == FIRST:
            source.drain()
            events = source.events()
            if events and is_whole(events[-1]):
                return events
        # Nothing that wakes us is in more of a hurry, and this costs less than to wait for it too.
        time.sleep(seconds)
        source.drain()
        return raw.joined(events, source.events())


def is_whole(last: raw.Raw) -> bool:
    """Whether nothing is about to come with this event, after which there was none."""
    return bool(last.mask & raw.IN_CLOSE_WRITE) and is_temporary(last.name) is None
