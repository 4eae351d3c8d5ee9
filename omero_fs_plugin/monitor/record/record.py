"""What outlives FSServer: its persistent monitors, and what each client knows.

It is a SQLite file, written by one thread.  It uses Python's own sqlite3 and not
SQLAlchemy as the journal does: the file has a fixed shape and never lies in
another database, there is a row for every event on the way, and without
SQLAlchemy FSServer is back in a second.

The file is locked while it is open.  So WAL needs no shared memory, and the file
may lie on a network share.  Committed rows outlive the process.  A power cut
loses the last moments (synchronous=NORMAL), which are told again.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
from contextlib import suppress
from os.path import lexists
from pathlib import Path
from typing import NamedTuple

from omero_fs_plugin.monitor.requests import Request

from .file import RecordError, locked, request_of, set_aside, text_of
from .picture import Picture, stop_row
from .sent import Sent
from .writer import Writer

log = logging.getLogger(__name__)


class Saved(NamedTuple):
    """A monitor as the record has it."""

    identifier: str
    request: Request
    client: str
    started: bool
    away: float  # s


class Record:
    """The persistent monitors, and for each a place for what its client knows."""

    def __init__(self, file: Path) -> None:
        """Raises OSError, sqlite3.Error or RecordError if it cannot be used."""
        self._beside = Path(f"{file}.sent")
        self.writer = Writer(file)  # for those who add to the file
        try:
            self._keys: dict[str, int] = dict(self.writer.read("SELECT id, key FROM monitor"))
            self._new_keys = itertools.count(max(self._keys.values(), default=0) + 1)
            self._tidy()
        except BaseException:
            self.writer.close()
            raise

    def saved(self) -> list[Saved]:
        """Every monitor, in the order in which they were made."""
        rows = self.writer.read(
            "SELECT id, path, request, client, started, away FROM monitor ORDER BY key"
        )
        return [
            Saved(identifier, request_of(path, text), client, bool(started), away)
            for identifier, path, text, client, started, away in rows
        ]

    def create(self, identifier: str, request: Request, client: str) -> None:
        """Keeps a new, stopped monitor.  Returns when it is written."""
        key = self._keys[identifier] = next(self._new_keys)
        row = (key, identifier, request.path, text_of(request), client)
        self.writer.settled(
            lambda db: db.execute(
                "INSERT INTO monitor (key, id, path, request, client) VALUES (?, ?, ?, ?, ?)", row
            )
        )

    def stopped(self, identifier: str) -> None:
        """Keeps that a monitor was stopped.  Returns when this is written."""
        key = self._keys.get(identifier)
        if key is not None:
            self.writer.settled(lambda db: stop_row(db, key))

    def forget(self, identifier: str) -> None:
        """Forgets a monitor that is destroyed.  Returns when this is written."""
        key = self._keys.pop(identifier, None)
        if key is None:
            return

        def forget(db: sqlite3.Connection) -> None:
            stop_row(db, key)
            db.execute("DELETE FROM monitor WHERE key = ?", (key,))

        self.writer.settled(forget)
        with suppress(OSError):  # the next FSServer tries again
            (self._beside / identifier).unlink(missing_ok=True)

    def picture(self, identifier: str) -> Picture | None:
        """The place for what its client knows; None for a monitor that is not kept."""
        key = self._keys.get(identifier)
        return None if key is None else Picture(self.writer, key, Sent(self._beside / identifier))

    def close(self) -> None:
        """Writes what was posted, and closes the file."""
        self.writer.close()

    def _tidy(self) -> None:
        """Removes what was sent by monitors that no longer exist."""
        self._beside.mkdir(mode=0o700, exist_ok=True)
        for file in self._beside.iterdir():
            if file.name not in self._keys:
                file.unlink()


def open_record(file: Path) -> Record | None:
    """The record in `file`, which is made if it is missing.  None if there can be none.

    If a file cannot be used, it is set aside and a new one is made.  One line in the log
    says what happened.
    """
    try:
        try:
            return Record(file)
        except (sqlite3.Error, OSError, RecordError, ValueError) as error:
            if locked(error) or not lexists(file):
                raise
            aside = set_aside(file)
            record = Record(file)
            log.error(
                "%s cannot be used (%s) and is now %s: its monitors are lost, and clients must "
                "make them again",
                file,
                error,
                aside,
            )
            return record
    except (sqlite3.Error, OSError, RecordError, ValueError) as error:
        reason = "another FSServer uses it" if locked(error) else str(error)
        log.error("monitors end with this FSServer: %s cannot be used: %s", file, reason)
        return None
