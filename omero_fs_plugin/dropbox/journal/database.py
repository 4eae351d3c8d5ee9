"""The database a journal lies in: opening it, its version, its transactions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

from omero_fs_plugin import filesystems
from omero_fs_plugin.errors import ConfigurationError, JournalError, RecordRefused

from . import schema

_SQLITE = "sqlite:///"
_BUSY_S = 30.0  # how long another process's write is waited for
# s: what PostgreSQL waits for.  A peer that was lost within a transaction, as one that
# was stopped or lost its network, holds up the others so long and no longer.
LIMITS = {
    "lock_timeout": 20.0,  # for another's transaction, then this one is given up
    "statement_timeout": 40.0,
    "idle_in_transaction_session_timeout": 15.0,  # then the transaction of who is silent ends
}
# How libpq finds out that the server is not there any more, in s and, the last, ms.
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


class NotYet(JournalError):
    """There is no journal of this version yet: DropBox makes or upgrades it at its start."""


class LeaseLost(JournalError):
    """Another DropBox has taken over: the database refuses whatever we still write."""


class Database:
    """The journal's database at `url`; to `make` is to check it, and to make what is missing.

    On a network file system SQLite's WAL is not safe, for it needs memory that
    all its users share (https://sqlite.org/wal.html): the slower rollback
    journal is used there.  `share` is the type of that file system, empty when
    there is none, and asked of the mount table unless given.

    Raises ConfigurationError for a URL that cannot be used, and JournalError,
    here and in every transaction, for whatever the database refuses: what
    cannot be opened, is corrupt, or was written by a newer version; and what
    the schema forbids.
    """

    def __init__(self, url: str, *, make: bool, share: str | None = None) -> None:
        # As people may see it: a URL may hold a password.
        self.shown = _shown(url)
        # The epoch of the lease under which this process writes; None: it holds none, as
        # the command line.
        self.epoch: int | None = None
        self.lost: Callable[[], None] = lambda: None  # called when the database refuses it
        file = sqlite_file(url)
        if share is None:
            share = filesystems.shared(str(file.parent)) if file is not None else None
        self.share = share or ""
        self._engine = (
            _engine(url, self.shown)
            if file is None
            else _sqlite_engine(str(file), "DELETE" if self.share else "WAL")
        )
        try:
            with self._errors():
                if make:
                    self._check_pages()
                    self._create()
                else:
                    self._check_version()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets go of every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to look with."""
        with self._errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, fenced: bool = True) -> Iterator[Connection]:
        """A transaction: all of it, or on any exception nothing.

        One writer at a time on either database, so that what was looked up
        first still holds when it is acted on.  A holder of the lease is refused
        by the database, with LeaseLost, when the lease has passed to another
        since; only the lease itself is written without being `fenced`.
        """
        with self._errors(), self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Take the write lock before the first read: a reader that turns
                # writer in WAL mode fails at once instead of waiting.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _WRITING})
            if fenced and self.epoch is not None:
                connection.execute(text("INSERT INTO fence VALUES (:mine)"), {"mine": self.epoch})
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            told = _first_line(error)
            if schema.FENCE in told:
                self.lost()
                raise LeaseLost(f"the journal {self.shown}: {schema.FENCE}") from error
            if "malformed" in told or "not a database" in told:
                raise self._corrupt(told) from error
            at_fault = isinstance(error, IntegrityError) or schema.ILLEGAL in told
            kind = RecordRefused if at_fault else JournalError
            raise kind(f"the journal {self.shown}: {told}") from error
        except SQLAlchemyError as error:
            raise JournalError(f"the journal {self.shown}: {error}") from error

    def _create(self) -> None:
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                # Bringing a large journal to another version may take its time.
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

    def _check_version(self) -> None:
        with self.reading() as connection:
            if not inspect(connection).has_table("meta"):
                raise NotYet(
                    f"there is no journal at {self.shown} yet: DropBox makes it when it is started"
                )
            version = self._version(connection)
        if version < schema.VERSION:
            raise NotYet(
                f"the journal {self.shown} has version {version}: DropBox brings it to "
                f"version {schema.VERSION} when it is started"
            )

    def _version(self, connection: Connection) -> int:
        value = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "version"))
        if value is None or not value.isdecimal() or int(value) > schema.VERSION:
            raise JournalError(
                f"the journal {self.shown} has version {value}, and this release knows "
                f"{schema.VERSION}: install the release that wrote it, or a newer one"
            )
        return int(value)

    def _check_pages(self) -> None:
        """A damaged SQLite file is refused at the start, before anything rests on it."""
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


def _shown(url: str) -> str:
    if url.startswith(_SQLITE):
        return url[len(_SQLITE) :]
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        # Not shown: what cannot be taken apart may hold a password anywhere.
        raise ConfigurationError(
            "omero.fs.journal is no database URL: "
            "postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////PATH"
        ) from None


def _engine(url: str, shown: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise ConfigurationError(
            f"omero.fs.journal = {shown}: a journal is kept in SQLite or PostgreSQL"
        )
    if "+" not in parsed.drivername:
        parsed = parsed.set(drivername="postgresql+psycopg")
    # What the URL says of these comes last, and wins.
    ours = [f"-c {name}={round(seconds * 1000)}" for name, seconds in LIMITS.items()]
    theirs = parsed.query.get("options", ())
    options = " ".join([*ours, *([theirs] if isinstance(theirs, str) else theirs)])
    parsed = parsed.difference_update_query(["options"])
    try:
        # A server that was restarted is connected to again, unnoticed.
        return create_engine(
            parsed, pool_pre_ping=True, connect_args={**_ALIVE, "options": options}
        )
    except (ImportError, NoSuchModuleError) as error:
        raise ConfigurationError(
            f"omero.fs.journal = {shown}: {error}; pip install 'omero-fs-plugin[postgresql]'"
        ) from error


def _sqlite_engine(path: str, mode: str) -> Engine:
    # A path may hold what means something in a URL.
    file = URL.create("sqlite", database=path)
    # A connection for each use: opening a SQLite file is cheap, and threads
    # never share one.
    engine = create_engine(file, poolclass=NullPool, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # our own BEGIN, see `writing`
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA journal_mode={mode}")
        # FULL: an attempt that is written has survived a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite journal; None for another database."""
    return Path(url[len(_SQLITE) :]) if url.startswith(_SQLITE) else None


def _first_line(error: DatabaseError) -> str:
    return os.fspath(str(error.orig or error)).splitlines()[0]
