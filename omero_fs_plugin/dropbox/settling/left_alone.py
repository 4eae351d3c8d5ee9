"""What people are told of files that cannot be imported.  Pure."""

from __future__ import annotations

import threading
from collections import Counter

# Files that are listed: of one directory of a user, so that one user's hide nobody else's, and
# of all.
MOST, MOST_IN_ALL = 100, 2_000


class LeftAlone(dict[str, str]):
    """Path, as it is shown -> why it is left alone.

    Rule: whatever one user drops, there is room for what others drop.  Each call takes the same
    time, for a user may drop a hundred thousand links.  Thread-safe: several lanes note and forget.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._top_of: dict[str, str] = {}  # path -> the directory of the user that it lies in
        self._unseen: set[str] = set()  # paths that could not be looked at
        self._number: Counter[str] = Counter()  # of paths, by that directory
        self._logged: set[tuple[str, str]] = set()  # (directory, reason)
        self._number_logged: Counter[str] = Counter()

    def note(self, top: str, path: str, reason: str, *, unseen: bool = False) -> bool:
        """Notes it, if there is room.  Whether the log should have a line for it.

        That is the first of its directory for this reason.  `unseen`: the reason is over when the
        path is seen.  Of these, more are kept than are shown: each is to be looked at again.
        """
        with self._lock:
            if path in self:
                return False
            full = len(self) >= MOST_IN_ALL or self._number[top] >= MOST
            if not unseen:
                self._unseen.discard(path)
            elif not full or len(self._unseen) < MOST_IN_ALL:
                self._unseen.add(path)
            if full:
                return False
            self[path] = reason
            self._top_of[path] = top
            self._number[top] += 1
            alike = path.rpartition("/")[0], reason
            if alike in self._logged or self._number_logged[top] >= MOST:
                return False
            self._logged.add(alike)
            self._number_logged[top] += 1
            return True

    def forget(self, path: str) -> None:
        """It is gone."""
        with self._lock:
            self._unseen.discard(path)
            if path in self:
                del self[path]
                self._number[self._top_of.pop(path)] -= 1

    def seen(self, path: str) -> None:
        """The path, or something in it, is seen: that it could not be is over."""
        with self._lock:
            if path in self._unseen:
                self.forget(path)

    def unseen(self) -> list[str]:
        """Those that could not be looked at."""
        with self._lock:
            return list(self._unseen)

    def clear(self) -> None:
        """Forgets all, but not what the log has."""
        with self._lock:
            super().clear()
            self._unseen.clear()
            self._top_of.clear()
            self._number.clear()
