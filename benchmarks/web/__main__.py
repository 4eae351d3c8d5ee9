"""`make bench-web`: what open pages My drops ask of OMERO.web and of OMERO a minute.

Exit code 0; or 1 if it could not be measured; or 130 if it was interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.dropbox.running import execute
from benchmarks.options import parser_of, read

from . import browser, publishing
from .configured import configure

RESULTS = Path(__file__).parent.parent / "RESULTS-web.rst"
USERS, EACH = 500, 4  # users with documents, and files that each of them drops
LOOKS = 100  # of each page
PARTS = {str(number): number for number in (1, 20, 200)}  # drops in the document

HEADING = (
    "Benchmark results: the page My drops",
    "====================================",
    "",
    'Written by ``make bench-web``; what is measured and how: "Benchmarks" in CONTRIBUTING.rst.',
    f"Means of {LOOKS} looks; a minute of many pages is that of one, as often as there are pages.",
)


def main(given: Sequence[str]) -> int:
    """The exit code."""
    parts = (*PARTS, "browser", "publishing")
    options = read(parser_of("bench-web", __doc__, RESULTS, parts), given)
    configure("benchmarks.web.urls")
    from . import page

    looks = LOOKS // 10 if options.quick else LOOKS
    users = USERS // 10 if options.quick else USERS
    return execute(
        {
            **{
                name: partial(page.measure, number=number, looks=looks)
                for name, number in PARTS.items()
            },
            "browser": partial(browser.measure, looks=max(5, looks // 4)),
            "publishing": partial(publishing.measure, users=users, each=EACH),
        },
        quick=options.quick,
        only=options.only,
        output=options.output,
        results=RESULTS,
        heading=HEADING,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
