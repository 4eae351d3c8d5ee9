"""A tree, and a journal that has imported all of it: a DropBox of some years.

Through the journal's own operations as far as one row at a time is not the
only way; the last two transitions are made for all filesets at once, in SQL,
under the same triggers and constraints.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.watching.rescan import walk

FILES_IN_DIRECTORY = 20
DIRECTORIES_IN_ONE = 100


def make(journal: Path, home: Path, count: int) -> None:
    """`home` is a user's directory in the DropBox, `journal` not there yet."""
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
