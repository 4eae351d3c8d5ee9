"""How long to wait between two questions whether an import has ended.  Pure.

Each question is a call to OMERO, and what comes after the answer waits for the next question.  So
nobody asks before an import of this size may have ended, as former ones show, and then often.
"""

from __future__ import annotations

import threading
from collections import deque

FIRST_S, LAST_S = 0.01, 1.0  # the shortest pause and the longest: an import may fail early
_KNOWN = 0.03  # part of the time so far, for imports whose usual time is known
_UNKNOWN = 0.1  # the same, for the first imports of a size
_EARLY = 0.9  # an import may be so much faster than the fastest of the last ones
_LAST = 8  # so many former imports of a size count
_FEW = 3  # fewer than these say nothing


class Waits:
    """What imports of each size took.  Thread-safe; all imports share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._took: dict[int, deque[float]] = {}

    def took(self, files: int, size: int, seconds: float) -> None:
        """Notes that OMERO was at an import of so many files and bytes for so long (s)."""
        with self._lock:
            self._took.setdefault(_kind(files, size), deque(maxlen=_LAST)).append(seconds)

    def first(self, files: int, size: int) -> float:
        """How long (s) to wait before OMERO is asked for the first time; 0 if nothing is known."""
        with self._lock:
            took = tuple(self._took.get(_kind(files, size), ()))
        return min(LAST_S, _EARLY * min(took)) if len(took) >= _FEW else 0.0

    def pause(self, files: int, size: int, elapsed: float) -> float:
        """How long (s) to wait until the next question, `elapsed` s after the import began."""
        with self._lock:
            took = tuple(self._took.get(_kind(files, size), ()))
        known = len(took) >= _FEW
        pause = max(FIRST_S, (_KNOWN if known else _UNKNOWN) * elapsed)
        if known:
            pause = max(pause, _EARLY * min(took) - elapsed)
        return min(LAST_S, pause)


def _kind(files: int, size: int) -> int:
    """Imports of about the same size: up to four times as many bytes, or files of 1 MB."""
    return (size + files * 1_000_000).bit_length() // 2
