"""What OMERO has, asked of the sandbox itself: whether each thing dropped is one fileset there.

DropBox's journal has one row for a file, also if the file was imported twice.  So it is not enough
to ask the journal.  This only reads, in plain SQL, from the database of the sandbox server.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from omero_fs_plugin.sandbox.store import FILE

from . import history
from .grid import Grid

BUSY = 30.0  # s
_NAMED = 5  # paths in the words of a fault
_ALL = (
    "SELECT (SELECT min(clientPath) FROM filesetentry WHERE fileset = f.id),"
    " (SELECT count(*) FROM image WHERE fileset = f.id) FROM fileset f"
)


@dataclass(frozen=True)
class Stored:
    """A fileset that OMERO has."""

    path: str  # where the first of its files was when it was imported
    images: int  # 0: an import that has not come to its end


def filesets(data: Path) -> list[Stored]:
    """All of them.  `data` is the sandbox's omero.data.dir."""
    file = f"{(data / FILE).as_uri()}?mode=ro"
    with closing(sqlite3.connect(file, uri=True, timeout=BUSY)) as store:
        return [Stored(f"/{path or ''}", images) for path, images in store.execute(_ALL)]


def compared(
    found: Iterable[Stored], done: Collection[Path], under_way: Collection[Path] = ()
) -> list[str]:
    """What is wrong, in words.

    `done` were dropped and must be there once, each a file or the directory of a set; `under_way`
    may be there, once.  An import without images counts for nothing.
    """
    times = dict.fromkeys(map(str, (*done, *under_way)), 0)
    strange = []
    for one in found:
        if not one.images:
            continue
        path = PurePosixPath(one.path)
        of = next((at for at in map(str, (path, *path.parents)) if at in times), None)
        if of is None:
            strange.append(one.path)
        else:
            times[of] += 1
    wrong = {
        "missing in OMERO": [str(path) for path in done if not times[str(path)]],
        "more than once in OMERO": [path for path, number in times.items() if number > 1],
        "in OMERO, and nobody dropped them": strange,
    }
    return [
        f"{len(paths)} {what}: {', '.join(paths[:_NAMED])}"
        for what, paths in wrong.items()
        if paths
    ]


def once(grid: Grid) -> list[str]:
    """What is wrong if each file dropped there is to be imported once, and nothing else."""
    dropped = grid.dropped
    counts = history.counts(grid.journal)
    wrong = [] if counts == {"imported": len(dropped)} else [f"of {len(dropped)} files: {counts}"]
    return wrong + compared(filesets(grid.data), dropped)


def so_far(grid: Grid) -> list[str]:
    """What is wrong while only some of the files are imported, and the journal knows all."""
    dropped = grid.dropped
    number = sum(history.counts(grid.journal).values())
    wrong = [] if number == len(dropped) else [f"{number} filesets of {len(dropped)} files"]
    known = history.times(grid.journal)
    unknown = [path for path in dropped if str(path) not in known]
    if unknown:
        wrong.append(f"{len(unknown)} are not in the journal: {unknown[0]}")
    done = [path for path in dropped if (one := known.get(str(path))) and one.done is not None]
    return wrong + compared(filesets(grid.data), done, set(dropped) - set(done))
