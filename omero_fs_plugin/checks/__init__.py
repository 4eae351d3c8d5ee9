"""What `omero fs check` looks at: one module for each kind, with small functions that give Lines.

No check changes anything.  Each check may meet a share that does not answer, so
all are called through `timely.within`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from omero_fs_plugin.config.settings import Monitoring, Settings
from omero_fs_plugin.deployment.sources import Sources


class Level(enum.IntEnum):
    """How bad it is.  The number is the exit code of the command."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True)
class Line:
    """The result of one check."""

    level: Level
    about: str  # what was looked at, a word or two
    what: str  # what was found
    remedy: str = ""  # what to do, in one line; empty if all is well
    kind: str = ""  # "down", "failed" or "stuck": an exit code of its own


@dataclass(frozen=True)
class Subject:
    """The OMERO.server to check."""

    omerodir: Path
    sources: Sources

    @cached_property
    def settings(self) -> Settings:
        """DropBox's settings, as they are configured now."""
        return self.sources.settings

    @cached_property
    def monitoring(self) -> Monitoring:
        """FSServer's settings, as they are configured now."""
        return self.sources.monitoring


DOWN, FAILED, STUCK = "down", "failed", "stuck"  # the kinds of a Line


def ok(about: str, what: str) -> Line:
    """All is well."""
    return Line(Level.OK, about, what)


def warning(about: str, what: str, remedy: str) -> Line:
    """Files are imported, but not all, or not as an admin may expect."""
    return Line(Level.WARNING, about, what, remedy)


def error(about: str, what: str, remedy: str) -> Line:
    """Something is not imported, or will not be."""
    return Line(Level.ERROR, about, what, remedy)
