"""Holds what `omero fs audit --json` prints to docs/audit.rst: each field, and its type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[3] / "docs" / "audit.rst"
_ROW = re.compile(r"^(\S+) +((?:string|integer|object|list)(?:\|null)?) ")
_TYPES: dict[str, type] = {"string": str, "integer": int, "object": dict, "list": list}


def documented() -> dict[str, str]:
    """Field -> type, as the document has them."""
    rows = (_ROW.match(f"{line} ") for line in DOCUMENT.read_text("utf-8").splitlines())
    return {row[1]: row[2] for row in rows if row is not None}


def assert_as_documented(told: dict[str, Any]) -> None:
    """Every field is documented with its type, and every documented field is there."""
    fields = documented()
    met: set[str] = set()
    _look("", told, fields, met)
    empty = {name for name, kind in fields.items() if kind == "list" and not told[name]}
    hidden = {name for name in fields if any(name.startswith(f"{one}[]") for one in empty)}
    assert met == fields.keys() - hidden


def _look(above: str, value: dict[str, Any], fields: dict[str, str], met: set[str]) -> None:
    for key, inner in value.items():
        name = f"{above}{key}"
        assert name in fields, f"{name} is not documented"
        kind, _, nothing = fields[name].partition("|")
        assert type(inner) is _TYPES[kind] or (nothing and inner is None), (name, inner)
        met.add(name)
        if isinstance(inner, dict):
            _look(f"{name}.", inner, fields, met)
        for one in inner if isinstance(inner, list) else ():
            _look(f"{name}[].", one, fields, met)
