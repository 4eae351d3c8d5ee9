"""The sign of life that DropBox leaves in OMERO, for pages that are far from it.  Pure.

A user's document is written only when something has changed.  So it cannot tell a DropBox that
has nothing to do from one that is down.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from omero_fs_plugin import __version__

_FORMAT = 1  # readers refuse another one
EVERY_S = 15.0  # between two of them
_LATE_S = 30.0  # OMERO may be slow; a sign that is this much late counts as none
_MOST_VERSION = 50  # characters
_LATEST_S = 2.0**35  # the year 3058: a time after that is none of ours


@dataclass(frozen=True)
class Heard:
    """The last sign of life."""

    at: float  # s since the epoch, by the clock of DropBox
    every: float  # s; the next one comes after so long
    version: str = ""  # of OMERO.fs; empty: an older one does not say

    def silent(self, now: float) -> bool:
        """Whether at `now` (s since the epoch) the next one should have come."""
        return now - self.at > self.every + _LATE_S


def sign(now: float, every: float) -> str:
    """The text of a sign at `now`; the next one comes in `every` s."""
    told = {"format": _FORMAT, "at": round(now, 1), "every": every, "version": __version__}
    return json.dumps(told)


def heard(text: str) -> Heard | None:
    """The sign in `text`; None if it is none that we wrote."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        return None
    at, every = _time(found.get("at")), _time(found.get("every"))
    if at is None or every is None:
        return None
    version = found.get("version", "")
    return Heard(at, every, version[:_MOST_VERSION] if isinstance(version, str) else "")


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= _LATEST_S else None  # not so for NaN
