"""Counts what is in the journal, and what has happened since the last look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from omero_fs_plugin.dropbox.journal.states import OPEN, State

ANEW_S = 600.0  # the kept counts are counted anew: a row may also be joined to another
_AT_ONCE = 1000  # steps
_OPEN = ", ".join(f"'{state}'" for state in OPEN)
_ENDED = ", ".join(f"'{state}'" for state in State if state not in OPEN)

# A step with the time of the step before it, and the bytes of an import that went through.
_STEPS = """
SELECT event.id, event.at, event.before, event.after, fileset."user",
  (SELECT max(former.at) FROM event AS former WHERE former.fileset = event.fileset
     AND former.id < event.id AND former.after = event.before AND former.before <> former.after),
  CASE WHEN event.before = 'importing' AND event.after = 'imported' THEN
    (SELECT coalesce(sum(file.size + 0.0), 0) FROM file WHERE file.fileset = event.fileset)
  ELSE 0 END
FROM event JOIN fileset ON fileset.id = event.fileset
WHERE event.id > ? AND event.id <= ? AND event.before <> event.after
ORDER BY event.id
"""


class Look(Protocol):
    """One state of the journal: a `Glance`."""

    def now(self) -> float: ...

    def ask(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True)
class Step:
    """A fileset that came from one state into another."""

    at: float  # s since the epoch
    before: str  # empty: it is new
    after: str
    user: str
    lasted: float | None  # s in the state before; None if that is not known
    size: int  # bytes imported by this step


@dataclass(frozen=True)
class Opened:
    """The filesets of one user in one state that have not come to an end."""

    user: str
    number: int
    held: int  # those that wait for something, or are tried again
    oldest: float  # s since the epoch, when the oldest was met


class Tally:
    """What there is in each state, and every step since the tally began.

    Rule: filesets that have ended are counted from the steps.  They are most, and never looked at
    again but every ANEW_S.  Those that have not ended are few, and are counted at each look.
    """

    def __init__(self) -> None:
        self.ended: Counter[tuple[str, str]] = Counter()  # (state, user) -> filesets
        self.opened: dict[str, list[Opened]] = {}  # state -> of each user
        self.last_import: float | None = None  # s since the epoch
        self._last: int | None = None  # the event that was counted last
        self._counted = 0.0  # s since the epoch, when all was counted

    def look(self, look: Look) -> list[Step]:
        """Brings the counts up to date.  Returns the steps since the last look, oldest first."""
        newest = int(look.ask("SELECT coalesce(max(id), 0) FROM event")[0][0])
        steps: list[Step] = []
        if self._last is None:
            self._last_import_of(look)
        else:
            steps = self._steps(look, self._last, newest)
        if self._last is None or look.now() - self._counted >= ANEW_S:
            self._count(look)
        else:
            for step in steps:
                self.ended[step.before, step.user] -= 1
                self.ended[step.after, step.user] += 1
        for step in steps:
            if step.after == State.IMPORTED and step.before == State.IMPORTING:
                self.last_import = step.at
        self._last = newest
        self._open(look)
        return steps

    def number(self, state: State) -> dict[str, int]:
        """The filesets in `state`: user -> number."""
        if state in OPEN:
            return {one.user: one.number for one in self.opened.get(str(state), [])}
        return {user: n for (of, user), n in self.ended.items() if of == str(state) and n > 0}

    def _steps(self, look: Look, after: int, newest: int) -> list[Step]:
        found: list[Step] = []
        for first in range(after, newest, _AT_ONCE):
            rows = look.ask(_STEPS, [first, min(first + _AT_ONCE, newest)])
            for _, at, before, state, user, entered, size in rows:
                lasted = None if entered is None else max(0.0, float(at) - float(entered))
                found.append(Step(float(at), before, state, user, lasted, int(size)))
        return found

    def _count(self, look: Look) -> None:
        rows = look.ask(
            f'SELECT state, "user", count(*) FROM fileset WHERE state IN ({_ENDED}) '
            'GROUP BY state, "user"'
        )
        self.ended = Counter({(state, user): int(number) for state, user, number in rows})
        self._counted = look.now()

    def _open(self, look: Look) -> None:
        rows = look.ask(
            "SELECT state, \"user\", count(*), sum(CASE WHEN reason <> '' AND state <> 'importing' "
            f"THEN 1 ELSE 0 END), min(created) FROM fileset WHERE state IN ({_OPEN}) "
            'GROUP BY state, "user"'
        )
        self.opened = {}
        for state, user, number, held, oldest in rows:
            one = Opened(user, int(number), int(held), float(oldest))
            self.opened.setdefault(state, []).append(one)

    def _last_import_of(self, look: Look) -> None:
        # By the newest fileset of OMERO's: the events have no index by state.
        rows = look.ask(
            "SELECT max(changed) FROM fileset WHERE id IN (SELECT id FROM fileset "
            "WHERE state = 'imported' ORDER BY id DESC LIMIT 1000)"
        )
        self.last_import = None if rows[0][0] is None else float(rows[0][0])
