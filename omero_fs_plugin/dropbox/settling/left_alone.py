"""What people are told of files that cannot be imported.  Pure."""

from __future__ import annotations

from collections import Counter

# How a reason begins that is over when the path, or something in it, is seen.
UNSEEN = "cannot be "

# Files that are listed: of one directory of a user, so that one user's hide nobody else's, and
# of all.
MOST, MOST_IN_ALL = 100, 2_000


class LeftAlone(dict[str, str]):
    """Path, as it is shown -> why it is left alone.

    Rule: whatever one user drops, there is room for what others drop.  Each call takes the same
    time, for a user may drop a hundred thousand links.
    """

    def __init__(self) -> None:
        super().__init__()
        self._top_of: dict[str, str] = {}  # path -> the directory of the user that it lies in
        self._number: Counter[str] = Counter()  # of paths, by that directory
        self._logged: set[tuple[str, str]] = set()  # (directory, reason)
        self._number_logged: Counter[str] = Counter()

    def note(self, top: str, path: str, reason: str) -> bool:
        """Notes it, if there is room.  Whether the log should have a line for it.

        That is the first of its directory for this reason.
        """
        if path in self or len(self) >= MOST_IN_ALL or self._number[top] >= MOST:
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

    def forget(self, path: str, reason: str = "") -> None:
        """It is gone.  `reason`: or what was told of it is over, if it begins so."""
        if path in self and self[path].startswith(reason):
            del self[path]
            self._number[self._top_of.pop(path)] -= 1

    def clear(self) -> None:
        """Forgets all, but not what the log has."""
        super().clear()
        self._top_of.clear()
        self._number.clear()
