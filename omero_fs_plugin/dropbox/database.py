"""The database a journal lies in: opening it, its version, its transactions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
)
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from ..errors import JournalError
from . import schema

_SQLITE = "sqlite:///"
_BUSY_S = 30.0  # how long another process's write is waited for


class Database:
    """The journal's database at `url`, made when missing unless `read_only`.

    Raises JournalError, here and in every transaction, for whatever the
    database refuses: what cannot be opened, is corrupt, or was written by a
    newer version; and what the schema forbids.
    """

    def __init__(self, url: str, *, read_only: bool) -> None:
        # As people may see it: a URL may hold a password.
        self._shown = (
            url[len(_SQLITE) :]
            if url.startswith(_SQLITE)
            else make_url(url).render_as_string(hide_password=True)
        )
        self._engine = _engine(url)
        with self._errors():
            if read_only:
                self._check_version()
            else:
                self._create()

    def close(self) -> None:
        """Lets go of every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to look with."""
        with self._errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it, or on any exception nothing."""
        with self._errors(), self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Take the write lock before the first read: a reader that turns
                # writer in WAL mode fails at once instead of waiting.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            raise JournalError(f"the journal {self._shown}: {_first_line(error)}") from error
        except SQLAlchemyError as error:
            raise JournalError(f"the journal {self._shown}: {error}") from error

    def _create(self) -> None:
        with self.writing() as connection:
            if not inspect(connection).has_table("meta"):
                schema.metadata.create_all(connection)
                connection.execute(
                    insert(schema.meta).values(key="version", value=str(schema.VERSION))
                )
        self._check_version()

    def _check_version(self) -> None:
        with self.reading() as connection:
            if not inspect(connection).has_table("meta"):
                raise JournalError(
                    f"there is no journal at {self._shown} yet: DropBox makes it when it is started"
                )
            value = connection.scalar(
                select(schema.meta.c.value).where(schema.meta.c.key == "version")
            )
        if value is None or int(value) > schema.VERSION:
            raise JournalError(
                f"the journal {self._shown} has version {value}, and this release knows "
                f"{schema.VERSION}: install the release that wrote it, or a newer one"
            )


def _engine(url: str) -> Engine:
    if not url.startswith(_SQLITE):
        return create_engine(url)
    # A path may hold what means something in a URL.
    file = URL.create("sqlite", database=url[len(_SQLITE) :])
    # A connection for each use: opening a SQLite file is cheap, and threads
    # never share one.
    engine = create_engine(file, poolclass=NullPool, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # our own BEGIN, see `writing`
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL: an attempt that is written has survived a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


def _first_line(error: DatabaseError) -> str:
    return os.fspath(str(error.orig or error)).splitlines()[0]
