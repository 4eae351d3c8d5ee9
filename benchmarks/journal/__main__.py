"""`make bench-journal`: sets, waiting directories and deletions, each of three sizes; metrics.

Exit code 0; or 1 if files were lost or if a part could not be run; or 130 if it was
interrupted.  The report names missed targets; they do not change the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.dropbox.running import execute
from benchmarks.options import parser_of, read

from . import metrics, scenarios

RESULTS = Path(__file__).parent.parent / "RESULTS-journal.rst"

HEADING = (
    "Benchmark results: the journal",
    "==============================",
    "",
    'Written by ``make bench-journal``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst. The journal is SQLite on a disk; nothing is imported.",
)


def main(given: Sequence[str]) -> int:
    """The exit code."""
    parts = {**scenarios.PARTS, "metrics": metrics.TEXT}
    options = read(parser_of("bench-journal", __doc__, RESULTS, parts), given)
    less = 10 if options.quick else 1
    return execute(
        {
            name: partial(scenarios.measure, part=part, less=less)
            for name, part in scenarios.PARTS.items()
        }
        | {"metrics": partial(metrics.measure, less=less)},
        quick=options.quick,
        only=options.only,
        output=options.output,
        results=RESULTS,
        heading=HEADING,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
