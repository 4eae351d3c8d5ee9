"""The file systems below the root that do not answer.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping


class Late:
    """Rule: that one does not answer counts when it lasts; that it answers again, at once.

    `late` is as Disk.late gives it.
    """

    def __init__(self, patience: float) -> None:
        """`patience`: after so many seconds it lasts."""
        self._patience = patience
        self.known: dict[bytes, bool] = {}  # their mount points, and whether it lasts

    def clear(self) -> None:
        """Forgets all of them."""
        self.known.clear()

    def lasting(self) -> list[bytes]:
        """The mount points of those of which it lasts.  From any thread."""
        return sorted(path for path, lasts in list(self.known.items()) if lasts)

    def due(self, late: Mapping[bytes, float]) -> float:
        """When `lasts` or `over` has something to give; inf if there is none."""
        known = self.known
        if late.keys() != known.keys():
            return -math.inf
        first = min((since for path, since in late.items() if not known[path]), default=math.inf)
        return first + self._patience

    def lasts(self, late: Mapping[bytes, float], now: float) -> list[bytes]:
        """Those of which it lasts."""
        for path, since in late.items():
            self.known[path] = since + self._patience <= now
        return [path for path in late if self.known[path]]

    def over(self, late: Mapping[bytes, float]) -> list[bytes]:
        """Those that answer again, once."""
        answer = [path for path in self.known if path not in late]
        for path in answer:
            del self.known[path]
        return answer
