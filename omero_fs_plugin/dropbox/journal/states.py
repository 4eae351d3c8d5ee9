"""The states of a fileset, and the transitions between them.  Pure."""

from __future__ import annotations

import enum


class State(str, enum.Enum):
    """The state of a fileset.  Every file that was seen ends in one of the last three."""

    WAITING = "waiting"  # for the end of its quiet period, or for what the reason says
    QUEUED = "queued"  # it is imported as soon as an importer is free
    IMPORTING = "importing"  # an attempt has begun
    IMPORTED = "imported"  # its images are in OMERO
    SKIPPED = "skipped"  # it will not be imported; the reason says why
    FAILED = "failed"  # it could not be imported; the reason says why

    def __str__(self) -> str:
        return self.value


OPEN = (State.WAITING, State.QUEUED, State.IMPORTING)

HIGHEST_ID = 2**63 - 1  # of a fileset: SQLite and PostgreSQL take no greater number

# In SQL, word for word as the journal's indexes have it: else a database does not use them.
HELD = "state IN ('waiting', 'queued') AND reason <> ''"
ON_ITS_WAY = "state IN ('waiting', 'queued') AND reason = ''"

TRANSITIONS: dict[State, tuple[State, ...]] = {
    State.WAITING: (State.QUEUED, State.SKIPPED, State.FAILED),
    State.QUEUED: (State.IMPORTING, State.WAITING, State.SKIPPED, State.FAILED),
    State.IMPORTING: (
        State.IMPORTED,
        State.FAILED,
        State.QUEUED,  # given back: the server was away, or we were stopped
        State.WAITING,  # a file changed during the import
        State.SKIPPED,
    ),
    State.IMPORTED: (),
    State.SKIPPED: (State.WAITING, State.QUEUED),
    State.FAILED: (State.WAITING, State.QUEUED, State.SKIPPED),
}
