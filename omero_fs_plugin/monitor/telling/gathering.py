"""How long to gather events before a look at them.  Pure: `now` is an argument.

A look, and a notification, cost more than an event.  So under load many events are gathered for
each.  When nothing is going on, nobody is to wait for that.
"""

from __future__ import annotations

import math

# What comes after such a silence is told at once.  Files that come as seldom have a look each in
# any case, so this costs nothing.
SILENCE = 0.1  # s
# From the first event to the look at all of them: after silence, and at most.  It is doubled at
# each look, as long as there is no silence.
FIRST, LONGEST = 0.001, 0.04  # s
# The same while files are being written and nothing else happens, if the next write comes before
# PAUSE is over.  The kernel merges the events.
WRITES, PAUSE = 0.1, 0.05  # s


class Gathering:
    """How much is going on, as the looks so far show.

    Writes do not count for the rest, because a file may be written for hours and nobody waits
    for that.
    """

    def __init__(self) -> None:
        self._seconds = FIRST
        self._at = -math.inf  # of the last look at anything but writes, in s
        self._writes = 0.0  # s, from one write to the next look; 0: there are not only writes

    def seconds(self, now: float) -> float:
        """From an event at this time to the look at all of them."""
        return FIRST if now - self._at >= SILENCE else self._seconds

    def writes(self, waited: float) -> float:
        """The same if nothing but writes comes after it; 0 if the last look found more than that.

        `waited`: s from the last look to the event.
        """
        return min(FIRST, self._writes) if waited >= PAUSE else self._writes

    def calm(self, now: float) -> bool:
        """Whether what happens at this time is to be told at once."""
        return self.seconds(now) < LONGEST

    def looked(self, now: float, *, only_writes: bool) -> None:
        """A look has found events."""
        if only_writes:
            self._writes = min(2 * self._writes or FIRST, WRITES)
        else:
            self._writes = 0.0
            self._seconds = min(2 * self.seconds(now), LONGEST)
            self._at = now
