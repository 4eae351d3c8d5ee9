"""Holds what `omero fs status --json` prints to docs/status.rst: each field, and its type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[3] / "docs" / "status.rst"
_ROW = re.compile(r"^(\S+) +((?:string|integer|number|boolean|object)(?:\|null)?) ")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
}


def documented() -> dict[str, str]:
    """Field -> type, as the document has them."""
    # What stands below is another document, with fields of its own.
    text, _, _ = DOCUMENT.read_text("utf-8").partition("\nFrom any machine\n---")
    rows = (_ROW.match(f"{line} ") for line in text.splitlines())
    return {row[1]: row[2] for row in rows if row is not None}


def assert_as_documented(status: dict[str, Any]) -> None:
    """Every field is documented with its type, and every documented field is there."""
    fields = documented()
    met: set[str] = set()
    for name, value in status.items():
        _look(name, value, fields, met)
    at_fileset = {field for field in fields if field.startswith("*fileset*.")}
    in_lists = {field for field in fields if "[]" in field}
    assert fields.keys() - at_fileset - in_lists <= met, fields.keys() - met
    if status["filesets"]:
        assert at_fileset <= met, at_fileset - met


def _look(name: str, value: Any, fields: dict[str, str], met: set[str]) -> None:
    if name in ("filesets[]", "attention[]", "under_way[]"):
        met.add(name)
        for key, inner in value.items():
            _look(f"*fileset*.{key}", inner, fields, met)
    elif name in fields:
        met.add(name)
        kind, _, nothing = fields[name].partition("|")
        allowed = _TYPES[kind] + ((type(None),) if nothing else ())
        assert type(value) in allowed, (name, value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _look(f"{name}.{key}", inner, fields, met)
    elif isinstance(value, list):
        for inner in value:
            _look(f"{name}[]", inner, fields, met)
    else:
        raise AssertionError(f"{name} is not documented")
