"""Connections to the journal's database: what is waited for, and which are kept."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError, NoSuchModuleError
from sqlalchemy.pool import NullPool, QueuePool

from omero_fs_plugin.errors import ConfigurationError

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
# How PostgreSQL finds out that we are gone, s.  By its own settings it asks after two hours, and
# until then the connections of a machine that was cut off count among its `max_connections`.
KEEPALIVES = {
    "tcp_keepalives_idle": 60,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,  # times
}


def on_postgresql(url: str, shown: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise ConfigurationError(
            f"omero.fs.journal = {shown}: a journal is kept in SQLite or PostgreSQL"
        )
    if "+" not in parsed.drivername:
        parsed = parsed.set(drivername="postgresql+psycopg")
    # Options in the URL come last, so they win.
    ours = [f"-c {name}={round(seconds * 1000)}" for name, seconds in LIMITS.items()]
    ours += [f"-c {name}={number}" for name, number in KEEPALIVES.items()]
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


def on_sqlite(path: str, mode: str, *, keep: bool) -> Engine:
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


def shut(engine: Engine) -> None:
    """Closes every connection: one that a thread still uses, when it gives it back."""
    event.listen(engine, "checkin", _close)
    engine.dispose()


def _close(connection: Any, record: Any) -> None:
    if connection is not None:
        record.invalidate()


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
