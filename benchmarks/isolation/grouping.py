"""Files grouped a second by two workers with Bio-Formats, of each commit in turn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.scenarios import Outcome
from benchmarks.filesets import files

from . import sides
from .sides import SIDES, Trees

LIMIT = 600.0  # s for one turn
PROGRAM = Path(__file__).with_name("one_grouping.py")
FIRST, AGAIN = "just started", "once more"


def scenario(scratch: Path, trees: Trees, singles: int, sets: int, rounds: int) -> Outcome:
    """Groups `singles` TIFFs and `sets` of files.IN_SET OME-TIFFs.  Raises BenchmarkError."""
    trees.check()
    root = scratch / "grouped"
    kinds = {
        f"{singles:,} single TIFFs": (files.singles(root, singles), singles),
        f"{sets:,} sets of {files.IN_SET}": (files.sets(root, sets), sets),
    }
    outcome = Outcome("Grouping by two workers with Bio-Formats")
    rates: dict[tuple[str, str], dict[str, list[float]]] = {
        (name, when): {side: [] for side in SIDES} for name in kinds for when in (FIRST, AGAIN)
    }
    for number, side in sides.turns(rounds):
        for name, (lots, filesets) in kinds.items():
            for when, told in zip((FIRST, AGAIN), _one(trees.of(side), root, lots), strict=True):
                rates[name, when][side].append(sum(map(len, lots)) / told["seconds"])
                if told["complete"] != filesets:
                    outcome.faults.append(
                        f"{side}, round {number + 1}: {name}: {told['complete']:g} filesets"
                    )
    for (name, when), both in rates.items():
        outcome.figures += sides.figures(f"{name}, {when}", "files/s", both)
    return outcome


def _one(tree: Path, root: Path, lots: list[list[str]]) -> list[dict[str, float]]:
    """The two passes of one turn, in a process that uses `tree`."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        input=json.dumps({"root": str(root), "lots": lots}),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env=sides.environment(tree),
        cwd="/",
    )
    if done.returncode:
        raise BenchmarkError(
            f"{tree}: grouping ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    told: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return told
