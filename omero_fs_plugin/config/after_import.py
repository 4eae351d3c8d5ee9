"""omero.fs.afterImport: what happens to a user's files once OMERO has them.  Pure."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from pathlib import Path

from .kinds import Kind, or_nearest, plain
from .lists import bare, quoted

DAY_S = 86400.0
_MOST_DAYS = 36_500.0
_MUST_BE = "keep, or move:DIR with an absolute path, or delete-after:DAYS"


@dataclass(frozen=True)
class AfterImport:
    """What is done, and when."""

    act: str  # keep | move | delete
    directory: Path | None = None  # that files are moved to; absolute
    days: float = 0.0  # from the import until it is done

    @property
    def acts(self) -> bool:
        """Whether anything is done."""
        return self.act != "keep"

    @property
    def delay(self) -> float:
        """How long (s) after the import it is done."""
        return self.days * DAY_S


KEEP = AfterImport("keep")


def _read(entry: str) -> AfterImport:
    text = bare(entry)
    act, colon, more = text.partition(":")
    if text == "keep":
        return KEEP
    if act == "move" and colon:
        if not more.startswith("/") or ".." in more.split("/") or "\0" in more:
            raise ValueError("move:DIR with an absolute path without '..'")
        return AfterImport("move", Path(os.path.normpath(more).replace("//", "/")))
    if act == "delete-after" and colon:
        try:
            days = float(more)
        except ValueError:
            days = -1.0
        if not 0 <= days <= _MOST_DAYS:
            raise ValueError(f"delete-after:DAYS with a number from 0 to {_MOST_DAYS:.0f}")
        return AfterImport("delete", days=days)
    raise or_nearest(_MUST_BE, act, ("keep", "move", "delete-after"))


def _write(value: AfterImport) -> str:
    if value.act == "move":
        return quoted(f"move:{value.directory}")
    if value.act == "delete":
        return f"delete-after:{plain(value.days)}"
    return "keep"


AFTER_IMPORT = Kind("keep | move:DIR | delete-after:DAYS", _read, _write)
