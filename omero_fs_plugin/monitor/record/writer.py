"""The thread that writes the record: in the order of the posts, several in one transaction."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .file import RecordError, connect, set_aside

log = logging.getLogger(__name__)

Act = Callable[[sqlite3.Connection], object]
_QUEUE = 64  # at most so many posts wait; if it is full, whoever posts waits too
_AT_ONCE = 16  # posts in one transaction; if so many wait, they are written at once
# s between the first post and its transaction, unless somebody waits for it.
# Each transaction writes whole pages, so a few large ones cost a third.
_GATHER = 0.1


def nothing() -> None:
    """For a post that nobody waits for."""


class _Post(NamedTuple):
    act: Act | None  # None: the end
    done: Callable[[], None]


class Writer:
    """Rule: posts are written in their order, each post whole or not at all.

    If the file fails, it is set aside, with one line in the log, and FSServer goes on
    without it.  So nobody can later take its content for the truth.
    """

    def __init__(self, file: Path) -> None:
        """Raises OSError, sqlite3.Error or RecordError if the file cannot be used."""
        self._file = file
        self._connection: sqlite3.Connection | None = connect(file)
        self._lock = threading.Lock()  # the connection
        self._queue: queue.Queue[_Post] = queue.Queue(_QUEUE)
        self._posting = threading.Lock()  # nothing is queued after the end
        self._ended = False
        self._hurry = threading.Event()  # somebody waits, or many posts do
        self._thread = threading.Thread(target=self._write, name="record", daemon=True)
        self._thread.start()

    def post(self, act: Act, done: Callable[[], None] = nothing, *, urgent: bool = False) -> None:
        """Does and commits `act` on another thread, and then calls `done`.

        `done` is called even if there is no record any more.  If it is not `urgent`, it
        may wait a moment for other posts.
        """
        with self._posting:
            ended = self._ended
            if not ended:
                self._queue.put(_Post(act, done))
                if urgent or self._queue.qsize() >= _AT_ONCE:
                    self._hurry.set()
        if ended:
            done()

    def settled(self, act: Act) -> None:
        """Does `act`, and returns when it is committed."""
        written = threading.Event()
        self.post(act, written.set, urgent=True)
        written.wait()

    def read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple]:  # type: ignore[type-arg]
        """The rows of a query.  Raises RecordError."""
        with self._lock:
            if self._connection is None:
                raise RecordError(f"{self._file} was set aside")
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                self._fail(error)
                raise RecordError(f"{self._file}: {error}") from error

    def close(self) -> None:
        """Writes what was posted, and closes the file."""
        with self._posting:
            self._ended = True
            self._queue.put(_Post(None, nothing))
            self._hurry.set()
        self._thread.join()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _write(self) -> None:
        ended = False
        while not ended:
            posts = [self._queue.get()]
            if self._queue.qsize() < _AT_ONCE:
                self._hurry.wait(_GATHER)
            self._hurry.clear()  # before the queue is emptied: what comes now is taken too
            with suppress(queue.Empty):
                while len(posts) < _AT_ONCE:
                    posts.append(self._queue.get_nowait())
                self._hurry.set()  # an urgent post may be among those that are left
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


def _commit(db: sqlite3.Connection, posts: Iterable[_Post]) -> None:
    db.execute("BEGIN")
    for post in posts:
        if post.act is not None:
            post.act(db)
    db.execute("COMMIT")
