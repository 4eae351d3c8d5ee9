"""How long to gather events before a look at them.  Pure: `now` is an argument.

A look, and a notification, cost more than an event.  So under load many events are gathered for
each.  When little is going on, nobody is to wait for that.  Nobody waits for a look that has had
its time already: what comes while the one before is at work is gathered then.
"""

from __future__ import annotations

import math

# From an event to the look at all that came with it: a file's events come within that.
FIRST = 0.0003  # s
# From one look to the next at most, unless no event comes.
LONGEST = 0.01  # s
# Events a second.  A new file has one, as raw.parse makes them, or two if it is long in writing.
# Up to FEW each file has a look of its own.  From there to MANY the time between two looks grows
# from FIRST to LONGEST.
FEW, MANY = 150.0, 600.0
SPAN = 0.1  # s; the time over which events are counted
# The wait while one file is being written and nothing else happens, if the next write comes before
# PAUSE is over.  The kernel merges the events, and anything else ends the wait.
WRITES, PAUSE = 0.1, 0.01  # s
# The same at most while several are being written: the close of one wakes nobody.
AMONG = 0.005  # s


class Gathering:
    """How much is going on, as the looks so far show.

    Writes do not count for the rest, because a file may be written for hours and nobody waits
    for that.
    """

    def __init__(self) -> None:
        self._events = 0.0  # that came within SPAN; those before it count less and less
        self._at = -math.inf  # of the last look at anything but writes, in s
        self.busy = False  # there was much at the last look; it may be less by now
        self.only_writes = 0.0  # s, from one to the next look; 0: the last look found others too

    def seconds(self, now: float) -> float:
        """From an event at this time to the look at all of them."""
        if self._events <= FEW * SPAN:
            return FIRST
        share = (self._left(now) / SPAN - FEW) / (MANY - FEW)
        return max(FIRST, min(share, 1.0) * LONGEST - (now - self._at))

    def rest(self, now: float) -> float:
        """Under load, from this time to the next look: by then something has come; else 0.

        To wait for the first event besides costs a part of what a look costs.
        """
        if not self.busy or self._left(now) < MANY * SPAN:
            return 0.0
        return max(0.0, LONGEST - (now - self._at))

    def writes(self, waited: float, *, alone: bool = True) -> float:
        """The same if nothing but writes comes after it; 0 if there are not `only_writes`.

        `waited`: s from the last look to the event.  `alone`: if anything else comes, it is seen.
        """
        longest = FIRST if waited >= PAUSE else WRITES if alone else AMONG
        return min(longest, self.only_writes)

    def looked(self, now: float, *, events: int, writes: int) -> None:
        """A look has found this many events, and so many of them are writes."""
        if events == writes:
            self.only_writes = min(2 * self.only_writes or FIRST, WRITES)
        else:
            self.only_writes = 0.0
            self._events = self._left(now) + events - writes
            self._at = now
        self.busy = self._events >= MANY * SPAN

    def _left(self, now: float) -> float:
        """Of the events that came, those that still count."""
        return self._events * math.exp(min(0.0, self._at - now) / SPAN)
