"""The database that a journal lies in: how it is opened, its version, its transactions."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
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
    DisconnectionError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool, QueuePool

from omero_fs_plugin import filesystems
from omero_fs_plugin.errors import ConfigurationError, JournalError, RecordRefused
from omero_fs_plugin.private import keep_private

from . import schema
from .file import sqlite_file
from .room import MAY_BE_NO_ROOM, no_room

URLS = "postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////PATH"
_TICK_S = 0.1  # longer than any kernel's between two times of a file
_KEPT = 8  # connections to a SQLite file that are kept for the next use
_WAL_PAGES, _PAGE = 128, 4096  # bytes of a page
_BUSY_S = 30.0  # how long another process's write is waited for
# s: what PostgreSQL waits for.  A peer that was lost within a transaction, as one that
# was stopped or lost its network, holds up the others so long and no longer.
LIMITS = {
    "lock_timeout": 20.0,  # for another transaction; then this one is given up
    "statement_timeout": 40.0,
    "idle_in_transaction_session_timeout": 15.0,  # then the transaction of a silent client ends
}
# How libpq finds out that the server is gone: times in s, the last one in ms.
_ALIVE = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
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
            _engine(url, self.shown)
            if file is None
            else _sqlite_engine(
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
        """Closes every connection."""
        if self._kept_open is not None:
            self._kept_open.close()
            self._kept_open = None
        self._engine.dispose()

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
            if schema.FENCE in told:
                self.lost()
                raise LeaseLost(
                    f"the journal {self.shown}: {schema.FENCE}, or an older journal was put in its "
                    "place"
                ) from error
            if "malformed" in told or "not a database" in told:
                raise self._corrupt(told) from error
            if self._file is not None and any(words in told for words in MAY_BE_NO_ROOM):
                told = no_room(self._file) or told
            kind = JournalError
            if isinstance(error, IntegrityError) or schema.ILLEGAL in told:
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
                of_this = schema.MIGRATIONS_OF.get((before, connection.dialect.name), ())
                for statement in (*schema.MIGRATIONS[before], *of_this):
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


def _engine(url: str, shown: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise ConfigurationError(
            f"omero.fs.journal = {shown}: a journal is kept in SQLite or PostgreSQL"
        )
    if "+" not in parsed.drivername:
        parsed = parsed.set(drivername="postgresql+psycopg")
    # Options in the URL come last, so they win.
    ours = [f"-c {name}={round(seconds * 1000)}" for name, seconds in LIMITS.items()]
    theirs = parsed.query.get("options", ())
    options = " ".join([*ours, *([theirs] if isinstance(theirs, str) else theirs)])
    parsed = parsed.difference_update_query(["options"])
    try:
        # After a restart of the server we connect again, and nobody notices.
        return create_engine(
            parsed, pool_pre_ping=True, connect_args={**_ALIVE, "options": options}
        )
    except (ImportError, NoSuchModuleError) as error:
        raise ConfigurationError(
            f"omero.fs.journal = {shown}: {error}; pip install 'omero-fs-plugin[postgresql]'"
        ) from error


def _sqlite_engine(path: str, mode: str, *, keep: bool) -> Engine:
    # A path may hold characters that have a meaning in a URL.  SQLite makes no file: one that is
    # missing was moved away, and beside an empty one SQLite would remove the WAL of the former.
    quoted = quote(os.fsencode(path))
    file = URL.create("sqlite", database=f"file:{quoted}", query={"mode": "rw", "uri": "true"})
    if keep:
        # To open a connection takes more than ten times as long as most statements: SQLite reads
        # the whole schema.  One thread at a time has a connection, and no thread waits for one.
        engine = create_engine(
            file,
            poolclass=QueuePool,
            pool_size=_KEPT,
            max_overflow=-1,
            pool_use_lifo=True,
            connect_args={"timeout": _BUSY_S, "check_same_thread": False},
        )
        _keep_only_what_is_sound(engine, path)
    else:
        # A handle of a share may go stale, and nobody tells us.  And who only hands over a file
        # keeps no WAL in being.
        engine = create_engine(file, poolclass=NullPool, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # our own BEGIN, see `writing`
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA journal_mode={mode}")
        # FULL: what is written survives a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # One connection is always open, so the WAL stays.  It is kept small: disks get full.
        cursor.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
        cursor.execute(f"PRAGMA journal_size_limit={_WAL_PAGES * _PAGE}")
        cursor.close()

    return engine


def _keep_only_what_is_sound(engine: Engine, path: str) -> None:
    """A connection is used again only in its process, on the same files, and after no error.

    Somebody may put another journal in the place of ours: who writes on into the one that is no
    longer there loses it all, and no fence holds.  A connection of a process that forked belongs
    to that process.
    """

    def files() -> tuple[Any, ...]:
        """The process, the file and its WAL; the WAL is None if there is none."""
        found: list[Any] = [os.getpid()]
        for one in (path, f"{path}-wal"):
            try:
                met = os.stat(one)  # noqa: PTH116 - asked for all the time
            except OSError:
                found.append(None)
            else:
                found.append((met.st_dev, met.st_ino))
        return tuple(found)

    def is_on_them(record: Any) -> bool:
        """Whether they are still those that it was opened on.  A WAL may come later."""
        *ours, wal = record.info["files"]
        now = files()
        if now[:-1] != tuple(ours) or wal not in (None, now[-1]):
            return False
        record.info["files"] = now
        return True

    @event.listens_for(engine, "do_connect")
    def _open(_dialect: Any, record: Any, _arguments: Any, _more: Any) -> None:
        # Before it is open: if another file comes in its place by then, that is seen below.
        *ours, _ = files()
        record.info["files"] = (*ours, None)

    @event.listens_for(engine, "checkin")
    def _back(connection: Any, record: Any) -> None:
        # If they are not, those that it was opened on stay noted: the next use opens anew.
        if connection is not None:
            is_on_them(record)

    @event.listens_for(engine, "checkout")
    def _again(_connection: Any, record: Any, _proxy: Any) -> None:
        if not is_on_them(record):
            raise DisconnectionError("the journal's files are others now")

    @event.listens_for(engine, "handle_error")
    def _failed(context: Any) -> None:
        if isinstance(context.original_exception, sqlite3.IntegrityError):
            return
        if context.connection is not None:
            # A connection that is closed keeps its locks while a statement of it is known, and the
            # error knows the one that failed.
            with suppress(Exception):
                context.connection.connection.rollback()
        context.is_disconnect = True


def _first_line(error: DatabaseError) -> str:
    return os.fspath(str(error.orig or error)).splitlines()[0]
