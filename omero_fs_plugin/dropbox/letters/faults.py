"""What is wrong with the system, and when admins are told.  Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from omero_fs_plugin.names import printable

# s that a fault must last before admins are told: a server that is restarted is away for seconds.
# The first word of a fault's name is looked for; any other is told at once.
LASTS = {
    "OMERO": 300.0,
    "FSServer": 60.0,
    "share": 60.0,
    "threads": 60.0,
    "Bio-Formats": 300.0,
    "journal": 10.0,
    "importers": 60.0,
}


@dataclass(frozen=True)
class Report:
    """What admins are told at once."""

    new: Mapping[str, str]  # fault -> what is known of it
    still: Mapping[str, str]  # told before, and not mended
    mended: tuple[str, ...]

    def content(self, now: float) -> dict[str, Any]:
        """It as a JSON object.  `now`: s since the epoch."""
        return {
            "kind": "fault",
            "person": "",
            "time": datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds"),
            "new": {name: printable(what) for name, what in self.new.items()},
            "still": {name: printable(what) for name, what in self.still.items()},
            "mended": list(self.mended),
        }


class Faults:
    """Knows which faults there are, and which ones admins know of.

    Rule: admins hear of a fault as soon as it has lasted as long as LASTS says, but of faults
    not twice within one interval; what comes meanwhile is told together after it.
    """

    def __init__(self, told: Mapping[str, str] | None = None) -> None:
        """`told`: the faults that admins know of, from before a restart."""
        self.told: dict[str, str] = dict(told or {})
        self._since: dict[str, float] = {}
        self._now: dict[str, str] = {}
        self._once: dict[str, str] = {}

    def look(self, faults: Mapping[str, str], now: float) -> None:
        """The faults that there are `now` (s): name -> what is known of it."""
        self._now = dict(faults)
        for name in self._since.keys() - faults.keys():
            del self._since[name]
        for name in faults:
            self._since[name] = min(now, self._since.get(name, now))

    def happened(self, name: str, what: str) -> None:
        """A fault that is over already."""
        self._once[name] = what

    def due(self, now: float, *, last: float | None, interval: float) -> Report | None:
        """What admins are to be told `now` (s); `last`: when they were told before."""
        new = {
            name: what
            for name, what in self._now.items()
            if name not in self.told and now - self._since[name] >= _lasts(name)
        }
        new |= self._once
        # A fault that is told and comes back at once is not mended.
        mended = tuple(sorted(self.told.keys() - self._now.keys()))
        if not new and not mended:
            return None
        if last is not None and 0 <= now - last < interval:
            return None
        still = {name: what for name, what in self._now.items() if name in self.told}
        return Report(new, still, mended)

    def after(self, report: Report) -> dict[str, str]:
        """The faults that admins know of once they are told this."""
        lasting = {name: what for name, what in report.new.items() if name in self._now}
        return {**report.still, **lasting}

    def tell(self, report: Report) -> None:
        """Admins are told this."""
        self.told = self.after(report)
        for name in report.new:
            self._once.pop(name, None)


def _lasts(name: str) -> float:
    return LASTS.get(name.partition(" ")[0], 0.0)
