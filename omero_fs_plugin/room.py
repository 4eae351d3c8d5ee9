"""Whether there is room in a directory: a disk that is full, or a quota that is used up.

Not everybody says so.  To SQLite a disk that is full is SQLITE_FULL, and a quota that is used up
is an error like any other of the disk, "disk I/O error" (https://sqlite.org/rescode.html#ioerr_write).
If there is no room for a file beside its own, it is "unable to open database file".  A library that
finds no room for its temporary files may end the process, or give up the file that it reads.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from pathlib import Path

# What SQLite says, among other cases, where there is no room.
MAY_BE_NO_ROOM = ("disk I/O error", "unable to open database file")
_TRIED = 1 << 16  # bytes; a transaction is no larger, mostly
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# How systems say it; Java and OMERO repeat the words of the system.
WORDS = "|".join(re.escape(os.strerror(code)) for code in _NO_ROOM)
FULL = re.compile(WORDS)


def no_room(directory: Path) -> str:
    """Why nothing can be written there: a full disk, a quota; empty if that is not it."""
    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as tried:
            tried.write(bytes(_TRIED))
            os.fsync(tried.fileno())
    except OSError as error:
        if error.errno in _NO_ROOM:
            return error.strerror or ""
    return ""


def temporary() -> Path:
    """The directory for what is temporary.  Raises OSError that says why it cannot be used.

    Python tries to write into several, and says only that none can be used.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        first = Path(os.environ.get("TMPDIR") or os.sep + "tmp")
        with tempfile.TemporaryFile(dir=first, buffering=0) as tried:
            tried.write(b"x")
        raise
