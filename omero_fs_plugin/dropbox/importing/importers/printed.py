"""What OMERO's Java importer prints: ids on its output, reasons on its errors.  Pure.

With `--output yaml` it prints a list of mappings, one for each fileset::

    ---
    - Fileset: 51
      Image: [101, 102]

With `ids`, or from releases that do not know yaml, it prints `Image:101,102` or
`Plate:3`.  Both are read, and everything else is passed over.  Nothing that it prints
is believed before OMERO was asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_IDS = re.compile(r"^\s*(?:-\s+)?(Fileset|Image|Plate)s?\s*:\s*\[?\s*(\d[\d,\s]*?)\]?\s*$")
_TELLING = re.compile(r"ERROR|Exception|error:|Error:|FAILURE")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d[ T][\d:,.]+\s+\d*\s*(\[[^\]]*\]\s*)?")
_LONGEST = 300  # characters of a reason


@dataclass(frozen=True)
class Printed:
    """The ids in an output, for all of its files together."""

    filesets: frozenset[int]
    images: frozenset[int]
    plates: frozenset[int]


def ids(output: str) -> Printed:
    """The ids in `output`."""
    found: dict[str, set[int]] = {"Fileset": set(), "Image": set(), "Plate": set()}
    for line in output.splitlines():
        match = _IDS.match(line)
        if match:
            numbers = match[2].replace(",", " ").split()
            found[match[1]].update(int(number) for number in numbers if len(number) < 19)
    return Printed(
        frozenset(found["Fileset"]), frozenset(found["Image"]), frozenset(found["Plate"])
    )


def reason(errors: str, path: str, secret: str) -> str:
    """Why `path` was not imported, in one line and without `secret`; empty if nothing says it.

    It is the last error that names the file, or else the last error, or else the last
    line.
    """
    lines = [line.strip() for line in errors.replace(secret, "***").splitlines()]
    lines = [line for line in lines if line and not line.startswith(("at ", "... "))]
    telling = [line for line in lines if _TELLING.search(line)]
    naming = [line for line in telling if path in line]
    for chosen in (naming, telling, lines):
        if chosen:
            return _STAMP.sub("", chosen[-1])[:_LONGEST]
    return ""
