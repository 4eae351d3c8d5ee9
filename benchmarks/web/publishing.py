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

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import known, profile, stored
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import STALLED, Figure, Outcome, drop_many, faults
from omero_fs_plugin.blitz.publications import NAMESPACE
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.publishing.document import FILESETS
from omero_fs_plugin.dropbox.watching.rescan import walk
from omero_fs_plugin.sandbox.store import FILE as STORE

THREAD = "publishing"
_LONGEST_S = 1200.0  # until each user has a document
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
        _until_all_have_one(grid, users)
        first = profile.look(grid, told)
        outcome.figures += [
            Figure("first documents of all, with the rescan", time.monotonic() - began, "s"),
            Figure("first documents: CPU of their thread", first["threads"][THREAD], "s"),
        ]
        cpu, process = profile.cpu(grid), grid.pid("DropBox")
        paths: list[Path] = []
        for name in names:
            (place / "in" / name / "new").mkdir()
            paths += drop_many(place / "in" / name / "new", each)
        there = imported + users * each
        grid.wait("all imported", lambda n: n.get("imported", 0) >= there, patience=STALLED)
        if grid.pid("DropBox") != process:  # its CPU time has begun anew
            raise BenchmarkError(f"DropBox was started again meanwhile\n{grid.logs()}")
        last, used = profile.look(grid, told), profile.cpu(grid)
        faults(outcome, stored.compared(stored.filesets(grid.data), paths))
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


def _until_all_have_one(grid: Grid, users: int) -> None:
    """Returns when each user has a document.  Raises BenchmarkError."""
    end = time.monotonic() + _LONGEST_S
    there = 0
    while there < users:
        if time.monotonic() > end:
            raise BenchmarkError(f"{there} of {users} users have a document\n{grid.logs()}")
        time.sleep(1.0)
        with closing(sqlite3.connect(f"file:{grid.data / STORE}?mode=ro", uri=True)) as store:
            ((there,),) = store.execute(
                "SELECT count(DISTINCT owner_id) FROM annotation WHERE ns = ?", (NAMESPACE,)
            )


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
