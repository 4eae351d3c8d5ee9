"""The journal's rows as values, and values as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from omero_fs_plugin.events import FileStat

from .states import State

_Item = TypeVar("_Item")

# Where a fileset comes from: it was met below the watch directory, or given to
# `omero fs import`, or OMERO had it and the journal had lost it.
MET, HANDED_OVER, FOUND_IN_OMERO = "dropbox", "handed over", "found in OMERO"

# Why a file is skipped that is no longer there.  Such a file is not accounted for:
# its share may have been away, and it may come back unchanged.
GONE = "removed or renamed before it was imported"
PART_OF = "it is a part of "  # and the path of a store

PART = 500  # files of one set that one transaction is about: others wait for its end

STAT_COLUMNS = ("device", "inode", "size", "mtime_ns", "ctime_ns")


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was met on disk."""

    path: str  # absolute
    stat: FileStat


@dataclass(frozen=True)
class Formed:
    """Files that belong together.  The one that OMERO opens comes first."""

    user: str
    root: str
    found: Sequence[Found]
    reader: str = ""
    plate: bool = False
    origin: str = ""
    # Paths of those without images of their own: they only describe the others.
    indexes: frozenset[str] = frozenset()
    remark: str = ""  # what people are told once it is imported

    @property
    def paths(self) -> Set[str]:
        """Of all files."""
        return self.positions.keys()

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Path -> which of the files it is.  Made when it is asked for: a large set needs none."""
        return {met.path: position for position, met in enumerate(self.found)}


@dataclass(frozen=True)
class Event:
    """Something that happened to a fileset, and the fileset as it is now."""

    id: int
    fileset: int
    user: str
    root: str
    path: str  # of its first file
    before: str  # a state; empty: it is new
    after: str
    reason: str
    who: str
    reader: str
    files: int
    attempts: int
    server_fileset: int | None
    images: str  # ids with commas between


@dataclass(frozen=True)
class Held:
    """The lease as it is now."""

    holder: str = ""  # empty: nobody has it
    count: int = 0  # of the holder; while it moves, the holder lives
    epoch: int = 0  # how often the lease has passed to another holder


@dataclass(frozen=True)
class Claim:
    """Who is importing a fileset."""

    holder: str
    epoch: int  # of the lease when the claim was made, or the id of the node
    until: float  # s since the epoch, by the holder's clock


@dataclass(frozen=True)
class Start:
    """That imports of one entry of omero.fs.importUsers begin a time apart."""

    entry: str
    apart: float  # s


@dataclass(frozen=True)
class Node:
    """Importers on another machine, as the journal has them."""

    id: int  # the epoch of its claims
    holder: str  # as str() of a lease.Holder gives it
    count: int  # how often it has said that it is at work
    told: str  # JSON: what it says of itself
    claims: int = 0  # filesets that it is at


@dataclass(frozen=True)
class Fileset:
    """One row of the journal."""

    id: int
    user: str
    root: str  # directory that its files must not leave
    path: str  # of its first file
    state: State
    reason: str
    origin: str
    attempts: int
    refusals: int  # by OMERO, since it was last queued anew
    verified: bool  # OMERO was told to import it, in this attempt or an earlier one
    server_fileset: int | None
    images: tuple[int, ...]
    created: float  # s since the epoch
    changed: float  # s since the epoch
    files: Sequence[Found] = field(default=())
    sha1s: Sequence[str | None] = field(default=())
    revision_of: int | None = None  # the fileset imported from this path before
    duplicate_of: int | None = None  # the imported fileset that has the same content
    reader: str = ""  # canonical class name of the Bio-Formats reader; empty: not known
    plate: bool = False  # it is a plate, not images
    waited: float = 0.0  # for how long (s) we saw it wait for what `reason` says


def chunks(items: Sequence[_Item], size: int) -> Iterator[list[_Item]]:
    """`items` in lists of at most `size`."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def signed(inode: int) -> int:
    """An inode as a database takes it: databases have no unsigned 64 bits, file systems do."""
    return inode if inode < 2**63 else inode - 2**64


def stat_columns(stat: FileStat) -> dict[str, int]:
    """What the file table keeps of a FileStat."""
    return {
        "device": signed(stat.device),
        "inode": signed(stat.inode),
        "size": stat.size,
        "mtime_ns": stat.mtime_ns,
        "ctime_ns": stat.ctime_ns,
    }


def columns(found: Found) -> dict[str, Any]:
    """What the file table keeps of a file."""
    return {"path": found.path, **stat_columns(found.stat)}


def met_of(row: Any) -> Found:
    """A file from its row."""
    stat = FileStat(row.device, row.inode % 2**64, row.size, row.mtime_ns, row.ctime_ns)
    return Found(row.path, stat)


def fileset(row: Any, files: Sequence[Found], sha1s: Sequence[str | None]) -> Fileset:
    """A Fileset from its row, its files in order, and what is known of their SHA1s."""
    return Fileset(
        id=row.id,
        user=row.user,
        root=row.root,
        path=row.path,
        state=State(row.state),
        reason=row.reason,
        origin=row.origin,
        attempts=row.attempts,
        refusals=row.refusals,
        verified=bool(row.verified),
        server_fileset=row.server_fileset,
        images=tuple(int(i) for i in row.images.split(",") if i),
        revision_of=row.revision_of,
        duplicate_of=row.duplicate_of,
        reader=row.reader,
        plate=bool(row.plate),
        waited=row.waited,
        created=row.created,
        changed=row.changed,
        files=files,
        sha1s=sha1s,
    )
