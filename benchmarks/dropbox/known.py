"""A tree, and a journal in which all of it is imported: a DropBox after some years.

It uses the journal's own operations, except where these take one row at a time.
SQL makes the last two transitions for all filesets at once, with the same
triggers and constraints.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.watching.rescan import walk

FILES_IN_DIRECTORY = 20
DIRECTORIES_IN_ONE = 100


def make(journal: Path, home: Path, count: int) -> None:
    """`home` is a user's directory in the DropBox.  `journal` does not exist yet."""
    for number in range(count // FILES_IN_DIRECTORY):
        outer, inner = divmod(number, DIRECTORIES_IN_ONE)
        directory = home / f"experiment-{outer:03}" / f"well-{inner:03}"
        directory.mkdir(parents=True)
        for one in range(FILES_IN_DIRECTORY):
            (directory / f"image-{one:04}.tif").touch()
    opened = Journal(f"sqlite:///{journal}")
    try:
        opened.wait(home.name, str(home), list(walk(str(home))))
    finally:
        opened.close()
    all_imported(journal)


def all_imported(journal: Path) -> None:
    """Every fileset that waits in this journal is imported now."""
    connection = sqlite3.connect(journal)
    try:
        with connection:
            for state in ("queued", "importing"):
                connection.execute("UPDATE fileset SET state = ?", (state,))
            connection.execute(
                "UPDATE fileset SET state = 'imported', attempts = 1, verified = 1,"
                " server_fileset = id, images = id"
            )
    finally:
        connection.close()
