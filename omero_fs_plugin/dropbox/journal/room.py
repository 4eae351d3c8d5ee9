"""Whether there is room beside a journal's file: SQLite does not always say that there is none.

To SQLite a disk that is full is SQLITE_FULL, and a quota that is used up is an error like any other
of the disk, "disk I/O error" (https://sqlite.org/rescode.html#ioerr_write).  If there is no room
for a file beside its own, it is "unable to open database file".
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

# What SQLite says, among other cases, where there is no room.
MAY_BE_NO_ROOM = ("disk I/O error", "unable to open database file")
_TRIED = 1 << 16  # bytes; a transaction is no larger, mostly
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def no_room(file: Path) -> str:
    """Why nothing can be written beside `file`: a full disk, a quota; empty if that is not it."""
    try:
        with tempfile.TemporaryFile(dir=file.parent, buffering=0) as tried:
            tried.write(bytes(_TRIED))
            os.fsync(tried.fileno())
    except OSError as error:
        if error.errno in _NO_ROOM:
            return error.strerror or ""
    return ""
