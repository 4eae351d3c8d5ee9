"""When everything is compared with the disk, because events were lost.  Pure."""

from __future__ import annotations

import math

# While events are lost all the time, a rescan comes as long after the last one as that took, and at
# most so long (s): there are other things to do.
LONGEST_OVERFLOW = 0.5


class Rescans:
    """Rule: a rescan follows lost events soon, and is never right after another one.

    The client is told when events were lost, and when none are missing any more.
    """

    def __init__(self, soon: float) -> None:
        """`soon`: s from lost events to the rescan."""
        self._soon = soon
        self.at = math.inf  # when the next one begins
        self.agree_at = math.inf  # when the client can be told that no events are missing now
        self.told = False  # the client knows that a rescan is under way, or follows
        self.over = False  # the one under way is; how long it took is known at the next `ended`
        self._began = math.inf  # the one under way on the root's own file system
        self._rest = 0.0  # s after it; 0: no events are missing

    def forget(self) -> None:
        """None is to come, or is under way."""
        self.at = self.agree_at = self._began = math.inf
        self.over, self._rest = False, 0.0

    def lost(self, now: float) -> None:
        """Events were lost."""
        self.told = True
        self.agree_at = math.inf
        self.ended(now)
        if self.at == math.inf:
            self.at = now + max(self._soon, self._rest)

    def begin(self, now: float) -> None:
        """It is under way."""
        self.at = self.agree_at = math.inf
        self._began, self.over = now, False
        self.told = True

    def scanned_own(self) -> None:
        """On the root's own file system nothing waits for a scan any more."""
        self.over = self.over or self._began != math.inf

    def scanned_all(self, now: float, longest: float) -> None:
        """Nothing does anywhere.  After `longest` (s) what was met has been told."""
        if self.told and self.at == self.agree_at == math.inf:
            self.agree_at = now + longest

    def ended(self, now: float) -> None:
        """If one is over, notes how long it took, and has the next one wait for as long."""
        if self.over:
            self._rest = min(now - self._began, LONGEST_OVERFLOW)
            self.over, self._began = False, math.inf
            if self.at != math.inf:  # events were lost while it was under way
                self.at = max(self.at, now + self._rest)

    def agreed(self) -> None:
        """The client is told so."""
        self.agree_at = math.inf
        self.told, self._rest = False, 0.0
