"""`make bench-nodes`: imports an hour with 1, 2 and 4 machines; then blows to all of them.

Each import takes a fixed time at the sandbox, chosen so that it is not the processors that are
measured.  Exit code 0; or 1 if a file was lost or imported twice; or 130 if it was interrupted.
The report names missed targets; they do not change the exit code.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.running import execute
from benchmarks.dropbox.scenarios import Figure, Outcome, tiff
from benchmarks.filesets.relay import ALONE, possible
from benchmarks.options import add_output, read
from omero_fs_plugin.dropbox.journal.states import State

from .blows import Blows
from .judged import judged
from .machines import IMPORTERS, STANDBY_NODE, Site, names, site
from .pace import import_time, imported

RESULTS = Path(__file__).parents[3] / "benchmarks" / "RESULTS-nodes.rst"
HEADING = (
    "Benchmark results: several machines",
    "===================================",
    "",
    'Written by ``make bench-nodes``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst. The machines are processes of one machine; the server is the sandbox.",
)
NODES = (1, 2, 4)
RATIOS = {2: 1.8, 4: 3.4}  # times as many as one machine imports, at least
STANDBY_S = 30.0
_START_S = 180.0
_WARM_S = 20.0  # of the measurement that the time of an import is chosen by
# After the last blow: the lease of a machine, and what DropBox waits for a call of the dead.
_SETTLE_S = 300.0


def main(given: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="make bench-nodes BENCH_ARGS=...", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--filesets", type=int, default=2000, help="at the begin (2000)")
    parser.add_argument("--users", type=int, default=20, help="whose files they are (20)")
    parser.add_argument("--window", type=float, default=60.0, help="s of each measurement (60)")
    parser.add_argument("--blows", type=float, default=300.0, help="s of blows (300)")
    parser.add_argument("--seed", type=int, default=15, help="of every choice (15)")
    add_output(parser, RESULTS)
    options = read(parser, given)
    if os.environ.get("OMERO_FS_ALONE") != "1":
        why = possible()
        if why:
            sys.stderr.write(f"bench-nodes: no networks of our own here: {why}\n")
            return 1
        os.environ["OMERO_FS_ALONE"] = "1"
        again = (*ALONE, sys.executable, "-m", __spec__.parent, *given)
        os.execvp(again[0], again)
    return execute(
        {"nodes": partial(_whole, options=options)},
        quick=False,
        only=None,
        output=options.output,
        results=RESULTS,
        heading=HEADING,
        changed=options.changed,
    )


def _whole(scratch: Path, options: argparse.Namespace) -> Outcome:
    try:
        return _run(scratch, options)
    except pytest.fail.Exception as failed:
        raise BenchmarkError(str(failed)) from failed


def _run(scratch: Path, options: argparse.Namespace) -> Outcome:
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {text}\n")
        sys.stdout.flush()

    users = [f"user{number}" for number in range(1, options.users + 1)]
    outcome = Outcome(f"{options.filesets:,} filesets of {options.users} users")
    with site(scratch, users, max(NODES)) as made:
        numbers, dropped = itertools.count(), list[Path]()

        def drop(how_many: int = 2) -> None:
            for number in itertools.islice(numbers, how_many):
                directory = made.grid.directory(users[number % len(users)])
                dropped.append(directory / f"{number}.tif")
                dropped[-1].write_bytes(tiff())

        drop(options.filesets)
        say(f"{len(dropped):,} files dropped")
        _until("all are queued", lambda: made.journal.counts()[State.QUEUED] >= len(dropped))
        seconds = _rates(made, outcome, options.window, say)
        made.machines[STANDBY_NODE].start()
        blows = Blows(made, options.seed, drop)
        blows.run(options.blows)
        say(f"blows: {blows.told}; {len(dropped):,} files")
        left = len(dropped) - made.journal.counts()[State.IMPORTED]
        patience = _SETTLE_S + 2 * left * seconds / (max(NODES) * IMPORTERS)
        last = time.monotonic()
        missed = ""
        try:
            _until(
                "all are imported",
                lambda: made.journal.counts()[State.IMPORTED] >= len(dropped),
                patience,
            )
        except BenchmarkError as error:
            missed = f"{error}: {made.journal.counts()}"
        say(missed or "all are imported")
        found = judged(made, dropped)
        outcome.figures += [
            Figure(f"{what} in {options.blows:g} s", number, "")
            for what, number in blows.told.items()
        ]
        outcome.figures += [
            Figure("DropBoxes that had to take over", len(blows.takeovers), ""),
            Figure(
                "the longest until one had the lease",
                max(blows.takeovers, default=0),
                "s",
                STANDBY_S,
            ),
            Figure("from the last blow until all were imported", time.monotonic() - last, "s"),
            Figure("files dropped in all", len(dropped), ""),
            Figure("missing in OMERO", len(found.missing), "", 0.0),
            Figure("twice in OMERO", len(found.twice), "", 0.0),
            Figure("halves that are still to be taken away", found.halves, ""),
            Figure("all of it", time.monotonic() - began, "s", 900.0),
        ]
        for what, paths in (
            ("missing", found.missing),
            ("twice", found.twice),
            ("of nobody", found.strange),
        ):
            if paths:
                outcome.faults.append(f"{len(paths)} {what}: {', '.join(paths[:5])}")
    return outcome


def _rates(made: Site, outcome: Outcome, window: float, say: Callable[[str], None]) -> float:
    """Measures with each number of machines.  Gives how long (s) an import takes."""
    seconds, first = 1.0, 0.0
    made.import_takes(seconds)
    cores = os.cpu_count() or 1
    for nodes in NODES:
        for name in names(nodes):
            if not made.machines[name].running:
                made.machines[name].start()
        _until(f"{nodes} machines import", lambda: made.importing() >= nodes)  # noqa: B023
        if not first:
            time.sleep(5)  # what a start costs does not count
            number, _, cost = imported(made, lambda: time.sleep(_WARM_S))
            if not number:
                raise BenchmarkError("nothing is imported")
            seconds = import_time(cost / number, max(NODES))
            made.import_takes(seconds)
            say(
                f"an import costs {cost / number:.3f} s of a processor: it is to take {seconds:g} s"
            )
            outcome.figures += [
                Figure("time of processors for an import, all processes", cost / number, "s"),
                Figure("time that an import takes at the server", seconds, "s"),
            ]
        time.sleep(2 * seconds)
        number, took, cost = imported(made, lambda: time.sleep(window))
        rate = number * 3600 / took
        first = first or rate
        if not first:
            raise BenchmarkError("nothing is imported")
        say(f"{_machines(nodes)}: {rate:,.0f} imports an hour, {rate / first:.2f} times")
        outcome.figures.append(Figure(f"imports an hour with {_machines(nodes)}", rate, ""))
        if nodes in RATIOS:
            outcome.figures.append(
                Figure(f"{nodes} machines beside one", rate / first, "", RATIOS[nodes], most=False)
            )
        outcome.figures.append(
            Figure(
                f"of the processors, {_machines(nodes)} took", 100 * cost / took / cores, "%", 70.0
            )
        )
    return seconds


def _machines(number: int) -> str:
    return f"{number} machine{'s' * (number > 1)}"


def _until(what: str, look: Callable[[], bool], patience: float = _START_S) -> None:
    end = time.monotonic() + patience
    while not look():
        if time.monotonic() > end:
            raise BenchmarkError(f"after {patience:.0f} s still not: {what}")
        time.sleep(0.25)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
