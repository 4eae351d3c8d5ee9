"""What a person at a client of OMERO feels of an import: how long OMERO takes to answer.

``python -m benchmarks.dropbox.client OMERODIR SECONDS`` is that client. It runs at OMERO's
priority, asks 20 times a second, and prints the s of each answer as a list in JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.measure import quantile
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.site import Site

from . import history, stored
from .grid import Grid
from .scenarios import STALLED, Figure, Outcome, drop_many, faults, quiet_down, running_grid

EACH_S = 0.05
USUAL = 10  # omero.fs.nice unless it is set
UNDER_WAY = 20  # imports that have ended: now one follows the other
LIMIT_S = 120.0  # for the client beyond its seconds


def client(scratch: Path, count: int, seconds: float) -> Outcome:
    """A client's answers while nobody imports, and beside an import of `count`.

    This with omero.fs.nice and without, each in a grid of its own. The import is left when the
    client has asked for so many `seconds`.
    """
    outcome = Outcome(f"a client of OMERO beside an import of {count:,}")
    felt: dict[int, list[float]] = {}
    for nice in (USUAL, 0):
        with running_grid(scratch, dirImportWait=1, nice=nice) as grid:
            quiet_down(grid)
            alone = answers(grid, seconds)
            if nice == USUAL:
                outcome.figures += _of("nobody imports", alone)
            felt[nice] = _beside(grid, outcome, count, seconds, nice)
    for share in (0.5, 0.99):
        ratio = quantile(felt[USUAL], share) / quantile(felt[0], share)
        text = f"p{100 * share:g} with omero.fs.nice {USUAL}, of that with 0"
        outcome.figures.append(Figure(text, ratio, "", 1.0))
    return outcome


def _beside(grid: Grid, outcome: Outcome, count: int, seconds: float, nice: int) -> list[float]:
    grid.dropped += drop_many(grid.home("zak") / "others", count)
    grid.wait("under way", lambda n: n.get("imported", 0) >= UNDER_WAY, patience=STALLED)
    before, begun = history.counts(grid.journal).get("imported", 0), time.monotonic()
    some = answers(grid, seconds)
    after, took = history.counts(grid.journal), time.monotonic() - begun
    outcome.figures += _of(f"omero.fs.nice {nice}", some)
    rate = 3600 * (after.get("imported", 0) - before) / took
    outcome.figures.append(Figure(f"omero.fs.nice {nice}: imports an hour meanwhile", rate, ""))
    faults(outcome, stored.so_far(grid))
    if after.get("imported", 0) >= count:
        outcome.faults.append(f"{outcome.title}: nice {nice}: the import was over too early")
    return some


def _of(when: str, some: list[float]) -> list[Figure]:
    return [
        Figure(f"{when}: answer, p{100 * share:g}", 1000 * quantile(some, share), "ms")
        for share in (0.5, 0.99)
    ]


def answers(grid: Grid, seconds: float) -> list[float]:
    """s of each answer to a client that asks for so long.  Raises BenchmarkError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, grid.directory, f"{seconds:g}"],
            capture_output=True,
            text=True,
            timeout=seconds + LIMIT_S,
            check=False,
            env={k: v for k, v in os.environ.items() if k != "ICE_CONFIG"},
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"the client had no answer for {LIMIT_S:g} s") from error
    if done.returncode:
        raise BenchmarkError(f"the client ended with {done.returncode}: {done.stderr[-2000:]}")
    return [float(one) for one in json.loads(done.stdout.splitlines()[-1])]


def main(omerodir: str, seconds: str) -> list[float]:
    """s of each answer."""
    site = Site(Path(omerodir))
    some: list[float] = []
    with site.grid() as grid:
        server = Omero.of(grid.communicator, site.settings())
        try:
            user = server.user("amy")
            next_at = time.monotonic()
            end = next_at + float(seconds)
            while next_at < end:
                time.sleep(max(0.0, next_at - time.monotonic()))
                asked = time.monotonic()
                server.filesets(user, "nowhere")
                some.append(time.monotonic() - asked)
                next_at = max(next_at + EACH_S, time.monotonic())
        finally:
            server.close()
    return some


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
