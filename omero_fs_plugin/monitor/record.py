"""What outlives FSServer: its persistent monitors, and what each client knows.

A SQLite file, written by one thread.  Python's own sqlite3, and not SQLAlchemy
as for the journal: one file of fixed shape that no other database could take
the place of, a row for every event on the way, and FSServer need not load
more to be back in a second.

The file is locked while it is open, and WAL needs no shared memory then: it
may lie on a network share.  What is committed outlives the process; a power
cut takes the last moments (synchronous=NORMAL), which are told again.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ..errors import FsError
from ..events import EventType
from .notices import shown
from .picture import Changes, State
from .requests import MonitorType, Request
from .tree import NEVER, Identity, PathMode

log = logging.getLogger(__name__)

VERSION = 1
_BUSY = 5.0  # s that a file locked by another process is waited for
_CHUNK = 5000  # rows read or written at once: others are let in between
_QUEUE = 64  # posts that wait at most; then who posts waits
_AT_ONCE = 16  # posts in one transaction
_SCHEMA = """
CREATE TABLE monitor (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    path BLOB NOT NULL,
    request TEXT NOT NULL,  -- JSON: the other arguments of createMonitor
    client TEXT NOT NULL,  -- its proxy, as a string
    started INTEGER NOT NULL DEFAULT 0,
    mount BLOB NOT NULL DEFAULT x'',  -- where the path's file system is mounted
    away REAL NOT NULL DEFAULT 0  -- s that the client has been away
);
CREATE TABLE known (
    monitor INTEGER NOT NULL,
    path BLOB NOT NULL,
    state TEXT NOT NULL,  -- inode,size,mtime in ns of a file; D, d: directory, entered or not
    PRIMARY KEY (monitor, path)
) WITHOUT ROWID;
"""

_Act = Callable[[sqlite3.Connection], object]


class RecordError(FsError):
    """The record cannot be used."""


class Saved(NamedTuple):
    """A monitor as it was left."""

    identifier: str
    request: Request
    client: str
    started: bool
    away: float  # s


class _Post(NamedTuple):
    act: _Act | None  # None: the end
    done: Callable[[], None]


class Record:
    """Rule: what is posted is written in its order, each post whole or not at all.

    A file that fails is set aside, with one line in the log, and FSServer goes
    on without: what it holds must not be taken for the truth later.
    """

    def __init__(self, file: Path) -> None:
        """Raises RecordError when it cannot be used."""
        self._file = file
        self._connection: sqlite3.Connection | None = _connect(file)
        self._lock = threading.Lock()  # the connection
        self._queue: queue.Queue[_Post] = queue.Queue(_QUEUE)
        self._ended = False
        with self._lock:
            rows = self._connection.execute("SELECT id, key FROM monitor").fetchall()
        self._keys: dict[str, int] = dict(rows)
        self._next = max(self._keys.values(), default=0) + 1
        self._thread = threading.Thread(target=self._write, name="record", daemon=True)
        self._thread.start()

    # Monitors ---------------------------------------------------------------

    def saved(self) -> list[Saved]:
        """Every monitor, in the order of their making."""
        rows = self._read(
            "SELECT id, path, request, client, started, away FROM monitor ORDER BY key"
        )
        return [
            Saved(identifier, _request(path, text), client, bool(started), away)
            for identifier, path, text, client, started, away in rows
        ]

    def create(self, identifier: str, request: Request, client: str) -> None:
        """Keeps a new monitor, stopped; returns when it is written."""
        key = self._keys[identifier] = self._next
        self._next += 1
        row = (key, identifier, request.path, _text(request), client)
        self._settled(
            lambda db: db.execute(
                "INSERT INTO monitor (key, id, path, request, client) VALUES (?, ?, ?, ?, ?)", row
            )
        )

    def stopped(self, identifier: str) -> None:
        """It is not to be started again; returns when that is written."""
        key = self._keys.get(identifier)
        if key is not None:
            self._settled(lambda db: _stop(db, key))

    def forget(self, identifier: str) -> None:
        """It is destroyed; returns when that is written."""
        key = self._keys.pop(identifier, None)
        if key is None:
            return

        def forget(db: sqlite3.Connection) -> None:
            _stop(db, key)
            db.execute("DELETE FROM monitor WHERE key = ?", (key,))

        self._settled(forget)

    def picture(self, identifier: str) -> Picture | None:
        """Where to keep what its client knows; None for a monitor that is not kept."""
        key = self._keys.get(identifier)
        return None if key is None else Picture(self, key)

    # The file ---------------------------------------------------------------

    def post(self, act: _Act, done: Callable[[], None] = lambda: None) -> None:
        """Has `act` done and committed, and then `done` called, on another thread.

        `done` is called even when there is no record any more.
        """
        if self._ended:
            done()
        else:
            self._queue.put(_Post(act, done))

    def select(self, key: int, after: bytes) -> list[tuple[bytes, str]]:
        """Some of what the client of monitor `key` knows, from `after` on."""
        return self._read(
            "SELECT path, state FROM known WHERE monitor = ? AND path > ? ORDER BY path "
            f"LIMIT {_CHUNK}",
            (key, after),
        )

    def mount(self, key: int) -> bytes:
        """As Picture.mount."""
        ((mount,),) = self._read("SELECT mount FROM monitor WHERE key = ?", (key,))
        return bytes(mount)

    def close(self) -> None:
        """Writes what was posted and lets go of the file."""
        self._queue.put(_Post(None, lambda: None))
        self._thread.join()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _settled(self, act: _Act) -> None:
        written = threading.Event()
        self.post(act, written.set)
        written.wait()

    def _read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            if self._connection is None:
                raise RecordError(f"{self._file} was set aside")
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                self._fail(error)
                raise RecordError(f"{self._file}: {error}") from error

    def _write(self) -> None:
        while not self._ended:
            posts = [self._queue.get()]
            with suppress(queue.Empty):
                while len(posts) < _AT_ONCE:
                    posts.append(self._queue.get_nowait())
            self._ended = any(post.act is None for post in posts)
            with self._lock:
                if self._connection is not None:
                    try:
                        _commit(self._connection, posts)
                    except Exception as error:
                        self._fail(error)
            for post in posts:
                post.done()

    def _fail(self, error: Exception) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
        aside = _set_aside(self._file)
        log.error(
            "%s failed (%s: %s) and is now %s: monitors go on, and end with this FSServer",
            self._file,
            type(error).__name__,
            error,
            aside,
        )


class Picture:
    """What the client of one started monitor knows."""

    def __init__(self, record: Record, key: int) -> None:
        self._record = record
        self._key = key
        self._mount: bytes | None = None  # as last written
        self._closed = False

    @property
    def mount(self) -> bytes:
        """The mount point of the directory when it was last seen."""
        self._mount = self._record.mount(self._key)
        return self._mount

    def load(self) -> Iterator[tuple[bytes, State]]:
        """All of it, by path.  Raises RecordError."""
        after = b""
        while rows := self._record.select(self._key, after):
            for path, state in rows:
                yield path, _state(state)
            after = rows[-1][0]

    def begin(
        self,
        known: Iterator[tuple[bytes, State]],
        mount: bytes,
        *,
        between: Callable[[], None],
        done: Callable[[], None],
    ) -> None:
        """Keeps what is known at a start, and when all of it is, that it is started.

        A start that is killed before has not happened.  `between` is called
        from time to time, for there may be much; `done` when all is written.
        """
        key = self._key
        self._post(lambda db: _stop(db, key))
        while chunk := dict(islice(known, _CHUNK)):
            self.write(chunk)
            between()
        self._post(
            lambda db: db.execute("UPDATE monitor SET started = 1 WHERE key = ?", (key,)), done
        )
        self.keep_mount(mount)

    def write(self, changes: Changes) -> None:
        """What changed."""
        key = self._key
        there = [(key, path, _word(state)) for path, state in changes.items() if state is not None]
        gone = [(key, path) for path, state in changes.items() if state is None]

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", there)
            db.executemany("DELETE FROM known WHERE monitor = ? AND path = ?", gone)

        self._post(write)

    def keep_mount(self, mount: bytes) -> None:
        """Where the directory's file system is mounted."""
        if mount != self._mount:
            self._mount = mount
            row = (mount, self._key)
            self._post(lambda db: db.execute("UPDATE monitor SET mount = ? WHERE key = ?", row))

    def away(self, seconds: float) -> None:
        """For how long the client has been away."""
        row = (seconds, self._key)
        self._post(lambda db: db.execute("UPDATE monitor SET away = ? WHERE key = ?", row))

    def close(self) -> None:
        """Nothing more is written: the monitor was stopped."""
        self._closed = True

    def _post(self, act: _Act, done: Callable[[], None] = lambda: None) -> None:
        if self._closed:
            done()
        else:
            self._record.post(act, done)


