"""`make bench-growth`: what three sizes of each thing that grows cost, in one table.

Exit code 0; or 1 if something was lost or could not be measured; or 130 if it was interrupted.
The report names missed targets; they do not change the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.dropbox.running import execute
from benchmarks.options import add_repeat, parser_of, read

from . import flood, table
from .subjects import SUBJECTS

RESULTS = Path(__file__).parent.parent / "RESULTS-growth.rst"
ALL, FLOOD = "growth", "flood"

HEADING = (
    "Benchmark results: the cost of growth",
    "=====================================",
    "",
    'Written by ``make bench-growth``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst. The journal is SQLite on a disk; nothing is imported.",
)


def main(given: Sequence[str]) -> int:
    """The exit code."""
    parser = parser_of("bench-growth", __doc__, RESULTS, [*SUBJECTS, FLOOD])
    add_repeat(parser)
    options = read(parser, given)
    less = 10 if options.quick else 1
    subjects = [name for name in options.only or () if name != FLOOD]
    parts = [ALL] if subjects else []
    if FLOOD in (options.only or ()):
        parts.append(FLOOD)
    return execute(
        {
            ALL: partial(table.measure, less=less, only=subjects),
            FLOOD: partial(flood.measure, less=less),
        },
        quick=options.quick,
        only=parts or None,
        output=options.output,
        results=RESULTS,
        heading=HEADING,
        repeat=options.repeat,
        changed=options.changed,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
