"""Ways home from quarantine that nobody goes on with: when each of them is finished.

Whoever made it was killed, has lost the lease, or met a fault of a disk.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from omero_fs_plugin.dropbox.journal.moves import Way

_LOOK_S = 30.0  # between two looks
# Before one is tried again; each time twice as long.
_AGAIN_S, _AGAIN_MOST_S = 60.0, 3600.0


class Forsaken:
    """One thread asks `looks`, and one at a time `due`."""

    def __init__(self, now: float) -> None:
        """`now`: s, monotonic.  A start finishes all."""
        self._looked = now
        # Fileset -> when it is tried again (s, monotonic), and how long it is left alone after that
        self._tries: dict[int, tuple[float, float]] = {}

    def looks(self, now: float) -> bool:
        """Whether it is time to look (`now`: s, monotonic)."""
        if 0 <= now - self._looked < _LOOK_S:
            return False
        self._looked = now
        return True

    def due(self, ways: Mapping[int, Way], now: float, at: float) -> dict[int, str]:
        """Those to be finished now: fileset -> the root that it goes back to.

        `ways`: all that are noted.  `now`: s, monotonic; `at`: the same moment, s since the epoch.
        """
        for identifier in self._tries.keys() - ways.keys():
            del self._tries[identifier]
        found = {}
        for identifier, way in ways.items():
            due, wait = self._tries.get(identifier, (now, _AGAIN_S))
            if due <= now and way.until <= at:
                self._tries[identifier] = now + wait, min(2 * wait, _AGAIN_MOST_S)
                found[identifier] = way.root
        return found
