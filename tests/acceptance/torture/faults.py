"""DropBox with fault points: what IceGrid runs in DropBox's place during a campaign.

The points are put into the journal from here, so that no switch for them
exists in what people install.  ``faults.py DIRECTORY ...`` kills its own process
with SIGKILL at the point named by a file in DIRECTORY, once, and renames the
file to say so.

A point is ``before`` or ``after`` the commit of a transition of the journal,
such as ``after.queued-importing``; whatever code makes the transition, it is
seen in the event log that the database itself writes.  ``verified`` is the note
that OMERO is about to be told to import.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func, inspect, select

from omero_fs_plugin.dropbox.importing import attempts, workers
from omero_fs_plugin.dropbox.journal.database import Database
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.schema import event_log

VERIFIED = "verified"
SIDES = ("before", "after")
_DONE = ".done"


def point(side: str, transition: str) -> str:
    """Its name: `transition` is STATE-STATE, with no first state for a new fileset."""
    return f"{side}.{transition}"


class Faults:
    """The points that are armed, as files in `directory`, which both sides see."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def arm(self, name: str) -> None:
        """The next process to come to `name` dies there."""
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / (name + _DONE)).unlink(missing_ok=True)
        (self._directory / name).touch()

    def disarm(self, name: str) -> bool:
        """Whether nothing had died of it."""
        try:
            (self._directory / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def has_fired(self, name: str) -> bool:
        """Whether a process died of it."""
        return (self._directory / (name + _DONE)).exists()

    def pass_by(self, name: str) -> None:
        """Dies if `name` is armed."""
        armed = self._directory / name
        try:
            armed.rename(armed.with_name(name + _DONE))
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def put_into_the_journal(pass_by: Callable[[str], None]) -> None:
    """From here on every write of any journal in this process passes by its points."""
    writing, note_verified = Database.writing, Journal.note_verified

    @contextmanager
    def faulty_writing(self: Database) -> Iterator[Any]:
        with writing(self) as connection:
            last = 0
            if inspect(connection).has_table(event_log.name):
                last = connection.scalar(select(func.max(event_log.c.id))) or 0
            yield connection
            rows = connection.execute(
                select(event_log.c.before, event_log.c.after)
                .where(event_log.c.id > last, event_log.c.before != event_log.c.after)
                .distinct()
            )
            made = [f"{before}-{after}" for before, after in rows]
            for transition in made:
                pass_by(point("before", transition))
        for transition in made:
            pass_by(point("after", transition))

    def faulty_note_verified(self: Journal, fileset: Fileset, sha1s: Sequence[str]) -> int | None:
        pass_by(point("before", VERIFIED))
        other = note_verified(self, fileset, sha1s)
        pass_by(point("after", VERIFIED))
        return other

    Database.writing = faulty_writing  # type: ignore[method-assign]
    Journal.note_verified = faulty_note_verified  # type: ignore[method-assign]


def _hurry() -> None:
    """What is waited for in minutes with people's files takes a moment with these."""
    attempts._GRACE_S = 5.0
    workers.TRY_AGAIN_S = (0.2, 0.5)  # type: ignore[attr-defined]


def main() -> int:
    """DropBox as IceGrid runs it; the exit code."""
    from omero_fs_plugin.dropbox.server import main as dropbox

    _hurry()
    put_into_the_journal(Faults(Path(sys.argv.pop(1))).pass_by)
    return dropbox()


if __name__ == "__main__":
    sys.exit(main())
