"""What the client of one started monitor knows, in the record."""

from __future__ import annotations

import functools
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.tracking.picture import Changes, Known, State

from . import pages
from .file import RecordError, state_of, word_of
from .sent import Doubt, Sent
from .writer import Act, Writer, nothing

CHUNK = 5000  # rows read or written at once; others may work in between
PAGES = 250  # the same of pages


class Picture:
    """What the client of one started monitor knows."""

    def __init__(self, writer: Writer, key: int, sent: Sent) -> None:
        self._writer = writer
        self._key = key
        self._sent = sent
        self._number = 0  # of the last entry in `sent`
        self._heard = 0  # the content of entries up to this number is due, or written
        self._shown = 0  # the content of entries up to this number is written
        self._mount: bytes | None = None  # as we last wrote it
        self._without: set[bytes] = set()  # for pages.take_out, which the record's thread calls
        self._closed = False

    @property
    def mount(self) -> bytes:
        """The mount point of the directory when it was last seen."""
        ((mount,),) = self._writer.read("SELECT mount FROM monitor WHERE key = ?", (self._key,))
        self._mount = bytes(mount)
        return self._mount

    def doubts(self) -> list[Doubt]:
        """Paths that the client may have heard of, besides `load`.

        Raises RecordError.  Call it before anything else, except for `load`.
        """
        ((after,),) = self._writer.read("SELECT heard FROM monitor WHERE key = ?", (self._key,))
        try:
            last, doubts = self._sent.load(after)
        except OSError as error:
            raise RecordError(f"what was sent last: {error}") from error
        self._number = self._heard = max(after, last)
        return doubts

    def load(self) -> Iterator[tuple[bytes, State]]:
        """Everything that is known: each path once, in no order.  Raises RecordError."""
        row = 0
        some = (
            "SELECT directory, first, names, rowid FROM page WHERE monitor = ? AND rowid > ? "
            f"ORDER BY rowid LIMIT {PAGES}"
        )
        while found := self._writer.read(some, (self._key, row)):
            yield from pages.unpacked(page[:3] for page in found)
            row = found[-1][3]
        after = b""
        query = (
            "SELECT path, state FROM known WHERE monitor = ? AND path > ? ORDER BY path "
            f"LIMIT {CHUNK}"
        )
        while rows := self._writer.read(query, (self._key, after)):
            for path, state in rows:
                yield path, state_of(state)
            after = rows[-1][0]

    def begin(
        self,
        known: Iterator[Known],
        mount: bytes,
        *,
        between: Callable[[], None],
        done: Callable[[], None],
    ) -> None:
        """Keeps what is known at a start, and after that, that the monitor is started.

        A start that is killed before this has not happened.  `between` is called from
        time to time, because there may be much to write.  `done` is called when all is
        written.
        """
        key = self._key
        # If the record has failed, the log says so.  The monitor goes on without it.
        with suppress(RecordError):
            self.doubts()
        heard = self._heard
        self._without = set()
        self._post(lambda db: stop_row(db, key))
        packed = pages.packed(known)
        while some := list(itertools.islice(packed, PAGES)):
            self._post(functools.partial(pages.add, monitor=key, rows=some))
            between()
        self.keep_mount(mount)
        start = "UPDATE monitor SET started = 1, heard = ? WHERE key = ?"
        self._post(lambda db: db.execute(start, (heard, key)), done, urgent=True)

    def sending(self, tells: Iterable[Tell]) -> None:
        """The client is about to be told of these."""
        if not self._closed:
            self._number += 1
            self._sent.write(self._number, tells, self._shown)

    def settled(self) -> None:
        """The client has heard what was sent, or it is in doubt now.  `write` follows."""
        self._heard = self._number

    @property
    def heard(self) -> int:
        """The last entry of what was sent that the client has heard, or that is in doubt."""
        return self._heard

    def write(self, changes: Changes, heard: int | None = None, *, urgent: bool = False) -> None:
        """Writes what has changed; if `urgent`, without waiting for more.

        With these all is written of what was sent up to entry `heard`; None: of all `heard`.
        """
        key = self._key
        heard, without = self._heard if heard is None else heard, self._without
        there = [
            (key, path, word_of(state)) for path, state in changes.items() if state is not None
        ]
        gone = [(key, path) for path, state in changes.items() if state is None]

        def write(db: sqlite3.Connection) -> None:
            pages.take_out(db, key, changes, without)
            _insert(db, there)
            db.executemany("DELETE FROM known WHERE monitor = ? AND path = ?", gone)
            db.execute("UPDATE monitor SET heard = ? WHERE key = ?", (heard, key))

        def written() -> None:
            self._shown = heard

        self._post(write, written, urgent=urgent)

    def keep_mount(self, mount: bytes) -> None:
        """Writes where the directory's file system is mounted."""
        if mount != self._mount:
            self._mount = mount
            row = (mount, self._key)
            self._post(lambda db: db.execute("UPDATE monitor SET mount = ? WHERE key = ?", row))

    def away(self, seconds: float) -> None:
        """Writes for how long (s) the client has been away."""
        row = (seconds, self._key)
        self._post(lambda db: db.execute("UPDATE monitor SET away = ? WHERE key = ?", row))

    def close(self) -> None:
        """Writes nothing more, because the monitor was stopped."""
        self._closed = True

    def end(self) -> None:
        """As `close`, at the end of the thread that uses it."""
        self._closed = True
        self._sent.close()

    def _post(self, act: Act, done: Callable[[], None] = nothing, *, urgent: bool = False) -> None:
        if self._closed:
            done()
        else:
            self._writer.post(act, done, urgent=urgent)


def _insert(db: sqlite3.Connection, rows: list[tuple[int, bytes, str]]) -> None:
    db.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", rows)


def stop_row(db: sqlite3.Connection, key: int) -> None:
    """Writes that the monitor is stopped and that nothing is known."""
    db.execute("UPDATE monitor SET started = 0 WHERE key = ?", (key,))
    db.execute("DELETE FROM known WHERE monitor = ?", (key,))
    db.execute("DELETE FROM page WHERE monitor = ?", (key,))
