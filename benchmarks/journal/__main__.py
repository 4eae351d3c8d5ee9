"""`make bench-journal`: sets, waiting directories and deletions, each of three sizes.

Exit code 0; or 1 when files were lost or a part could not be run; or 130 when
interrupted.  A target that is missed is told, and fails nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.dropbox.running import execute

from . import scenarios

RESULTS = Path(__file__).parent.parent / "RESULTS-journal.rst"

HEADING = (
    "Benchmark results: the journal",
    "==============================",
    "",
    'Written by ``make bench-journal``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst. The journal is SQLite on a disk; nothing is imported.",
)


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-journal BENCH_ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument(
        "--only", action="append", choices=tuple(scenarios.PARTS), help="may be repeated"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where the tables go; a whole run of full size writes {RESULTS.name} by itself",
    )
    return parser.parse_args(given)


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = _arguments(given)
    less = 10 if options.quick else 1
    return execute(
        {
            name: partial(scenarios.measure, part=part, less=less)
            for name, part in scenarios.PARTS.items()
        },
        quick=options.quick,
        only=options.only,
        output=options.output,
        results=RESULTS,
        heading=HEADING,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
