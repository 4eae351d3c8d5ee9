"""A plate of very many files, whose DropBox is killed when half of the files are in OMERO.

The next one goes on with the files that are there, each of which it compares with the one on disk.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import history, stored
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import Figure, Outcome, faults
from benchmarks.progress import say

from .large import QUIET, SETS, until_imported

MB = 1_000_000  # bytes
_LONG = 3600.0  # s for half of the files
_LOOK = 1.0  # s
_ATTEMPT = re.compile(r"of its (\d+) files, OMERO has (\d+) from an earlier attempt")


def scenario(scratch: Path, files: int) -> Outcome:
    """Drops it, kills DropBox with SIGKILL, and waits for its import."""
    outcome = Outcome(f"A plate of {files:,} files, DropBox killed when half of them are in OMERO")
    properties = {"omero.fs.dirImportWait": str(QUIET), "omero.fs.transfer": "upload"}
    say(f"a plate of about {files:,} files: a sandbox is made and started")
    with Grid(scratch, properties) as grid:
        grid.start()
        first, there = SETS["plate"][1](grid.directory / "large" / "plate", files)
        goal = grid.home("amy") / "plate"
        (grid.directory / "large" / "plate").rename(goal)
        say(f"{there:,} files are dropped")
        begun = time.time()
        sent = _until_half(grid, f"{goal}/{first}", there)
        half = time.time() - begun - QUIET
        os.kill(grid.pid("DropBox"), signal.SIGKILL)
        killed = time.time()
        say(f"OMERO has {sent:,} of them after {half:.0f} s: DropBox is killed")
        done = until_imported(grid, f"{goal}/{first}") - killed
        say(f"imported {done:.0f} s after that")
        found = _ATTEMPT.findall("\n".join(grid.log("DropBox")))
        known = history.times(grid.journal)
        peak = grid.peak()
        sizes = _stored(grid)
        faults(outcome, stored.compared(stored.filesets(grid.data), [goal]))
    if len(known) != 1 or sizes != there:
        outcome.faults.append(f"{len(known)} filesets, and {sizes} files in OMERO, not {there}")
    if not found or int(found[-1][1]) < sent - 100:
        outcome.faults.append(f"OMERO had {sent} files, and was gone on with: {found}")
    gone_on = int(found[-1][1]) if found else 0
    outcome.figures += [
        Figure(f"{there:,} files: in OMERO when DropBox was killed", sent, "files"),
        Figure("from the drop to that", half, "s"),
        Figure("of these, those that were not sent again", gone_on, "files"),
        Figure("from the kill to the end of the import", done, "s"),
        Figure("peak memory of the second DropBox", peak / MB, "MB"),
    ]
    return outcome


def _until_half(grid: Grid, path: str, files: int) -> int:
    """How many files OMERO has by now; at least half of them."""
    begun = said = time.monotonic()
    while True:
        there = _stored(grid)
        if there >= files // 2:
            return there
        now = time.monotonic()
        state, why = history.stands(grid.journal, path)
        if state not in ("", "waiting", "queued", "importing") or now - begun > _LONG:
            raise BenchmarkError(f"{path} is {state}: {why}\n{grid.logs()}")
        if now - said > 15:
            said = now
            say(f"  after {now - begun:.0f} s it is {state or 'not known'} {why}: {there:,} files")
        time.sleep(_LOOK)


def _stored(grid: Grid) -> int:
    """The files in OMERO's repository that have bytes, but for logs."""
    number = 0
    for above, _, names in os.walk(grid.data / "ManagedRepository"):
        for name in names:
            if name.endswith((".tif", ".ome")):
                number += Path(above, name).stat().st_size > 0
    return number
