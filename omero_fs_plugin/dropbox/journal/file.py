"""The file of a SQLite journal, as its URL names it.  Loads nothing."""

from __future__ import annotations

from pathlib import Path

SQLITE = "sqlite:///"


def sqlite_file(url: str) -> Path | None:
    """The file; None for another database."""
    return Path(url[len(SQLITE) :]) if url.startswith(SQLITE) else None
