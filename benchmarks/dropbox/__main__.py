"""`make bench-dropbox`: every scenario, on a sandbox grid of its own.

Exit code 0; or 1 if a file was missed or imported twice, or if a scenario
could not be run; or 130 if it was interrupted.  The report names missed targets;
they do not change the exit code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.options import add_repeat, at_least_one, parser_of, read

from . import beside, client, idle, profile, report, scenarios, start
from .running import execute

RESULTS = Path(__file__).parent.parent / "RESULTS-dropbox.rst"
PARTS = (
    *("delay", "throughput", "fairness", "client", "rescan", "million", "backlog", "idle"),
    *("beside", "limited", "profile"),
)
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
        "client": lambda scratch: client.client(scratch, 10_000 // less, 30 / less),
        "rescan": lambda scratch: start.rescan(scratch, 200_000 // less),
        "million": lambda scratch: start.rescan(scratch, 1_000_000 // less),
        "backlog": lambda scratch: scenarios.backlog(scratch, 100_000 // less),
        "idle": lambda scratch: idle.idle(scratch, 60 / less),
        "profile": lambda scratch: profile.profile(scratch, 2_000 // less, options.importers),
        "beside": lambda scratch: beside.scenario(scratch, 20 // less, 1 if options.quick else 3),
        "limited": lambda scratch: beside.scenario(
            scratch,
            10 // less,
            1 if options.quick else 3,
            several=(2, 8),
            prices=beside.LIMITED,
        ),
    }


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = parser_of("bench-dropbox", __doc__, RESULTS, PARTS)
    parser.add_argument(
        "--importers",
        type=int,
        default=IMPORTERS,
        metavar="N",
        help="omero.fs.importers of the mass copy (default: %(default)s)",
    )
    add_repeat(parser)
    parsed = read(parser, given)
    at_least_one(parser, parsed, "importers")
    return parsed


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = _arguments(given)
    return execute(
        _scenarios(options),
        quick=options.quick,
        only=options.only,
        output=options.output,
        changed=options.changed,
        results=RESULTS,
        heading=report.HEADING,
        repeat=options.repeat,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
