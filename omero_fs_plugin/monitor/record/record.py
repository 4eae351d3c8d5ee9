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

import itertools
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from os.path import lexists
from pathlib import Path
from typing import NamedTuple

from omero_fs_plugin.monitor.requests import Request

from .file import RecordError, connect, locked, request_of, set_aside, text_of
from .picture import CHUNK, Act, Picture, nothing, stop_row
from .sent import Sent

log = logging.getLogger(__name__)

_QUEUE = 64  # posts that wait at most; then who posts waits
_AT_ONCE = 16  # posts in one transaction, and those that wait for no more
# s; between the first post and its transaction, unless someone waits for it.
# Each transaction writes whole pages: few large ones cost a third.
_GATHER = 0.1


class Saved(NamedTuple):
    """A monitor as it was left."""

    identifier: str
    request: Request
    client: str
    started: bool
    away: float  # s


class _Post(NamedTuple):
    act: Act | None  # None: the end
    done: Callable[[], None]


class Record:
    """Rule: what is posted is written in its order, each post whole or not at all.

    A file that fails is set aside, with one line in the log, and FSServer goes
    on without: what it holds must not be taken for the truth later.
    """

    def __init__(self, file: Path) -> None:
        """Raises RecordError when it cannot be used."""
        self._file = file
        self._beside = Path(f"{file}.sent")
        self._connection: sqlite3.Connection | None = connect(file)
        self._lock = threading.Lock()  # the connection
        self._queue: queue.Queue[_Post] = queue.Queue(_QUEUE)
        self._posting = threading.Lock()  # nothing is queued after the end
        self._ended = False
        self._hurry = threading.Event()  # someone waits, or much does
        with self._lock:
            rows = self._connection.execute("SELECT id, key FROM monitor").fetchall()
        self._keys: dict[str, int] = dict(rows)
        self._new_keys = itertools.count(max(self._keys.values(), default=0) + 1)
        try:
            self._tidy()
        except BaseException:
            self._connection.close()
            raise
        self._thread = threading.Thread(target=self._write, name="record", daemon=True)
        self._thread.start()

    # Monitors ---------------------------------------------------------------

    def saved(self) -> list[Saved]:
        """Every monitor, in the order of their making."""
        rows = self._read(
            "SELECT id, path, request, client, started, away FROM monitor ORDER BY key"
        )
        return [
            Saved(identifier, request_of(path, text), client, bool(started), away)
            for identifier, path, text, client, started, away in rows
        ]

    def create(self, identifier: str, request: Request, client: str) -> None:
        """Keeps a new monitor, stopped; returns when it is written."""
        key = self._keys[identifier] = next(self._new_keys)
        row = (key, identifier, request.path, text_of(request), client)
        self._settled(
            lambda db: db.execute(
                "INSERT INTO monitor (key, id, path, request, client) VALUES (?, ?, ?, ?, ?)", row
            )
        )

    def stopped(self, identifier: str) -> None:
        """It is not to be started again; returns when that is written."""
        key = self._keys.get(identifier)
        if key is not None:
            self._settled(lambda db: stop_row(db, key))

    def forget(self, identifier: str) -> None:
        """It is destroyed; returns when that is written."""
        key = self._keys.pop(identifier, None)
        if key is None:
            return

        def forget(db: sqlite3.Connection) -> None:
            stop_row(db, key)
            db.execute("DELETE FROM monitor WHERE key = ?", (key,))

        self._settled(forget)
        with suppress(OSError):  # the next FSServer tries again
            (self._beside / identifier).unlink(missing_ok=True)

    def picture(self, identifier: str) -> Picture | None:
        """Where to keep what its client knows; None for a monitor that is not kept."""
        key = self._keys.get(identifier)
        return None if key is None else Picture(self, key, Sent(self._beside / identifier))

    # The file ---------------------------------------------------------------

    def post(self, act: Act, done: Callable[[], None] = nothing, *, urgent: bool = False) -> None:
        """Has `act` done and committed, and then `done` called, on another thread.

        `done` is called even when there is no record any more.  What is not
        `urgent` may wait a moment for more.
        """
        with self._posting:
            ended = self._ended
            if not ended:
                self._queue.put(_Post(act, done))
                if urgent or self._queue.qsize() >= _AT_ONCE:
                    self._hurry.set()
        if ended:
            done()

    def select(self, key: int, after: bytes) -> list[tuple[bytes, str]]:
        """Some of what the client of monitor `key` knows, from `after` on."""
        return self._read(
            "SELECT path, state FROM known WHERE monitor = ? AND path > ? ORDER BY path "
            f"LIMIT {CHUNK}",
            (key, after),
        )

    def mount(self, key: int) -> bytes:
        """As Picture.mount."""
        ((mount,),) = self._read("SELECT mount FROM monitor WHERE key = ?", (key,))
        return bytes(mount)

    def heard(self, key: int) -> int:
        """The last entry of Sent that `known` shows."""
        ((heard,),) = self._read("SELECT heard FROM monitor WHERE key = ?", (key,))
        return int(heard)

    def close(self) -> None:
        """Writes what was posted and lets go of the file."""
        with self._posting:
            self._ended = True
            self._queue.put(_Post(None, nothing))
            self._hurry.set()
        self._thread.join()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _settled(self, act: Act) -> None:
        written = threading.Event()
        self.post(act, written.set, urgent=True)
        written.wait()

    def _tidy(self) -> None:
        """What was sent by monitors that are no more is of no use."""
        self._beside.mkdir(mode=0o700, exist_ok=True)
        for file in self._beside.iterdir():
            if file.name not in self._keys:
                file.unlink()

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
        ended = False
        while not ended:
            posts = [self._queue.get()]
            if self._queue.qsize() < _AT_ONCE:
                self._hurry.wait(_GATHER)
            self._hurry.clear()  # before the queue is emptied: what comes now is taken, too
            with suppress(queue.Empty):
                while len(posts) < _AT_ONCE:
                    posts.append(self._queue.get_nowait())
                self._hurry.set()  # who hurries may be among those that are left
            ended = any(post.act is None for post in posts)
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
        aside = set_aside(self._file)
        log.error(
            "%s failed (%s: %s) and is now %s: monitors go on, and end with this FSServer",
            self._file,
            type(error).__name__,
            error,
            aside,
        )


def open_record(file: Path) -> Record | None:
    """The record in `file`, made when missing; None when there can be none.

    A file that cannot be used is set aside and a new one made.  What happens
    is logged in one line.
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
        log.error("monitors end with this FSServer, for %s cannot be used: %s", file, reason)
        return None


def _commit(db: sqlite3.Connection, posts: Iterable[_Post]) -> None:
    db.execute("BEGIN")
    for post in posts:
        if post.act is not None:
            post.act(db)
    db.execute("COMMIT")
