"""Files of the servers' own that nobody else is to read: databases, and what lies beside them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

MODE = 0o600
# What SQLite keeps beside a database, with its mode: https://sqlite.org/tempfiles.html
BESIDE = ("-wal", "-shm", "-journal")


def keep_private(file: Path, *, make: bool = True) -> None:
    """Only its account may read or write the database `file`, and what lies beside it.

    To be called before each opening: a backup that was put back, and what an older
    release has made, have the mode that they came with.  With `make` it is made
    when it is missing, with that mode from the first byte on.

    It opens no file that is there: to close it would end the locks that SQLite has
    on it in this process (https://sqlite.org/howtocorrupt.html).

    Raises OSError.  A file of another account keeps its mode: that is its owner's affair.
    """
    if make:
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE))
    for path in (str(file), *(f"{file}{suffix}" for suffix in BESIDE)):
        with suppress(FileNotFoundError):
            found = Path(path).stat()
            if stat.S_IMODE(found.st_mode) != MODE:
                with suppress(PermissionError):
                    Path(path).chmod(MODE)
