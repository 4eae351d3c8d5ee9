"""Failed filesets that cannot be moved into quarantine now: they are told, and tried again.

A disk may be full or read-only, and be mended later; nobody tells us.  Pure: time is an argument.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

AGAIN_S = 5.0  # between two tries in one root
_PART = 20  # ... or so many times the time that the last one took, whichever is longer
_MOST = 10_000  # filesets; the next start tries more
_TOLD = 100  # of one root, so that one user's hide nobody else's


@dataclass(frozen=True)
class Stay:
    """Why one fileset stays where it is."""

    path: str
    why: str


class Staying:
    """Rule: in each root one is tried at a time, each in its turn, until one can be moved.

    Then all of the root are tried.  A copy may take long, so the tries take a twentieth of the time
    at most.  Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stay: dict[str, dict[int, Stay]] = {}  # root -> fileset -> why
        self._due: dict[str, float] = {}  # root -> when (s, monotonic) the next is tried

    def __bool__(self) -> bool:
        return bool(self._stay)

    def stays(self, root: str, fileset: int, stay: Stay, now: float, took: float) -> bool:
        """It could not be moved; that took `took` s.  Returns whether this is news."""
        with self._lock:
            of_root = self._stay.setdefault(root, {})
            before = of_root.pop(fileset, None)  # the others have their turn before it
            if before is not None or sum(map(len, self._stay.values())) < _MOST:
                of_root[fileset] = stay
            if not of_root:
                del self._stay[root]
                return True
            self._due[root] = now + max(AGAIN_S, _PART * took)
            return before != stay

    def went(self, root: str, fileset: int) -> None:
        """It was moved, or is not to be moved any more."""
        with self._lock:
            of_root = self._stay.get(root)
            if of_root is None or of_root.pop(fileset, None) is None:
                return
            if of_root:
                self._due[root] = 0.0
            else:
                del self._stay[root], self._due[root]

    def due(self, now: float) -> dict[str, int]:
        """Root -> the fileset to be tried now."""
        with self._lock:
            found = {
                root: next(iter(self._stay[root])) for root, at in self._due.items() if at <= now
            }
            self._due.update(dict.fromkeys(found, now + AGAIN_S))
            return found

    def told(self) -> Mapping[str, str]:
        """Path -> why it stays, for people."""
        with self._lock:
            return {
                stay.path: stay.why
                for of_root in self._stay.values()
                for stay in list(of_root.values())[:_TOLD]
            }
