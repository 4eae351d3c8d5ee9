"""`make bench-filesets`: grouping beside cold JVMs, importing beside a bare loop and sha1sum,
a store of many chunks beside `cp -r` and `sha1sum`, and many small files over a router that delays
each packet beside one file after the other.

Exit code 0; or 1 if files were grouped wrongly or not imported, or if a part could not be
run; or 130 if it was interrupted.  The report names missed targets; they do not change the exit
code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.dropbox.running import execute
from benchmarks.dropbox.scenarios import Outcome
from benchmarks.options import at_least_one, parser_of, read

from . import delayed, grouping, importing, large, resumed, stores
from .kinds import KINDS

RESULTS = Path(__file__).parent.parent / "RESULTS-filesets.rst"
WORKLOADS = (
    *("grouping", "importing", "stores", "imported-stores", "large", "kinds", "delayed"),
    "resumed",
)
ROUNDS = 5
CHUNKS = (10_000, 30_000, 100_000)  # of the stores that are imported, once each way
PLATE = 63_000  # files
OF_A_KIND = 30_000  # chunks; of fewer, what the allocator happens to keep is most of the memory
GIB = 2**30  # bytes

HEADING = (
    "Benchmark results: filesets and importers",
    "=========================================",
    "",
    'Written by ``make bench-filesets``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst.",
)


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = parser_of("bench-filesets", __doc__, RESULTS, WORKLOADS)
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--plate",
        type=int,
        default=PLATE,
        metavar="N",
        help="files of a plate; default: %(default)s",
    )
    parser.add_argument(
        "--chunks",
        type=int,
        action="append",
        metavar="N",
        help="chunks of a store that is imported; may be repeated; default: "
        + ", ".join(map(str, CHUNKS)),
    )
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        choices=tuple(large.SETS),
        help="of `large` and `kinds`, these sets alone; may be repeated",
    )
    parser.add_argument(
        "--transfer",
        dest="transfers",
        action="append",
        choices=large.TRANSFERS,
        help="of `large` and `kinds`, this transfer alone; may be repeated",
    )
    parsed = read(parser, given)
    at_least_one(parser, parsed, "rounds")
    if min(parsed.chunks or CHUNKS) < 1:
        parser.error("--chunks: must be 1 or more")
    return parsed


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = _arguments(given)
    less = 10 if options.quick else 1

    def importing_stores(scratch: Path) -> Outcome:
        """One table; each size has a grid of its own."""
        whole = Outcome("Importing a store, linked, uploaded, and dropped")
        for chunks in options.chunks or CHUNKS:
            one = stores.imported(scratch, chunks // less, 1)
            whole.faults += one.faults
            whole.figures += one.figures
        return whole

    def several(title: str, scratch: Path, sizes: Iterable[tuple[str, int]]) -> Outcome:
        """One table for sets of these kinds and numbers of files; each has a grid of its own."""
        whole = Outcome(title)
        for kind, files in sizes:
            if kind in (options.sets or large.SETS):
                transfers = options.transfers or large.TRANSFERS
                one = large.scenario(scratch, kind, files // less, transfers)
                whole.faults += one.faults
                whole.figures += one.figures
        return whole

    def kinds_of_stores(scratch: Path) -> Outcome:
        sizes = ((kind, OF_A_KIND) for kind in KINDS)
        title = f"Stores of {OF_A_KIND // less:,} chunks with labels and with plates, dropped"
        return several(title, scratch, sizes)

    def large_sets(scratch: Path) -> Outcome:
        stores_of = [("store", chunks) for chunks in options.chunks or CHUNKS[1:]]
        sizes = (*stores_of, ("plate", options.plate))
        return several("Large sets, dropped, and another user's files meanwhile", scratch, sizes)

    return execute(
        {
            "grouping": lambda scratch: grouping.scenario(
                scratch, 1_000 // less, 100 // less, options.rounds
            ),
            "importing": lambda scratch: importing.scenario(
                scratch, 2 * GIB // less, options.rounds
            ),
            "stores": lambda scratch: stores.scenario(scratch, 100_000 // less, options.rounds),
            "imported-stores": importing_stores,
            "large": large_sets,
            "kinds": kinds_of_stores,
            "delayed": lambda scratch: delayed.scenario(scratch, 2_000 // less, options.rounds),
            "resumed": lambda scratch: resumed.scenario(scratch, options.plate // less),
        },
        quick=options.quick,
        only=options.only,
        output=options.output,
        changed=options.changed,
        results=RESULTS,
        heading=(*HEADING, f"{options.rounds} rounds; a ratio is the median of theirs."),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
