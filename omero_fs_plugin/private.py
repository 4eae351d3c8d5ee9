"""Files that only the servers' own account may read: databases, and the files beside them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

MODE = 0o600
# SQLite keeps these beside a database, with its mode: https://sqlite.org/tempfiles.html
BESIDE = ("-wal", "-shm", "-journal")


def keep_private(file: Path, *, make: bool = True) -> None:
    """Lets only this account read and write the database `file` and the files beside it.

    Call it before each opening: a restored backup or a file of an older release has
    another mode.  With `make` a missing file is made, with this mode from the start.

    It opens no existing file: to close it again would end the locks that SQLite has
    on it in this process (https://sqlite.org/howtocorrupt.html).

    Raises OSError.  A file of another account keeps its mode, because its owner decides that.
    """
    if make:
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE))
    for path in (str(file), *(f"{file}{suffix}" for suffix in BESIDE)):
        with suppress(FileNotFoundError):
            found = Path(path).stat()
            if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) != MODE:
                with suppress(PermissionError):
                    Path(path).chmod(MODE)
