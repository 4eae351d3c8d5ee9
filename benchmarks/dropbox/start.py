"""A start on a tree that is known: how long DropBox's rescan takes, and what it needs."""

from __future__ import annotations

import re
import shutil
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.runs import walk

from . import history, known, stored
from .grid import Grid
from .scenarios import STALLED, Figure, Outcome, faults, quiet_down, running_grid

_RESCAN = re.compile(r"rescan: (\d+) files in ([0-9.]+) s")


def rescan(scratch: Path, count: int) -> Outcome:
    """A start on a known tree: the real DropBox, with a journal prepared for it."""
    outcome = Outcome(f"start on {count:,} files already imported")
    with running_grid(scratch) as grid:
        quiet_down(grid)
        empty = grid.peak()
    sys.stdout.write(f"  making {count:,} files and their journal\n")
    sys.stdout.flush()
    place = scratch / "known"
    try:
        return _rescanned(place, scratch, outcome, count, empty)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _rescanned(place: Path, scratch: Path, outcome: Outcome, count: int, empty: int) -> Outcome:
    """The figures of `rescan`, with the tree and the journal at `place`.

    `empty`: bytes that a DropBox had at most which knows no file.

    It starts twice. The first time nobody asks anything: what a command takes would count as the
    rescan's. The second time `omero fs status` is asked from the first moment on.
    """
    journal = place / "journal.sqlite"
    known.make(journal, place / "in" / "amy", count)
    before = history.everything(journal)
    settings = {"omero.fs.watchDir": str(place / "in"), "omero.fs.journal": f"sqlite:///{journal}"}
    # Beside the sandbox.  The sandbox is made last, because it has no ports until it is started.
    with Grid(scratch, settings) as grid:
        grid.start_unasked()
        lines = _until_rescanned(grid, 1)
        quiet_down(grid)
        cpu, peak = grid.cpu()["DropBox"], grid.peak()
        alone = len(_rescans(grid.log("DropBox")))
        grid.stop()
        walked = walk(place / "in")
        started = grid.start()
        answered = grid.timed("fs", "status")
        over = len(_rescans(grid.log("DropBox"))) > alone  # before the answer
        told = _rescans(_until_rescanned(grid, alone + 1))
        quiet_down(grid)
        version = grid.timed("version")
        if history.everything(journal) != before:
            outcome.faults.append(f"{outcome.title}: the journal changed")
        faults(outcome, stored.compared(stored.filesets(grid.data), ()))
        if any(files != count for files, _ in told):
            outcome.faults.append(f"{outcome.title}: rescans met {[files for files, _ in told]}")
    status = f"`omero fs status` {'after' if over else 'while'}"
    # Beside other programs the time says little, and CPU the same as without them.
    beyond = max(answered.cpu - version.cpu, 0.0)
    outcome.figures += [
        Figure("the rescan at the start", told[0][1], "s"),
        Figure("os.walk with lstat on the same tree, afterwards", walked, "s"),
        Figure("the rescan, of that walk", told[0][1] / walked, "", 3.0),
        Figure("the rescan beside `omero fs status`", told[alone][1], "s"),
        Figure("the longest `omero fs status` while DropBox starts", started.longest, "s", 2.0),
        Figure("from `omero admin start` to a DropBox that works", started.seconds, "s"),
        Figure(f"{status} it rescans", answered.seconds, "s", 2.0),
        Figure("`omero version`", version.seconds, "s"),
        Figure(f"{status} it rescans, CPU", answered.cpu, "CPU s"),
        Figure("`omero version`, CPU", version.cpu, "CPU s"),
        Figure("`omero fs status` beyond `omero version`, CPU", beyond, "CPU s", 2.0),
        Figure("from DropBox's first word to the end of that rescan", _first_rescan(lines), "s"),
        Figure("rescans within the first moments", alone, ""),
        Figure("CPU of DropBox since it was started", cpu, "s"),
        Figure("peak memory of DropBox", peak / 2**20, "MiB"),
        Figure("beyond a DropBox that knows no file", (peak - empty) / 2**20, "MiB", 150.0),
    ]
    return outcome


def _until_rescanned(grid: Grid, number: int) -> list[str]:
    """DropBox's log when it has told of so many rescans.  Raises BenchmarkError."""
    end = time.monotonic() + STALLED
    while True:
        with suppress(FileNotFoundError):
            lines = grid.log("DropBox")
            if len(_rescans(lines)) >= number:
                return lines
        if time.monotonic() > end:
            raise BenchmarkError(f"no rescan\n{grid.logs()}")
        time.sleep(0.5)


def _rescans(lines: list[str]) -> list[tuple[int, float]]:
    """(files, s) of each rescan in DropBox's log."""
    found = (_RESCAN.search(line) for line in lines)
    return [(int(one[1]), float(one[2])) for one in found if one]


def _first_rescan(lines: list[str]) -> float:
    """s from the first line of the log to that of the first rescan, by their times."""
    ends = [line for line in lines if _RESCAN.search(line)]
    begin, end = (
        datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f") for line in (lines[0], ends[0])
    )
    return (end - begin).total_seconds()
