"""When somebody is told: after a quiet spell.  Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

# Whose files never come to rest is told after so many intervals.
LONGEST = 8


@dataclass(frozen=True)
class Spell:
    """What happened to the files of one person, and was not told yet."""

    first: float  # s since the epoch
    last: float
    through: int  # id of the last event


class Spells:
    """Who is to be told, and when.

    Rule: a person is told when nothing has happened for one interval, or after LONGEST
    intervals if something happens all the time, and never twice in one interval.
    """

    def __init__(self) -> None:
        self._open: dict[str, Spell] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def heard(self, person: str, event: int, at: float, now: float) -> None:
        """An event happened `at` (s since the epoch), and this person is to be told of it."""
        at = min(at, now)  # somebody may have set the clock back since
        spell = self._open.get(person) or Spell(at, at, event)
        self._open[person] = replace(spell, last=max(spell.last, at), through=event)

    def due(self, now: float, interval: float) -> Iterable[tuple[str, Spell]]:
        """Who is to be told now, unless that person was told within the interval."""
        for person, known in list(self._open.items()):
            spell = replace(known, first=min(known.first, now), last=min(known.last, now))
            self._open[person] = spell  # if the clock was set back, the spell begins now
            if now - spell.last >= interval or now - spell.first >= LONGEST * interval:
                yield person, spell

    def told(self, person: str) -> None:
        """The person was told of all that was heard."""
        self._open.pop(person, None)

    def clear(self) -> None:
        """Nobody is to be told."""
        self._open.clear()
