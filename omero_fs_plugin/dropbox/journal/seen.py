"""What people are shown of filesets: values, and which of them are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .fates import Ended
from .states import State


@dataclass(frozen=True)
class Seen:
    """A fileset, as people are shown it."""

    id: int
    user: str
    root: str  # the user's directory
    path: str  # of its first file
    state: State
    reason: str
    attempts: int
    refusals: int  # by OMERO, in a row
    images: tuple[int, ...]
    server_fileset: int | None
    reader: str
    plate: bool
    revision_of: int | None
    duplicate_of: int | None
    created: float  # s since the epoch
    changed: float  # s since the epoch
    waited: float  # s, for what the reason says
    files: tuple[str, ...] = ()
    size: int = 0  # bytes, of all files


@dataclass(frozen=True)
class Came:
    """A fileset that came in, or changed, in some period."""

    id: int
    user: str
    root: str
    path: str  # of its first file
    state: State
    reason: str
    created: float  # s since the epoch
    changed: float  # s since the epoch
    imported: float | None  # s since the epoch, when its import ended; None: it was not imported
    files: int
    size: int  # bytes


@dataclass(frozen=True)
class After:
    """What became of the files of an imported fileset (omero.fs.afterImport)."""

    id: int
    user: str
    root: str
    path: str  # of its first file, where it was imported from
    ended: Ended


@dataclass(frozen=True)
class Met:
    """A file of a fileset, as it was when it was met."""

    device: int
    inode: int
    size: int  # bytes
    mtime_ns: int


@dataclass(frozen=True)
class Elsewhere:
    """Importers on another machine, as the journal has them."""

    holder: str  # as str() of a lease.Holder gives it
    told: str  # JSON: what it says of itself
    claims: int  # filesets that it is at


@dataclass(frozen=True)
class Asked:
    """Which filesets are asked for."""

    user: str | None = None  # of this OMERO user
    since: float | None = None  # s since the epoch: changed then or later
    states: tuple[State, ...] = ()  # none: in any

    @property
    def any_of(self) -> tuple[State, ...]:
        """The states that a fileset may be in."""
        return self.states or tuple(State)

    def where(self, *more: str) -> tuple[str, list[Any]]:
        """The condition, and its values."""
        parts, values = list(more), list[Any]()
        if self.user is not None:
            parts.append('"user" = ?')
            values.append(self.user)
        if self.since is not None:
            parts.append("changed >= ?")
            values.append(self.since)
        if self.states:
            parts.append(f"state IN ({', '.join('?' * len(self.states))})")
            values += [str(state) for state in self.states]
        return (f" WHERE {' AND '.join(parts)}" if parts else ""), values
