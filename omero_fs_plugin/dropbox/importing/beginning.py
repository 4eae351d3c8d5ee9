"""Whether OMERO is still starting, right after DropBox was started.  Pure: time is an argument.

IceGrid starts DropBox and OMERO at the same time, and DropBox is there first.  Then OMERO does not
answer, or answers and refuses sessions for a while (WrappedCreateSessionException, null proxies).
This is no fault, and nobody has to do anything about it.
"""

from __future__ import annotations

# s.  `omero admin start` waits for as long for OMERO, and then gives it up.
PATIENCE_S = 300.0


class Beginning:
    """OMERO counts as starting until it has taken an import, or for PATIENCE_S at most."""

    def __init__(self) -> None:
        self._since: float | None = None  # s, monotonic: DropBox began then
        self.not_up = ""  # why OMERO has not answered even once; empty if it has
        self._over = False

    def begin(self, now: float) -> None:
        """DropBox begins at `now` (s, monotonic)."""
        self._since = now

    def went(self) -> None:
        """OMERO has said what becomes of an import."""
        self._over, self.not_up = True, ""

    def lasts(self, away: str, now: float) -> float | None:
        """For how long (s) OMERO has been starting at `now`; None if it is not starting.

        `away` says why it cannot be reached now; empty if it can.
        """
        if self._over or self._since is None or not (away or self.not_up):
            return None
        age = now - self._since
        return age if age < PATIENCE_S else None
