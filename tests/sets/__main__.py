"""Prints the table of sets: ``python -m tests.sets [--jars DIRECTORY]... [--wrong] [--only WORD]``.

The exit code is 1 if a row is not as expected.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats
from omero_fs_plugin.dropbox.grouping.bioformats.jars import find
from omero_fs_plugin.dropbox.grouping.confined import Confined

from .kinds import KINDS
from .table import WITHOUT_JAVA, rows, shown


def say(line: str) -> None:
    """Writes a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sets", description=__doc__)
    parser.add_argument("--jars", action="append", default=[], help="of a Bio-Formats; or `found`")
    parser.add_argument("--wrong", action="store_true", help="print only what is not as expected")
    parser.add_argument("--only", default="", help="kinds with this word in their names")
    given = parser.parse_args()
    kinds = [kind for kind in KINDS if given.only.lower() in kind.name.lower()]
    wrong = number = 0
    for jars in ("none", *(given.jars or ["found"])):
        with tempfile.TemporaryDirectory(prefix="sets-") as place:
            grouper: BioFormats | Confined
            name = WITHOUT_JAVA
            if jars == "none":
                grouper = Confined(roots=lambda place=place: [place])  # type: ignore[misc]
            else:
                installation = find([] if jars == "found" else [jars])
                grouper = BioFormats(installation, roots=lambda place=place: [place])  # type: ignore[misc]
                name = f"Bio-Formats {grouper.version()}"
            begun = time.monotonic()
            with grouper:
                for row in rows(grouper, name, Path(place), kinds):
                    number += 1
                    wrong += not row.right
                    if not given.wrong or not row.right:
                        say(shown(row))
            say(f"{name}: {time.monotonic() - begun:.0f} s")
    say(f"{len(kinds)} kinds of sets, {number} inputs, {wrong} not as expected")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
