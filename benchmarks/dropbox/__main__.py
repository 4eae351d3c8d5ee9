"""`make bench-dropbox`: every scenario, on a sandbox grid of its own.

Exit code 0; or 1 when a file was missed or imported twice, or a scenario
could not be run; or 130 when interrupted.  A target that is missed is told,
and fails nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import idle, report, scenarios
from .running import execute

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
        "idle": lambda scratch: idle.idle(scratch, 60 / less),
    }


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-dropbox BENCH_ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument(
        "--only",
        action="append",
        choices=("delay", "throughput", "fairness", "rescan", "backlog", "idle"),
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


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = _arguments(given)
    return execute(
        _scenarios(options),
        quick=options.quick,
        only=options.only,
        output=options.output,
        results=RESULTS,
        heading=report.HEADING,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
