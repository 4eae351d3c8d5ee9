"""How long a fileset rests after a failure, and whether the fault is in the fileset or in OMERO."""

from __future__ import annotations

import threading
from collections import Counter

from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import FsError, RecordRefused, UnclearError

from .outage import IN_VAIN_S
from .refusals import TRIES, TRY_AGAIN_S

LONGEST_REST_S = 60.0  # a fileset waits at most so long for another with the same content


class Blame:
    """Which filesets rest, and which of them are suspects.  Thread-safe.

    Rule: if a fileset fails for an unknown reason, it is a suspect.  If it fails again after
    others were imported, the fault is in the fileset.  If none was imported meanwhile, nobody
    knows.

    The lock guards all of it.  Nothing is called while it is held, so whoever calls may hold
    another lock.  `now` is in s, monotonic.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resting: dict[int, float] = {}  # fileset -> until (s, monotonic)
        self._went_through = 0  # imports that succeeded since the start
        # Fileset that failed for an unknown reason -> imports that had succeeded by then
        self._suspects: dict[int, int] = {}
        self._odd_ends: Counter[int] = Counter()  # imported fileset -> times it was not finished

    def resting(self, now: float) -> frozenset[int]:
        """The filesets that rest at `now`.  Those that have rested are forgotten."""
        with self._lock:
            self._resting = {i: until for i, until in self._resting.items() if until > now}
            return frozenset(self._resting)

    def rests(self, fileset: int, now: float) -> bool:
        """Whether this one rests at `now`."""
        with self._lock:
            return self._resting.get(fileset, 0.0) > now

    def suspects(self) -> frozenset[int]:
        """The filesets that may have an unknown fault."""
        with self._lock:
            return frozenset(self._suspects)

    def rest(self, fileset: int, until: float) -> None:
        """Lets a fileset rest."""
        with self._lock:
            self._resting[fileset] = until

    def was_refused(self, fileset: Fileset, now: float) -> None:
        """It was refused; or it, or its content, or its disk, is busy, which may take long."""
        seconds = TRY_AGAIN_S[min(fileset.refusals, len(TRY_AGAIN_S) - 1)]
        doubled = 2.0 ** min(fileset.attempts - TRIES, 30)
        self.rest(fileset.id, now + max(seconds, min(LONGEST_REST_S, doubled)))

    def failed(self, fileset: Fileset, now: float) -> bool:
        """It failed for an unknown reason.  It rests, longer each time.

        Returns whether it had failed so before, and others were imported since.
        """
        with self._lock:
            then = self._suspects.get(fileset.id)
            self._suspects[fileset.id] = self._went_through
            self._resting[fileset.id] = now + min(IN_VAIN_S, 2.0 ** min(fileset.attempts, 30))
            return then is not None and self._went_through > then

    def was_not_finished(self, fileset: int, now: float) -> bool:
        """The import succeeded.  The work after it failed for an unknown reason.

        It rests, longer each time.  Returns whether it failed TRIES times, while others were
        imported.
        """
        with self._lock:
            self._odd_ends[fileset] += 1
            tries = self._odd_ends[fileset]
            then = self._suspects.setdefault(fileset, self._went_through)
            self._resting[fileset] = now + min(IN_VAIN_S, 2.0 ** min(tries, 30))
            return tries >= TRIES and self._went_through > then

    def given_up(self, fileset: int) -> None:
        """It is not finished any more."""
        with self._lock:
            del self._odd_ends[fileset]
            self._suspects.pop(fileset, None)  # its import may just have acquitted it

    def was_imported(self) -> None:
        """Any fileset was imported: OMERO takes imports."""
        with self._lock:
            self._went_through += 1

    def acquit(self, fileset: int) -> None:
        """It has its state, so it is no suspect any more."""
        with self._lock:
            self._suspects.pop(fileset, None)


def is_odd(error: Exception) -> bool:
    """Whether the error says nothing about the fileset: a defect of ours, or something unclear."""
    return isinstance(error, UnclearError | RecordRefused) or not isinstance(error, FsError)


def in_words(error: Exception) -> str:
    """One line for people."""
    return str(error) if isinstance(error, FsError) else f"{type(error).__name__}: {error}"
