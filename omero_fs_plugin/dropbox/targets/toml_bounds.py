"""What a sidecar may have of TOML, looked at before it is parsed.

A parser of TOML takes time that grows with the square of a key's parts, and recurses into what is
nested.  No sidecar needs much of either.  This looks at a text once, from its begin to its end.
"""

from __future__ import annotations

import re

DEEPEST = 8  # brackets in brackets
LONGEST_KEY = 8  # parts of a key, with dots between
MOST = 4_000  # values, and lists or tables

# Strings and comments as wholes, one that is not closed up to where it would have to be.
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
    """Why `text` is not parsed; empty: it may be."""
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
