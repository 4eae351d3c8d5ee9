"""`make bench-filesets`: grouping beside cold JVMs, importing beside a bare loop and sha1sum.

Exit code 0; or 1 when files were grouped wrongly or not imported, or a part could not be
run; or 130 when interrupted.  A target that is missed is told, and fails nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.dropbox.running import execute

from . import grouping, importing

RESULTS = Path(__file__).parent.parent / "RESULTS-filesets.rst"
ROUNDS = 5
GIB = 2**30  # bytes

HEADING = (
    "Benchmark results: filesets and importers",
    "=========================================",
    "",
    'Written by ``make bench-filesets``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst.",
)


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-filesets BENCH_ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument(
        "--only", action="append", choices=("grouping", "importing"), help="may be repeated"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where the tables go; a whole run of full size writes {RESULTS.name} by itself",
    )
    parsed = parser.parse_args(given)
    if parsed.rounds < 1:
        parser.error("--rounds: must be 1 or more")
    return parsed


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = _arguments(given)
    less = 10 if options.quick else 1
    return execute(
        {
            "grouping": lambda scratch: grouping.scenario(
                scratch, 1_000 // less, 100 // less, options.rounds
            ),
            "importing": lambda scratch: importing.scenario(
                scratch, 2 * GIB // less, options.rounds
            ),
        },
        quick=options.quick,
        only=options.only,
        output=options.output,
        results=RESULTS,
        heading=(*HEADING, f"{options.rounds} rounds; a ratio is the median of theirs."),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
