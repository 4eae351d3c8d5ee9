"""Pure: what the reason of a fileset says of a file that the server may not read."""

from __future__ import annotations

from . import UNREADABLE


def named(reason: str) -> str:
    """The path of the file that the server might not read, by a reason; empty: that was not why."""
    path, marked, _ = reason.partition(f": {UNREADABLE}: ")
    return path if marked and path.startswith("/") else ""
