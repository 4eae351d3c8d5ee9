"""`make bench-isolation`: imports an hour and files grouped a second, beside an earlier commit.

Both commits work on one sandbox OMERO in turn.  Exit code 0; or 1 if files were not imported, or
were grouped wrongly, or if a part could not be run; or 130 if it was interrupted.  The report says
which targets are not met; they do not change the exit code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.dropbox.running import execute
from benchmarks.options import at_least_one, parser_of, read

from . import grouping, importing, sides

RESULTS = Path(__file__).parent.parent / "RESULTS-isolation.rst"
PARTS = ("importing", "grouping")
ROUNDS = 4  # an even number: each commit is the first one as often as the other
IMPORTS = 400  # files in each turn
SINGLES, SETS = 1_000, 100

HEADING = (
    "Benchmark results: isolation",
    "============================",
    "",
    'Written by ``make bench-isolation``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst. *Before* is commit {commit}, *now* this checkout. {rounds} rounds; a share",
    "is the median of theirs. The target is {least} %: isolation may cost a tenth.",
)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The options.  Ends the command with an error if they are wrong."""
    parser = parser_of("bench-isolation", __doc__, RESULTS, PARTS)
    parser.add_argument(
        "--beside",
        default=sides.BEFORE,
        metavar="COMMIT",
        help="the commit to measure beside (default: %(default)s, the one before the isolation)",
    )
    parser.add_argument(
        "--tree",
        type=Path,
        required=True,
        metavar="DIR",
        help="where the files of that commit are; `make bench-isolation` puts them there",
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--imports",
        type=int,
        default=IMPORTS,
        metavar="N",
        help="files in each turn of the imports (default: %(default)s)",
    )
    parsed = read(parser, given)
    at_least_one(parser, parsed, "rounds")
    at_least_one(parser, parsed, "imports")
    if not (parsed.tree / "omero_fs_plugin").is_dir():
        parser.error(f"--tree: {parsed.tree} has no omero_fs_plugin")
    return parsed


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = arguments(given)
    less = 10 if options.quick else 1
    trees = sides.Trees(before=options.tree.resolve(), now=Path(__file__).resolve().parents[2])
    imports = max(2 * len(importing.USERS), options.imports // less)
    words = {"commit": options.beside, "rounds": options.rounds, "least": sides.LEAST}
    return execute(
        {
            "importing": lambda scratch: importing.scenario(
                scratch, trees, imports, options.rounds
            ),
            "grouping": lambda scratch: grouping.scenario(
                scratch, trees, SINGLES // less, SETS // less, options.rounds
            ),
        },
        quick=options.quick,
        only=options.only,
        output=options.output,
        changed=options.changed,
        results=RESULTS,
        heading=[line.format(**words) for line in HEADING],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
