"""Where a fileset may stand, and which way it may go.  Pure."""

from __future__ import annotations

import enum


class State(str, enum.Enum):
    """Where a fileset stands; every file seen ends in one of the last three."""

    WAITING = "waiting"  # for its quiet period, or for what the reason says
    QUEUED = "queued"  # to be imported as soon as an importer is free
    IMPORTING = "importing"  # an attempt was begun
    IMPORTED = "imported"  # its images are in OMERO
    SKIPPED = "skipped"  # will not be imported, for the reason given
    FAILED = "failed"  # was refused, for the reason given

    def __str__(self) -> str:
        return self.value


OPEN = (State.WAITING, State.QUEUED, State.IMPORTING)

TRANSITIONS: dict[State, tuple[State, ...]] = {
    State.WAITING: (State.QUEUED, State.SKIPPED, State.FAILED),
    State.QUEUED: (State.IMPORTING, State.WAITING, State.SKIPPED, State.FAILED),
    State.IMPORTING: (
        State.IMPORTED,
        State.FAILED,
        State.QUEUED,  # given back: the server was away, or we were stopped
        State.WAITING,  # the file changed under the import
        State.SKIPPED,
    ),
    State.IMPORTED: (),
    State.SKIPPED: (State.WAITING, State.QUEUED),
    State.FAILED: (State.WAITING, State.QUEUED, State.SKIPPED),
}
