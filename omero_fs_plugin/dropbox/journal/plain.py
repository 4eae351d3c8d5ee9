"""Opens the journal's database for reading without SQLAlchemy, which takes long to load."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote

from omero_fs_plugin.errors import JournalError

from .file import sqlite_file

_BUSY_S = 30.0  # how long a write of another process is waited for


def open_to_read(url: str) -> tuple[Any, Any, str]:
    """The connection, what carries out a statement, and what stands for a value in one.

    A transaction has begun, so all that is read is of one moment.  Raises OSError if the file
    cannot be read.  Also raises what the database's own module raises; see `why`.
    """
    path = sqlite_file(url)
    if path is not None:
        _can_be_read(path)
        file = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None
        )
        file.execute("BEGIN")
        return file, file.execute, "?"
    import psycopg

    scheme, _, rest = url.partition("://")
    server = psycopg.connect(f"{scheme.partition('+')[0]}://{rest}", connect_timeout=10)
    try:
        server.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    except BaseException:
        server.close()
        raise
    return server, server.execute, "%s"


def _can_be_read(file: Path) -> None:
    """Raises OSError, which says more than SQLite's errors.

    The file itself is never opened but by SQLite: whoever closes it drops all locks that this
    process has on it (fcntl(2)), also those of SQLite's other connections.  Another process
    would then take the journal for unused, and remove its WAL below them.
    """
    if stat.S_ISDIR(file.stat().st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if not os.access(file, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))


def why(url: str, error: Exception) -> Exception:
    """The error that the journal itself raises for this; else `error`, as a JournalError."""
    from .journal import Journal

    try:
        Journal(url, read_only=True, make=False).close()
    except Exception as better:
        return better
    return JournalError(f"the journal cannot be read: {' '.join(str(error).split())}")
