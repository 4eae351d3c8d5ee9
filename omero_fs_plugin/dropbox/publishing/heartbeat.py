"""The sign of life that DropBox leaves in OMERO, for pages that are far from it.  Pure.

A user's document is written only when something has changed.  So it cannot tell a DropBox that
has nothing to do from one that is down.

The sign also says which process has left it.  There is one sign in an OMERO, and one DropBox works
on a journal.  So who finds signs of another process again and again, though it leaves its own
each time, is not the only DropBox: the other one has another journal.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from omero_fs_plugin import __version__

from .written import content_of, is_time

_FORMAT = 1  # readers refuse another one
EVERY_S = 15.0  # between two of them
_LATE_S = 30.0  # OMERO may be slow; a sign that is this much late counts as none
_MOST_VERSION = 50  # characters
_MOST_USERS = 100  # more count as everyone
_MOST_NODES = 50
_MOST_WHO = 300  # characters
_TWICE = 2  # one that has just lost its lease may leave one more sign
_GONE = 3  # without a sign for as long as so many of them take, it has gone


@dataclass(frozen=True)
class Heard:
    """The last sign of life."""

    at: float  # s since the epoch, by the clock of DropBox
    every: float  # s; the next one comes after so long
    version: str = ""  # of OMERO.fs; empty: an older one does not say
    who: str = ""  # the process: the name of its machine, a space, what tells it from others
    users: frozenset[str] = frozenset()  # for whom it imports; empty: it may be everyone
    unwatched: float | None = None  # s since the epoch: FSServer has told it nothing since then

    # Nodes of omero.fs.node whose FSServer tells it nothing
    nodes: frozenset[str] = frozenset()

    def silent(self, now: float) -> bool:
        """Whether at `now` (s since the epoch) the next one should have come."""
        return now - self.at > self.every + _LATE_S

    def fits(self, now: float) -> bool:
        """Whether a clock that shows `now` agrees with that of DropBox, as far as this shows it."""
        return now - self.at >= -_LATE_S and not self.silent(now)


def sign(
    now: float,
    every: float,
    who: str = "",
    users: Collection[str] = (),
    unwatched: float | None = None,
    nodes: Collection[str] = (),
) -> str:
    """The text of a sign at `now`; the next one comes in `every` s.  The rest: as in Heard."""
    told: dict[str, Any] = {"format": _FORMAT, "at": round(now, 1), "every": every}
    told["version"] = __version__
    if unwatched is not None:
        told["unwatched"] = round(unwatched, 1)
    if nodes:
        told["nodes"] = sorted(nodes)[:_MOST_NODES]
    if who:
        told["who"] = who
    if 0 < len(users) <= _MOST_USERS:
        told["users"] = sorted(users)
    return json.dumps(told)


def heard(text: str) -> Heard | None:
    """The sign in `text`; None if it is none that we wrote."""
    found = content_of(text, _FORMAT)
    if found is None:
        return None
    at, every = _time(found.get("at")), _time(found.get("every"))
    if at is None or every is None:
        return None
    version = _word(found.get("version"), _MOST_VERSION)
    who, users = _word(found.get("who"), _MOST_WHO), _names(found.get("users"))
    unwatched, nodes = _time(found.get("unwatched")), _names(found.get("nodes"))
    return Heard(at, every, version, who, users, unwatched, nodes)


class Others:
    """Whether another DropBox leaves signs of life where we leave ours.

    Rule: only what was left since our own last sign counts, and only as often as the other has
    left it.  A clock of another machine is not believed.  One that imports for other users alone
    is left in peace.
    """

    def __init__(self, me: str) -> None:
        """`me` is `who` of our own signs."""
        self._me = me
        self._left = False  # our own sign, once at least
        self._last: Heard | None = None  # of another
        self._times = 0  # that it left one
        self._met = 0.0  # s, monotonic: the last of them

    def found(self, text: str, now: float, users: Collection[str] = ()) -> None:
        """`text` was there when we left our sign at `now` (s, monotonic).  `users`: ours."""
        other = heard(text)
        apart = other is not None and users and other.users and other.users.isdisjoint(users)
        if self._left and other is not None and not apart and other.who not in ("", self._me):
            if self._last is None or other.who != self._last.who:
                self._times = 0
            self._times += 1
            self._last, self._met = other, now
        self._left = True

    def told(self, now: float) -> str:
        """What people are to know at `now` (s, monotonic); empty if there is nothing."""
        if self._last is None or self._times < _TWICE:
            return ""
        if now - self._met > _GONE * max(self._last.every, EVERY_S) + _LATE_S:
            return ""
        host = self._last.who.partition(" ")[0]
        return (
            f"another DropBox, on {host}, works on this OMERO and does not have our journal: stop "
            "one of the two, or they import files twice (omero.fs.journal, omero.fs.importUsers)"
        )


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return frozenset()
    return frozenset(value)


def _word(value: object, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""


def _time(value: Any) -> float | None:
    return float(value) if is_time(value) else None
