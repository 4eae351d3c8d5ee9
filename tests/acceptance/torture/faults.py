"""DropBox with fault points: what IceGrid runs in DropBox's place during a campaign.

The points are put into the journal from here, so that no switch for them
exists in what people install.  ``faults.py DIRECTORY ...`` kills its own process
with SIGKILL at the point named by a file in DIRECTORY, once, and renames the
file to say so.

A point is ``before`` or ``after`` the commit of a transition of the journal,
such as ``after.queued-importing``; whatever code makes the transition, it is
seen in the event log that the database itself writes.  ``verified`` is the note
that OMERO is about to be told to import.  CALLS are the calls to OMERO that an
import is made of.

Sets and stores are large here: few files make a part, and each store has a process of its own.

What is armed with `stop` is stopped (SIGSTOP) instead, so that another DropBox
takes over, and may be woken later.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func, inspect, select

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.importing import activity, blame, pool, store_importer, tidying
from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.journal import keeper
from omero_fs_plugin.dropbox.journal import lease as lease_module
from omero_fs_plugin.dropbox.journal.database import Database
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.schema import event_log
from omero_fs_plugin.dropbox.journal.writer import JournalWriter

VERIFIED = "verified"
# Name of a point -> class and method that it is before and after.
CALLS: dict[str, tuple[type, str]] = {
    "login": (Omero, "session_for"),
    "lookup": (Omero, "filesets"),
    "import": (NativeImport, "_settings"),  # after: just before importFileset
    "uploads": (NativeImport, "_import"),  # before: just after importFileset
    "upload": (NativeImport, "_upload"),
    "verify": (NativeImport, "_verify"),  # tells OMERO to import
    "await": (NativeImport, "_await"),
    "made": (Omero, "filesets_of_images"),
}
# What is done with a large set in parts -> the method of the journal.  Its points are between two
# parts, see `between`.
IN_PARTS = {
    "forming": "gather",
    "parting": "_part_with",
    "verifying": "note_verified",
    "ending": "imported",
    "meeting": "met",
}
PART = 2  # files of a set in one part: the campaign's sets are large
FEW = 4  # files of a store that is imported in DropBox itself: the campaign's are larger
STOP, KILL = "stop", "kill"
SIDES = ("before", "after")
BETWEEN = "between"
_DONE = ".done"


def point(side: str, transition: str) -> str:
    """Its name: `transition` is STATE-STATE, with no first state for a new fileset."""
    return f"{side}.{transition}"


class Faults:
    """The points that are armed, as files in `directory`, which both sides see."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def arm(self, name: str, way: str = KILL) -> None:
        """The next process to come to `name` dies there, or with STOP is stopped."""
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / (name + _DONE)).unlink(missing_ok=True)
        part = self._directory / f"{name}.part"
        part.write_text(way, encoding="ascii")
        part.rename(self._directory / name)

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

    def stopped(self, name: str) -> int:
        """The process that was stopped there; 0 before that."""
        try:
            return int((self._directory / f"{name}.pid").read_text(encoding="ascii") or 0)
        except FileNotFoundError:
            return 0

    def pass_by(self, name: str) -> None:
        """Dies, or stops, if `name` is armed."""
        armed, mine = self._directory / name, self._directory / f"{name}.{os.getpid()}"
        try:
            armed.rename(mine)
        except FileNotFoundError:
            return
        way = mine.read_text(encoding="ascii")
        (self._directory / f"{name}.pid").write_text(str(os.getpid()), encoding="ascii")
        mine.rename(self._directory / (name + _DONE))
        if way == STOP:
            # To this thread: a signal to the process is taken by its main thread as soon as that
            # runs, and on a busy machine this one has committed by then.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def put_into_the_journal(pass_by: Callable[[str], None]) -> None:
    """From here on every write of any journal in this process passes by its points."""
    writing, note_verified = Database.writing, Journal.note_verified

    @contextmanager
    def faulty_writing(self: Database, **options: Any) -> Iterator[Any]:
        with writing(self, **options) as connection:
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

    def faulty_note_verified(self: Journal, *arguments: Any) -> int | None:
        pass_by(point("before", VERIFIED))
        other = note_verified(self, *arguments)
        pass_by(point("after", VERIFIED))
        return other

    Database.writing = faulty_writing  # type: ignore[method-assign]
    Journal.note_verified = faulty_note_verified  # type: ignore[method-assign]


def put_between_parts(pass_by: Callable[[str], None]) -> None:
    """From here on each act of IN_PARTS passes by its point before each part but the first."""
    now = threading.local()
    writing = Database.writing

    def faulty(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            outer = getattr(now, "act", None)
            now.act = [name, 0]
            try:
                return real(*arguments, **named)
            finally:
                now.act = outer

        return act

    def faulty_writing(self: Database, **options: Any) -> Any:
        act = getattr(now, "act", None)
        if act is not None:
            act[1] += 1
            if act[1] > 1:
                pass_by(point(BETWEEN, act[0]))
        return writing(self, **options)

    Database.writing = faulty_writing  # type: ignore[method-assign]
    for name, method in IN_PARTS.items():
        of = next(one for one in Journal.__mro__ if method in vars(one))
        setattr(of, method, faulty(name, getattr(of, method)))


def put_into_calls(pass_by: Callable[[str], None]) -> None:
    """From here on every import of this process passes by the points of CALLS."""

    def faulty(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            pass_by(point("before", name))
            answer = real(*arguments, **named)
            pass_by(point("after", name))
            return answer

        return call

    for name, (of, method) in CALLS.items():
        setattr(of, method, faulty(name, getattr(of, method)))


def _hurry(lease: float) -> None:
    """What is waited for in minutes with people's files takes a moment with these.

    `lease`: s until a holder that stands still loses it; 0: as ever.
    """
    if lease:
        for module in (keeper, lease_module):
            module.EXPIRES, module.RENEW = lease, lease / 6  # type: ignore[attr-defined]
    for name in ("START_S", "FILE_S", "LATE_S", "WATCH_S"):
        setattr(activity, name, 5.0)
    blame.TRY_AGAIN_S = (0.2, 0.5)  # type: ignore[attr-defined]
    tidying.SWEEP_S = 2.0
    # Or nobody logs in again.
    pool._IDLE_S = tidying._TIDY_S = 1.0  # type: ignore[attr-defined]


def _make_all_large() -> None:
    """Sets and stores of few files go the way of large ones."""
    rooms = (JournalWriter.__module__.rpartition(".")[0], "omero_fs_plugin.dropbox.settling")
    for name, module in list(sys.modules.items()):
        if name.rpartition(".")[0] in rooms and hasattr(module, "PART"):
            module.PART = PART  # type: ignore[attr-defined]
    store_importer.FEW = FEW


def main() -> int:
    """DropBox as IceGrid runs it; the exit code."""
    from omero_fs_plugin.dropbox.server import main as dropbox

    pass_by = Faults(Path(sys.argv.pop(1))).pass_by
    _hurry(float(sys.argv.pop(1)))
    put_into_the_journal(pass_by)
    put_between_parts(pass_by)
    put_into_calls(pass_by)
    _make_all_large()
    return dropbox()


if __name__ == "__main__":
    sys.exit(main())
