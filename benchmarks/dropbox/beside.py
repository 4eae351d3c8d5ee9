"""DropBox beside a plain loop over the repository API, on a sandbox with a real server's prices."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.contenders import BenchmarkError

from . import history, stored
from .grid import Grid
from .loop import USERS
from .scenarios import STALLED, Figure, Outcome, faults, tiff

CLIENTS = (1, 2, 4, 8)
# About what a real OMERO.server on two cores takes, with a disk and a database of its own.
PRICES = {
    "omero.sandbox.latency_ms": "5",
    "omero.sandbox.import_seconds": "0.8",
    "omero.sandbox.upload_mb_per_s": "25",
}
# The same where two processors are the limit: more clients get no more out of it.
LIMITED = {**PRICES, "omero.sandbox.import_seconds": "1.25", "omero.sandbox.imports_at_once": "2"}
SIZE = 2_000_000  # bytes of a file
LIMIT = 600.0  # s for one loop
TARGET = 95  # %


def scenario(
    scratch: Path,
    each: int,
    rounds: int,
    *,
    several: Sequence[int] = CLIENTS,
    prices: Mapping[str, str] = PRICES,
) -> Outcome:
    """`each` files for each client and round; with one and two clients more, for a longer run."""
    said = ", ".join(f"{k.rpartition('.')[2]} {v}" for k, v in prices.items())
    outcome = Outcome(f"a loop beside DropBox, files of {SIZE / 1e6:g} MB; {said}")
    for clients in several:
        number = each * max(2, clients)
        loops, ours = _side_by_side(scratch, prices, clients, number, rounds, outcome)
        outcome.figures += figures(clients, loops, ours)
    return outcome


def figures(clients: int, loops: Sequence[float], ours: Sequence[float]) -> list[Figure]:
    """Of the imports an hour in each round."""
    share = 100 * statistics.median(us / loop for loop, us in zip(loops, ours, strict=True))
    who = f"{clients} client{'s' if clients > 1 else ''}"
    return [
        Figure(f"{who}: a loop, imports an hour", statistics.median(loops), ""),
        Figure(f"{who}: DropBox, imports an hour", statistics.median(ours), ""),
        Figure(f"{who}: DropBox, of what the loop reaches", share, "%", TARGET, most=False),
    ]


def _side_by_side(
    scratch: Path,
    prices: Mapping[str, str],
    clients: int,
    number: int,
    rounds: int,
    outcome: Outcome,
) -> tuple[list[float], list[float]]:
    """Imports an hour in each round, of the loop and of DropBox."""
    settings = {"omero.fs.dirImportWait": "1", "omero.fs.importers": str(clients), **prices}
    first = clients * 2  # in the first round both warm up
    with Grid(scratch, settings) as grid:
        grid.start()
        one_round(grid, "0", clients, first)
        rates = [one_round(grid, f"{n + 1}", clients, number) for n in range(rounds)]
        wanted = first + number * rounds
        dropped = [path for user in USERS for path in grid.home(user).rglob("*.tif")]
        looped = [path for top in grid.directory.glob("loop-*") for path in top.iterdir()]
        wrong = [] if len(dropped) == wanted else [f"{len(dropped)} of {wanted} files dropped"]
        if (found := history.counts(grid.journal)) != {"imported": wanted}:
            wrong.append(f"of {wanted} files dropped: {found}")
        wrong += stored.compared(stored.filesets(grid.data), [*dropped, *looped])
        faults(outcome, (f"{clients} clients: {one}" for one in wrong))
    return [loop for loop, _ in rates], [us for _, us in rates]


def one_round(grid: Grid, name: str, clients: int, count: int) -> tuple[float, float]:
    """Imports an hour of the loop and then of DropBox, `count` files each, an even number.

    `name` is part of the names of the directories that it makes.  Raises BenchmarkError.
    """
    loop = _loop(grid, clients, _files(grid, grid.directory / f"loop-{name}", count))
    wanted = history.counts(grid.journal).get("imported", 0) + count
    dropped: list[Path] = []
    for user in USERS:
        dropped += _files(grid, grid.home(user) / f"round-{name}", count // len(USERS))
    grid.wait("all imported", lambda n: n.get("imported", 0) >= wanted, patience=STALLED)
    known = history.times(grid.journal)
    of_ours = history.per_hour({str(path): known[str(path)] for path in dropped})
    return 3600 * count / loop, of_ours


def _files(grid: Grid, place: Path, count: int) -> list[Path]:
    """Made beside, and moved there at once, so that DropBox does not wait for the disk."""
    beside = grid.directory / "made"
    beside.mkdir()
    for number in range(count):
        (beside / f"image-{number:04}.tif").write_bytes(tiff().ljust(SIZE, b"\0"))
    beside.rename(place)
    return sorted(place.iterdir())


def _loop(grid: Grid, clients: int, paths: Sequence[Path]) -> float:
    """s that it takes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.loop", grid.directory, str(clients), *paths],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "ICE_CONFIG"},
    )
    if done.returncode:
        raise BenchmarkError(f"the loop ended with {done.returncode}: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])
