"""What users' documents cost DropBox while it imports: 500 users, 100,000 filesets in its journal.

Each user has as many filesets as a document names, so each document is as large as with names of
that length it can be, and whoever gets an image gets a document.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import known, profile
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import STALLED, Figure, Outcome, drop_many
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.publishing.document import FILESETS
from omero_fs_plugin.dropbox.watching.rescan import walk

THREAD = "publishing"
_LOOK_S = 8.0  # longer than omero.fs.publishInterval
_LITTLE_S = 0.15  # of CPU: signs of life, and looks for requests
_LONGEST_S = 600.0
_OF = ("Publisher._look", "Omero.publish", "Answers.look", "Publisher._show_sign", "compose")


def measure(scratch: Path, users: int, each: int) -> Outcome:
    """`users` get `each` files at once, while their documents are kept as by default."""
    names = [f"user{number:03}" for number in range(users)]
    imported = users * FILESETS
    outcome = Outcome(f"{users:,} users, {imported:,} filesets: {users * each:,} more are imported")
    place, told = scratch / "known", scratch / "profile.json"
    journal = place / "journal.sqlite"
    sys.stdout.write(f"  making {imported:,} files and their journal\n")
    sys.stdout.flush()
    _make(journal, place / "in", names)
    properties = {
        "omero.fs.watchDir": str(place / "in"),
        "omero.fs.journal": f"sqlite:///{journal}",
        "omero.fs.dirImportWait": "1",
    }
    with Grid(scratch, properties, users=names) as grid:
        grid.journal = journal
        profile.sampled_in(grid, told)
        grid.start()
        began = time.monotonic()
        first = _when_quiet(grid, told)
        outcome.figures += [
            Figure("first documents of all, with the rescan", time.monotonic() - began, "s"),
            Figure("first documents: CPU of their thread", first["threads"][THREAD], "s"),
        ]
        cpu = profile.cpu(grid)
        for name in names:
            (place / "in" / name / "new").mkdir()
            drop_many(place / "in" / name / "new", each)
        there = imported + users * each
        grid.wait("all imported", lambda n: n.get("imported", 0) >= there, patience=STALLED)
        last, used = profile.look(grid, told), profile.cpu(grid)
    whole = used["all"] - cpu["all"]
    spent = last["threads"][THREAD] - first["threads"][THREAD]
    number = users * each
    outcome.figures += [
        Figure("DropBox and its children", 1e3 * whole / number, "ms a fileset"),
        Figure("documents: CPU of their thread", 1e3 * spent / number, "ms a fileset"),
        Figure("documents: share in DropBox's CPU", 100 * spent / whole, "%", 2.0),
    ]
    for key, s in sorted(last["inclusive"].items(), key=lambda one: -one[1]):
        more = s - first["inclusive"].get(key, 0.0)
        if "/publishing/" in key or key.endswith(_OF):
            outcome.figures.append(Figure(f"inclusive: {key}", 1e3 * more / number, "ms a fileset"))
    return outcome


def _when_quiet(grid: Grid, told: Path) -> dict[str, Any]:
    """The look at DropBox when its thread has written nothing for a while: each has a document."""
    end = time.monotonic() + _LONGEST_S
    last = profile.look(grid, told)
    while time.monotonic() < end:
        time.sleep(_LOOK_S)
        now = profile.look(grid, told)
        if now["threads"][THREAD] - last["threads"].get(THREAD, 0.0) < _LITTLE_S:
            return now
        last = now
    raise BenchmarkError(f"documents are written without an end\n{grid.logs()}")


def _make(journal: Path, directory: Path, names: list[str]) -> None:
    for name in names:
        home = directory / name
        home.mkdir(parents=True)
        for number in range(FILESETS):
            (home / f"image-{number:04}.tif").touch()
    opened = Journal(f"sqlite:///{journal}")
    try:
        for name in names:
            opened.wait(name, str(directory / name), list(walk(str(directory / name))))
    finally:
        opened.close()
    known.all_imported(journal)
    with closing(sqlite3.connect(journal)) as connection, connection:
        # OMERO gives the first ids to what is imported now.
        connection.execute("UPDATE fileset SET server_fileset = server_fileset + 1000000000")
