"""The database that a journal lies in: how it is opened, its version, its transactions."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import (
    Connection,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
)

from omero_fs_plugin import filesystems
from omero_fs_plugin.errors import ConfigurationError, JournalError, RecordRefused
from omero_fs_plugin.private import keep_private
from omero_fs_plugin.room import MAY_BE_NO_ROOM, no_room

from . import migrations, rules, schema
from .engines import LIMITS, on_postgresql, on_sqlite, shut
from .file import sqlite_file

URLS = "postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////PATH"
_TICK_S = 0.1  # longer than any kernel's between two times of a file
# Any number that nobody else locks in the database: the bytes of "omero fs".
_WRITING = int.from_bytes(b"omero fs", "big")

# The holder counts on, so a smaller count is that of an older journal: a backup was put back while
# we work on it.  Its rows, and the ids of those to come, are not what we know of them.
_FENCED = text(
    "INSERT INTO fence VALUES (CASE WHEN "
    "(SELECT count FROM lease WHERE epoch = :epoch AND holder = :holder) < :count OR "
    "(SELECT count FROM node WHERE id = :epoch AND holder = :holder) < :count "
    "THEN -1 ELSE :epoch END, :holder)"
)


Mark = tuple[tuple[int, int, int], ...]


class NotYet(JournalError):
    """There is no journal of this version yet: DropBox makes or upgrades it at its start."""


class JournalAway(JournalError):
    """It cannot be reached, read or written now; that may pass."""


class LeaseLost(JournalError):
    """Another DropBox has taken over: the database refuses everything that we still write."""


class Database:
    """The journal's database at `url`; with `make` it is checked, and made if it is missing.

    On a network file system SQLite's WAL is not safe, because it needs memory
    that all its users share (https://sqlite.org/wal.html).  The slower rollback
    journal is used there.  `share` is the type of that file system; it is empty
    if there is none.  If it is not given, the mount table is asked.

    Raises ConfigurationError for a URL that cannot be used.  Raises JournalError,
    here and in every transaction, if the database cannot be opened, is corrupt, was
    written by a newer version, or if the schema forbids something.
    """

    def __init__(self, url: str, *, make: bool, share: str | None = None) -> None:
        # For people; a URL may hold a password, which this does not show.
        self.shown = shown(url)
        # The holder and the epoch of the lease under which this process writes.  None: it has no
        # lease, like the command line.
        self.lease: tuple[str, int] | None = None
        # How far its holder had counted when we last wrote it; see `_FENCED`.
        self.count = 0
        self.lost: Callable[[], None] = lambda: None  # called when the database refuses the lease
        self.written: Callable[[], None] = lambda: None  # called after each transaction
        file = sqlite_file(url)
        if share is None:
            share = filesystems.shared(str(file.parent)) if file is not None else None
        self.share = share or ""
        self._file = file
        if file is not None:
            try:
                keep_private(file, make=make)
            except OSError as error:
                raise JournalAway(f"the journal {self.shown}: {error.strerror}") from error
        self._engine = (
            on_postgresql(url, self.shown)
            if file is None
            else on_sqlite(
                str(file), "DELETE" if self.share else "WAL", keep=make and not self.share
            )
        )
        self._kept_open: Connection | None = None
        self._writer = threading.Lock()
        try:
            with self._errors():
                if make:
                    self._check_pages()
                    self._create()
                    self._engine.dispose()  # those that know the journal as it was before
                    if file is not None and not self.share:
                        # Whoever closes the last connection locks out everybody while it moves
                        # the WAL into the file.  If it is stopped there, nobody takes over.
                        self._kept_open = self._engine.connect()
                elif file is not None and not file.exists():
                    raise self._not_made()
                else:
                    self._check_version()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes every connection; one that is in use, when its thread is done with it."""
        if self._kept_open is not None:
            self._kept_open.close()
            self._kept_open = None
        shut(self._engine)

    def mark(self) -> Mark | None:
        """What every commit changes, of whatever process; None where that cannot be told.

        To ask the file system is a hundredth of the work of asking the database.
        On a share another machine's commit may show late, and what was written
        just now may be written again within the same tick of the clock.
        """
        if self._file is None or self.share:
            return None
        found: list[tuple[int, int, int]] = []
        for path in (str(self._file), f"{self._file}-wal"):
            try:
                one = os.stat(path)  # noqa: PTH116 - asked for all the time
            except OSError:
                continue
            if not one.st_size:
                continue  # a -wal that a reader has made, with no commit in it
            if not one.st_mtime + _TICK_S < time.time():
                return None
            found.append((one.st_ino, one.st_size, one.st_mtime_ns))
        return tuple(found)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with."""
        with self._errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, fenced: bool = True) -> Iterator[Connection]:
        """A transaction: it is done as a whole, or on any exception not at all.

        There is one writer at a time on either database.  So what a transaction reads
        is still true when it writes.  If the lease has passed to another holder, the
        database refuses the transaction, with LeaseLost.  Only the lease itself is
        written without being `fenced`.
        """
        with self._alone(), self._errors(), self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Take the write lock before the first read.  In WAL mode, a reader that
                # begins to write fails at once instead of waiting.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _WRITING})
            if fenced and self.lease is not None:
                holder, epoch = self.lease
                connection.execute(_FENCED, {"epoch": epoch, "holder": holder, "count": self.count})
            yield connection
        self.written()

    @contextmanager
    def one_at_a_time(self, what: str) -> Iterator[None]:
        """Meanwhile nobody else does `what`, on whatever machine.  Outside of a transaction.

        SQLite is for one machine, and for one process that imports: nobody is kept out there.
        """
        if self._file is not None:
            yield
            return
        number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
        with self._errors(), self._engine.begin() as connection:
            # OMERO is asked meanwhile, which may take longer than any write.
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '3min'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": number})
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writer of this process at a time: PostgreSQL's own lock is for all processes.

        If this machine is cut off, PostgreSQL gives the lock to each of its transactions that
        waits for it, one after the other, and each holds up everybody until its time is over.
        So only one may wait.
        """
        if self._file is not None:
            yield
            return
        if not self._writer.acquire(timeout=LIMITS["lock_timeout"]):
            raise JournalAway(f"the journal {self.shown}: another write of ours gets no answer")
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            told = _first_line(error)
            if rules.FENCE in told:
                self.lost()
                raise LeaseLost(
                    f"the journal {self.shown}: {rules.FENCE}, or an older journal was put in its "
                    "place"
                ) from error
            if "malformed" in told or "not a database" in told:
                raise self._corrupt(told) from error
            if self._file is not None and any(words in told for words in MAY_BE_NO_ROOM):
                told = no_room(self._file.parent) or told
            kind = JournalError
            if isinstance(error, IntegrityError) or rules.ILLEGAL in told:
                kind = RecordRefused
            elif isinstance(error, OperationalError):  # as both drivers call what may pass
                kind = JournalAway
            raise kind(f"the journal {self.shown}: {told}") from error
        except SQLAlchemyError as error:
            raise JournalError(f"the journal {self.shown}: {error}") from error

    def _create(self) -> None:
        if self._is_of_this_version():
            return  # without the lock for writing, which another process may hold for long
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                # It may take long to bring a large journal to another version.
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            if not inspect(connection).has_table("meta"):
                schema.metadata.create_all(connection)
                connection.execute(
                    insert(schema.meta).values(key="version", value=str(schema.VERSION))
                )
            version = self._version(connection)
            for before in range(version, schema.VERSION):
                of_this = migrations.MIGRATIONS_OF.get((before, connection.dialect.name), ())
                for statement in (*migrations.MIGRATIONS[before], *of_this):
                    connection.exec_driver_sql(statement)
            if version < schema.VERSION:
                connection.execute(
                    update(schema.meta)
                    .where(schema.meta.c.key == "version")
                    .values(value=str(schema.VERSION))
                )

    def _is_of_this_version(self) -> bool:
        with self.reading() as connection:
            there = inspect(connection).has_table("meta")
            return there and self._version(connection) == schema.VERSION

    def _check_version(self) -> None:
        with self.reading() as connection:
            if not inspect(connection).has_table("meta"):
                raise self._not_made()
            version = self._version(connection)
        if version < schema.VERSION:
            raise NotYet(
                f"the journal {self.shown} has version {version}: DropBox brings it to "
                f"version {schema.VERSION} when it is started"
            )

    def _not_made(self) -> NotYet:
        return NotYet(
            f"there is no journal at {self.shown} yet: DropBox makes it when it is started"
        )

    def refuse_newer(self, connection: Connection) -> None:
        """Raises JournalError if a newer release has changed the journal since it was opened."""
        self._version(connection)

    def _version(self, connection: Connection) -> int:
        value = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "version"))
        if value is None or not value.isdecimal() or int(value) > schema.VERSION:
            raise JournalError(
                f"the journal {self.shown} has version {value}, and this release knows "
                f"{schema.VERSION}: install the release that wrote it, or a newer one"
            )
        return int(value)

    def _check_pages(self) -> None:
        """Refuses a damaged SQLite file at the start, before anything depends on it."""
        if self._engine.dialect.name == "sqlite":
            with self.reading() as connection:
                told = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if told != "ok":
                raise self._corrupt(" ".join(str(told).split()))

    def _corrupt(self, told: str) -> JournalError:
        return JournalError(
            f"the journal {self.shown} is corrupt ({told}): stop DropBox, move the file and those "
            "beside it named -wal and -shm away or put a backup in its place, and start DropBox; "
            "what it knew is found again on disk and in OMERO, and nothing is imported twice"
        )


def shown(url: str) -> str:
    """The place of the journal, for people, without a password.

    Raises ConfigurationError if it is no URL.
    """
    if (file := sqlite_file(url)) is not None:
        return str(file)
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        # It is not shown: nobody can tell where in such a text a password is.
        raise ConfigurationError(f"omero.fs.journal is not a database URL: {URLS}") from None


def is_url(text: str) -> bool:
    """Whether it is the URL of a database."""
    try:
        shown(text)
    except ConfigurationError:
        return False
    return True


def _first_line(error: DatabaseError) -> str:
    return os.fspath(str(error.orig or error)).splitlines()[0]
