"""`make bench-dropbox`: every scenario, on a sandbox grid of its own.

Exit code 0; or 1 when a file was missed or imported twice, or a scenario
could not be run; or 130 when interrupted.  A target that is missed is told,
and fails nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ..contenders import BenchmarkError
from . import report, scenarios

RESULTS = Path(__file__).parent.parent / "RESULTS-dropbox.rst"
IMPORTERS = 2  # as omero.fs.importers is unless set
LONE = 10  # files of the lone user


def _scenarios(options: argparse.Namespace) -> dict[str, Callable[[Path], scenarios.Outcome]]:
    less = 10 if options.quick else 1
    return {
        "delay": lambda scratch: scenarios.delay(scratch, 200 // less),
        "throughput": lambda scratch: scenarios.throughput(
            scratch, 2_000 // less, options.importers
        ),
        "fairness": lambda scratch: scenarios.fairness(scratch, 10_000 // less, LONE),
        "rescan": lambda scratch: scenarios.rescan(scratch, 200_000 // less),
        "backlog": lambda scratch: scenarios.backlog(scratch, 100_000 // less),
    }


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-dropbox BENCH_ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument(
        "--only",
        action="append",
        choices=("delay", "throughput", "fairness", "rescan", "backlog"),
        help="may be repeated",
    )
    parser.add_argument(
        "--importers",
        type=int,
        default=IMPORTERS,
        metavar="N",
        help="omero.fs.importers of the mass copy (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where the tables go; a whole run of full size writes {RESULTS.name} by itself",
    )
    parsed = parser.parse_args(given)
    if parsed.importers < 1:
        parser.error("--importers: must be 1 or more")
    return parsed


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = _arguments(given)
    if os.geteuid() == 0:
        sys.stderr.write("bench: a sandbox is not run by root: make bench-dropbox\n")
        return 1
    signal.signal(signal.SIGTERM, _interrupted)
    loads = [os.getloadavg()[0]]
    outcomes: list[scenarios.Outcome] = []
    failed = []
    scratch = Path(tempfile.mkdtemp(prefix="omero-fs-bench-")).resolve()
    try:
        for name, run in _scenarios(options).items():
            if options.only and name not in options.only:
                continue
            try:
                outcome = run(scratch)
            except BenchmarkError as error:
                failed.append(f"{name}: {error}")
                sys.stderr.write(f"bench: {name}: {error}\n")
                continue
            outcomes.append(outcome)
            sys.stdout.write("\n".join(["", outcome.title, *report.lines(outcome), ""]))
            sys.stdout.flush()
            loads.append(os.getloadavg()[0])
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    text = report.whole(outcomes, quick=options.quick, loads=loads)
    sys.stdout.write("\n" + text)
    output = options.output or (None if options.quick or options.only or failed else RESULTS)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    for fault in faults:
        sys.stderr.write(f"bench: {fault}\n")
    return 1 if faults or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