def open_record(file: Path) -> Record | None:
    """The record in `file`, made when missing; None when there can be none.

    A file that cannot be used is set aside and a new one made.  What happens
    is logged in one line.
    """
    try:
        try:
            return Record(file)
        except (sqlite3.Error, OSError, RecordError, ValueError) as error:
            if _locked(error) or not os.path.lexists(file):
                raise
            aside = _set_aside(file)
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
        reason = "another FSServer uses it" if _locked(error) else str(error)
        log.error("monitors end with this FSServer, for %s cannot be used: %s", file, reason)
        return None


def _locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def _set_aside(file: Path) -> str:
    """Renames it and what belongs to it; its new name, or why it has none."""
    number = time.strftime("%Y%m%d-%H%M%S")
    aside = Path(f"{file}.bad-{number}")
    while os.path.lexists(aside):
        number += "x"
        aside = Path(f"{file}.bad-{number}")
    for suffix in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.replace(f"{file}{suffix}", f"{aside}{suffix}")  # noqa: PTH105
    try:
        file.rename(aside)
    except OSError as error:
        return f"still there ({error.strerror})"
    return str(aside)


def _connect(file: Path) -> sqlite3.Connection:
    # Nobody else's affair, from the first byte on; SQLite gives its -wal the same mode.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    db = sqlite3.connect(file, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise RecordError(f"it has version {version}, and this release knows {VERSION}")
        (checked,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if checked != "ok":
            raise RecordError(f"it is corrupt: {checked}")
        # What a start that was killed has left; and takes the lock.
        db.execute("DELETE FROM known WHERE monitor NOT IN (SELECT key FROM monitor WHERE started)")
        for path, text in db.execute("SELECT path, request FROM monitor"):
            _request(path, text)
    except BaseException:
        db.close()
        raise
    return db


def _commit(db: sqlite3.Connection, posts: Iterable[_Post]) -> None:
    db.execute("BEGIN")
    for post in posts:
        if post.act is not None:
            post.act(db)
    db.execute("COMMIT")


def _stop(db: sqlite3.Connection, key: int) -> None:
    db.execute("UPDATE monitor SET started = 0 WHERE key = ?", (key,))
    db.execute("DELETE FROM known WHERE monitor = ?", (key,))


def _text(request: Request) -> str:
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
        }
    )


def _request(path: bytes, text: str) -> Request:
    """Raises RecordError for what no release has written."""
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


def _word(state: Identity | bool) -> str:
    if isinstance(state, bool):
        return "D" if state else "d"
    # As text, for an inode or a time may be larger than what SQLite counts to.
    return ",".join(map(str, state))


def _state(word: str) -> State:
    if word in ("D", "d"):
        return word == "D"
    try:
        inode, size, mtime = map(int, word.split(","))
    except ValueError:
        return NEVER  # told again rather than taken for known
    return inode, size, mtime
