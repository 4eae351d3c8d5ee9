"""Files that a set uses but no rule covers, so that nobody has settled them.  Pure."""

from __future__ import annotations

from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat


class Uncovered:
    """Rule: such a file is at rest a quiet period after a set asked for it, if it has not changed.

    A change begins the quiet period anew.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[FileStat, float]] = {}  # path -> what it is, since when
        self._asked: set[str] = set()  # since `forget_unasked`

    def left(self, met: Found, now: float, quiet: float) -> float:
        """How much of its quiet period is left (s); 0 if it is at rest."""
        self._asked.add(met.path)
        stat, since = self._first.get(met.path, (None, now))
        if stat != met.stat:
            since = now
            self._first[met.path] = met.stat, now
        return max(0.0, since + quiet - now)

    def forget_unasked(self) -> None:
        """Forgets the files that no set has asked for since the last call."""
        self._first = {path: seen for path, seen in self._first.items() if path in self._asked}
        self._asked = set()
