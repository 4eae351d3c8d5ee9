"""`make bench-commands`: what each command takes beyond `omero version`, at three sizes.

Exit code 0; or 1 if a command could not be run; or 130 if it was interrupted.  The
report names missed targets; they do not change the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.dropbox.running import execute
from benchmarks.options import parser_of, read

from . import times

RESULTS = Path(__file__).parent.parent / "RESULTS-commands.rst"
REPETITIONS = 7  # of each command; the median counts
PARTS = {f"{times.FILESETS // divided}": divided for divided in times.SIZES}

HEADING = (
    "Benchmark results: the commands",
    "===============================",
    "",
    'Written by ``make bench-commands``; what is measured and how: "Benchmarks" in',
    f"CONTRIBUTING.rst. Medians of {REPETITIONS} rounds, the commands in turn, without servers.",
)


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = read(parser_of("bench-commands", __doc__, RESULTS, PARTS), given)
    less = 10 if options.quick else 1
    return execute(
        {
            name: partial(
                times.measure,
                divided=divided * less,
                repetitions=3 if options.quick else REPETITIONS,
            )
            for name, divided in PARTS.items()
        },
        quick=options.quick,
        only=options.only,
        output=options.output,
        results=RESULTS,
        heading=HEADING,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
