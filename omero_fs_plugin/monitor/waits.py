"""How a monitor's thread waits for what is next, and gathers what comes with it."""

from __future__ import annotations

import math
import time

from .kernel.observers import Observer, Wakener
from .telling.gathering import Gathering


class Waits:
    """Rule: a wait ends when something is due or happens, or when the wakener is told to wake.

    It is longer by no more than the moment for which Gathering has events gathered.
    """

    def __init__(self) -> None:
        self.wakener = Wakener()
        self.gathering = Gathering()

    def wait(self, source: Observer | None, due: float, *, answer: bool) -> None:
        """Waits for events of `source`, until it is `due` at the latest, and gathers.

        `answer`: one of the client is awaited too, which wakes.
        """
        begun = time.monotonic()
        if due <= begun:
            return
        seconds = None if due == math.inf else due - begun
        if source is not None and not answer:
            rest = self.gathering.rest(begun)
            if rest and (seconds is None or seconds > rest):
                time.sleep(rest)
                return
        if self.wakener.wait(seconds, source) and source is not None:
            self._gather(source, begun)

    def _gather(self, source: Observer, begun: float) -> None:
        """Waits for more events.  Meanwhile the kernel merges equal ones."""
        now = time.monotonic()
        if self.gathering.only_writes and not self.wakener.woken:
            beyond = source.beyond()
            writes = self.gathering.writes(now - begun, alone=beyond is not None)
            if not self.wakener.wait(writes, beyond) or beyond is None:
                return
            now = time.monotonic()
        # Nothing that wakes us is in more of a hurry, and this costs less than to wait for it too.
        time.sleep(self.gathering.seconds(now))
