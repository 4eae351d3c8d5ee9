"""The limits of TOML in a sidecar.  They are checked before it is parsed.

The time of a TOML parser grows with the square of a key's parts, and it recurses into nested
values.  No sidecar needs much of either.  This reads a text once, from its beginning to its end.
"""

from __future__ import annotations

import re

DEEPEST = 8  # brackets in brackets
LONGEST_KEY = 8  # parts of a key, with dots between
MOST = 4_000  # values, and lists or tables

# Whole strings and comments.  One that is not closed goes up to where it would have to end.
_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*(?:"""|\\?$)'
    r"|'''(?:[^']|'(?!''))*(?:'''|$)"
    r'|"(?:[^"\\\n]|\\[^\n])*"?'
    r"|'[^'\n]*'?"
    r"|#[^\n]*"
    r"|[\[\]{}.=,\n]",
    re.DOTALL,
)


def too_much(text: str) -> str:
    """Why `text` must not be parsed; empty if it may be."""
    depth = dots = values = 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in "[{":
            depth += 1
            values += 1
            dots = 0
        elif token in "]}":
            depth = max(0, depth - 1)
        elif token == ".":
            dots += 1
        elif token in "=,\n":
            values += token != "\n"
            dots = 0
        if depth > DEEPEST:
            return f"nested more than {DEEPEST} deep"
        if dots >= LONGEST_KEY:
            return f"a key of more than {LONGEST_KEY} parts"
        if values > MOST:
            return f"more than {MOST} values"
    return ""
