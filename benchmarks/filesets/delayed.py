"""A fileset of many small files, uploaded by a client behind a router that delays each packet.

``python -m benchmarks.filesets.delayed FILES ROUNDS MS SCRATCH`` is one run of it, in a network of
its own.  It prints a line of JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import Figure, Outcome
from benchmarks.ending import on_sigterm
from benchmarks.progress import say

from . import importing, stores
from .alone import told_by
from .relay import ALONE, HERE, Behind, possible

WAYS = ("bare", "upload")
DELAYS = (2.0,)  # ms for each packet, there and back
GOAL = 5.0  # times as fast as one file after the other
LIMIT = 1800.0  # s


def scenario(scratch: Path, files: int, rounds: int) -> Outcome:
    """Each way in turn, in each round; for each delay there is a grid of its own."""
    outcome = Outcome("Many small files over a router that delays each packet")
    if why := possible():
        outcome.faults.append(f"cannot be measured here: {why}")
        return outcome
    for delay in DELAYS:
        told = _alone(scratch / f"{delay:g}", files, rounds, delay)
        outcome.faults += told["faults"]
        bare, upload = (told["seconds"][way] for way in WAYS)
        ratio = statistics.median(b / u for b, u in zip(bare, upload, strict=True))
        name = f"{delay:g} ms, {files:,} files"
        outcome.figures += [
            Figure(f"{name}: a round trip of TCP", told["round trip"], "ms"),
            Figure(f"{name}: one after the other", files / statistics.median(bare), "files/s"),
            Figure(f"{name}: by the native importer", files / statistics.median(upload), "files/s"),
            Figure(f"{name}: times as fast", ratio, "", GOAL, most=False),
        ]
    return outcome


def _alone(scratch: Path, files: int, rounds: int, delay: float) -> dict[str, Any]:
    scratch.mkdir()
    words = (str(files), str(rounds), str(delay), str(scratch))
    return told_by("delayed", *words, limit=LIMIT, before=ALONE)


def main(files: int, rounds: int, delay: float, scratch: Path) -> dict[str, Any]:
    """What is to be told."""
    seconds: dict[str, list[float]] = {}
    faults: list[str] = []
    on_sigterm()  # or the sandbox would go on without us
    say(f"a sandbox behind a router that keeps each packet {delay:g} ms")
    with Behind(delay) as behind, Grid(scratch, {}) as grid:
        _move(grid)
        grid.start()
        top = grid.directory / "large" / "a.zarr"
        # Three of its files are metadata.
        there = stores.write(top, files - 3)
        for number in range(rounds):
            for way in WAYS:
                told = importing.one(grid, way, f"{top}/", LIMIT, before=behind.command())
                seconds.setdefault(way, []).append(told["seconds"])
                say(f"round {number + 1} of {rounds}, {way}: {told['seconds']:.1f} s")
                if way == "upload" and told["images"] != 1:
                    faults.append(f"{told['images']} images instead of 1")
        if there != files:
            faults.append(f"{there} files instead of {files}")
        round_trip = behind.round_trip()
    return {"seconds": seconds, "faults": faults, "round trip": round_trip}


def _move(grid: Grid) -> None:
    """Its servers listen where another machine reaches them; by default they do not."""
    grid.configure({"omero.master.host": HERE, "omero.fs.host": HERE})
    templates = grid.directory / "etc" / "templates" / "grid" / "templates.xml"
    text = templates.read_text(encoding="utf-8")
    templates.write_text(text.replace("127.0.0.1", HERE), encoding="utf-8")


if __name__ == "__main__":
    _files, _rounds, _delay, _scratch = sys.argv[1:]
    sys.stdout.write(
        json.dumps(main(int(_files), int(_rounds), float(_delay), Path(_scratch))) + "\n"
    )
