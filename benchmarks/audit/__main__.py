"""`make bench-audit`: what `omero fs audit` asks OMERO and keeps in memory, at three sizes.

Exit code 0; or 1 if an audit did not do its work; or 130 if it was interrupted.  The report
names missed targets; they do not change the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.dropbox.running import execute
from benchmarks.options import parser_of, read

from . import runs

RESULTS = Path(__file__).parent.parent / "RESULTS-audit.rst"
PARTS = {f"{runs.FILESETS // divided}": divided for divided in runs.SIZES}

HEADING = (
    "Benchmark results: the audit",
    "============================",
    "",
    'Written by ``make bench-audit``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst.",
)


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = read(parser_of("bench-audit", __doc__, RESULTS, PARTS), given)
    less = 10 if options.quick else 1
    return execute(
        {name: partial(runs.measure, divided=divided * less) for name, divided in PARTS.items()},
        quick=options.quick,
        only=options.only,
        output=options.output,
        results=RESULTS,
        heading=HEADING,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
