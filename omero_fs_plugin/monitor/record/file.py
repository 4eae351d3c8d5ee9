"""The record's file: its shape, how it is opened or set aside, and how values are written."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.kernel.entries import Identity
from omero_fs_plugin.monitor.notices import shown
from omero_fs_plugin.monitor.requests import MonitorType, PathMode, Request
from omero_fs_plugin.monitor.tracking.picture import ENTERED, PASSED, State
from omero_fs_plugin.monitor.tracking.tree import NEVER
from omero_fs_plugin.private import BESIDE, keep_private

VERSION = 4
_BUSY = 5.0  # how long (s) we wait for a file that another process has locked
PAGE = """
CREATE TABLE page (  -- what was known at the start, see `pages`
    monitor INTEGER NOT NULL,
    directory BLOB NOT NULL,  -- with "/" at its end
    first BLOB NOT NULL,  -- of the names, the least
    names BLOB NOT NULL,  -- name, state, name, state and so on, with a NUL between them
    PRIMARY KEY (monitor, directory, first)
);
"""
_SCHEMA = f"""
CREATE TABLE monitor (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    path BLOB NOT NULL,
    request TEXT NOT NULL,  -- JSON: the other arguments of createMonitor
    client TEXT NOT NULL,  -- its proxy, as a string
    started INTEGER NOT NULL DEFAULT 0,
    mount BLOB NOT NULL DEFAULT x'',  -- where the path's file system is mounted
    away REAL NOT NULL DEFAULT 0,  -- s that the client has been away
    heard INTEGER NOT NULL DEFAULT 0  -- of what was sent, `known` shows all up to this entry
);
CREATE TABLE known (
    monitor INTEGER NOT NULL,
    path BLOB NOT NULL,  -- of a directory with "/" at its end, as picture.key_of
    state TEXT NOT NULL,  -- inode,size,mtime in ns of a file, or as picture.State
    PRIMARY KEY (monitor, path)
) WITHOUT ROWID;
{PAGE}
"""

# Until then a directory had no "/" at its end.
_FROM_2 = f"""
BEGIN;
UPDATE known SET path = CAST(path || x'2f' AS BLOB)
WHERE substr(state, 1, 1) IN ('{ENTERED}', '{PASSED}');
PRAGMA user_version = 3;
COMMIT;
"""
# Until then everything had a row in `known`.
_FROM_3 = f"""
BEGIN;
{PAGE}
PRAGMA user_version = 4;
COMMIT;
"""


class RecordError(FsError):
    """The record cannot be used."""


def locked(error: Exception) -> bool:
    """Whether another process has the file."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def set_aside(file: Path) -> str:
    """Renames the file and what belongs to it.  Returns the new name, or why there is none."""
    number = time.strftime("%Y%m%d-%H%M%S")
    aside = Path(f"{file}.bad-{number}")
    while os.path.lexists(aside):
        number += "x"
        aside = Path(f"{file}.bad-{number}")
    try:
        # First what a new file of the same name would take for its own.
        for suffix in BESIDE:
            with suppress(FileNotFoundError):
                Path(f"{file}{suffix}").rename(f"{aside}{suffix}")
        file.rename(aside)
    except OSError as error:
        return f"still there ({error.strerror})"
    return str(aside)


def connect(file: Path) -> sqlite3.Connection:
    """Opens the file, makes it if it is missing, and locks it.

    Raises OSError, sqlite3.Error or RecordError if it cannot be used.
    """
    keep_private(file)
    db = sqlite3.connect(file, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version in (2, 3):
            if version == 2:
                db.executescript(_FROM_2)
            db.executescript(_FROM_3)
        elif version != VERSION:
            raise RecordError(f"it has version {version}, and this release knows {VERSION}")
        (checked,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if checked != "ok":
            raise RecordError(f"it is corrupt: {' '.join(str(checked).split())}")
        # Removes what a killed start has left.  This also takes the lock.
        for table in ("known", "page"):
            started = "SELECT key FROM monitor WHERE started"
            db.execute(f"DELETE FROM {table} WHERE monitor NOT IN ({started})")
        for path, text in db.execute("SELECT path, request FROM monitor"):
            request_of(path, text)
    except BaseException:
        db.close()
        raise
    return db


def text_of(request: Request) -> str:
    """The arguments of createMonitor, without the path."""
    return json.dumps(
        {
            "type": request.type.value,
            "events": sorted(event.value for event in request.events),
            "mode": request.mode.value,
            "whitelist": request.whitelist,
            "blacklist": request.blacklist,
            "timeout": request.timeout,
            "block_size": request.block_size,
            "ignore_sys_files": request.ignore_sys_files,
            "ignore_dir_events": request.ignore_dir_events,
            "client_timeout": request.client_timeout,
            "guest": request.guest,
        }
    )


def request_of(path: bytes, text: str) -> Request:
    """The request from its text.  Raises RecordError for a text that no release has written."""
    try:
        given = json.loads(text)
        return Request(
            path=bytes(path),
            type=MonitorType(given.pop("type")),
            events=frozenset(EventType(event) for event in given.pop("events")),
            mode=PathMode(given.pop("mode")),
            whitelist=tuple(given.pop("whitelist")),
            blacklist=tuple(given.pop("blacklist")),
            **given,
        )
    except (ValueError, TypeError, KeyError, AttributeError, FsError) as error:
        raise RecordError(f"the monitor of {shown(bytes(path))} makes no sense: {error}") from error


def word_of(state: Identity | str) -> str:
    """A state as it is written in known.state."""
    if isinstance(state, str):
        return state
    # It is text, because an inode or a time may be too large for SQLite.
    return "%d,%d,%d" % state  # noqa: UP031 - a row for every event: the fastest


def state_of(word: str) -> State:
    """The state that `word_of` made this word of."""
    if word.startswith((ENTERED, PASSED)):
        return word
    try:
        inode, size, mtime = map(int, word.split(","))
    except ValueError:
        return NEVER  # the client is told again, which is better than never
    return inode, size, mtime
