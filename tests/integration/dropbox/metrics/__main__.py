"""`make bench-metrics`: each figure beside the journal, and the page of a very large journal.

1,000 files go through DropBox while curl asks for its metrics.  Exit code 0; or 1 if a figure was
not that of the journal; or 130 if it was interrupted.  The report names missed targets; they do
not change the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.running import execute
from benchmarks.dropbox.scenarios import Figure, Outcome
from benchmarks.journal import metrics
from benchmarks.options import parser_of, read
from omero_fs_plugin.metrics import publisher
from tests.integration.blitz import seed
from tests.integration.whole import Whole

from .passing import pass_through

RESULTS = Path(__file__).parents[4] / "benchmarks" / "RESULTS-metrics.rst"
FILES = 1000
HEADING = (
    "Benchmark results: the metrics",
    "==============================",
    "",
    'Written by ``make bench-metrics``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst.",
)


def main(given: Sequence[str]) -> int:
    """The exit code."""
    parts = ("files", "scrape")
    options = read(parser_of("bench-metrics", __doc__, RESULTS, parts), given)
    less = 10 if options.quick else 1
    return execute(
        {
            "files": partial(_files, number=FILES // less),
            "scrape": partial(metrics.measure, less=less),
        },
        quick=options.quick,
        only=options.only,
        output=options.output,
        results=RESULTS,
        heading=HEADING,
    )


def _files(scratch: Path, number: int) -> Outcome:
    patch, made = pytest.MonkeyPatch(), list[Whole]()

    def make(**properties: str) -> Whole:
        made.append(Whole(scratch, seed(scratch), patch, **properties))
        return made[-1]

    patch.setattr(publisher, "INTERVAL_S", 0.2)
    patch.setattr(publisher, "_REST", 1.0)  # the machine may be slow
    try:
        passed = pass_through(make, scratch, number)
    except pytest.fail.Exception as failed:
        raise BenchmarkError(str(failed)) from failed
    finally:
        for whole in made:
            whole.close()
        patch.undo()
    outcome = Outcome(f"{number:,} files while their metrics are asked")
    outcome.figures += [
        Figure("questions meanwhile", len(passed.seen), ""),
        Figure("the slowest, with the start of curl", passed.slowest * 1000, "ms"),
        Figure("figures compared with their sources", len(passed.figures), ""),
        Figure("figures that were not as their sources", len(passed.wrong), "", 0.0),
        Figure("totals that shrank", len(passed.shrunk), "", 0.0),
    ]
    outcome.figures += [
        Figure(f"{name}: so it is, and so it is told", wanted, "")
        for name, (told, wanted) in passed.figures.items()
        if told == wanted
    ]
    outcome.faults += [f"{name}: told {a:g}, it is {b:g}" for name, (a, b) in passed.wrong.items()]
    outcome.faults += [f"it shrank: {' '.join(key)}" for key in passed.shrunk]
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
