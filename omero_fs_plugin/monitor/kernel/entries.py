"""What a look at the disk shows, and the disk as a protocol for those who look.  Pure."""

from __future__ import annotations

import enum
import errno
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

# Inode, size (bytes), mtime (ns): as events.FileStat, but without the device,
# because a share that is mounted again may get another number.
Identity = tuple[int, int, int]


class Kind(enum.Enum):
    """The kind of thing that has a name; a symbolic link is not followed."""

    FILE = 1
    DIRECTORY = 2
    OTHER = 3  # symbolic link, pipe, socket, device: complete as soon as it is there
    UNSEEN = 4  # something is there, but the disk does not let us look at it now


class Entry(NamedTuple):
    """What one look at a name shows."""

    kind: Kind
    identity: Identity
    links: int
    quiet: float  # s since content or status last changed, by the disk's clock; 0: unknown
    mounted: bool = False  # it is a directory on which something is mounted


class Listing(NamedTuple):
    """What a directory holds, and on which device it was read."""

    device: int  # 0: unknown
    names: list[tuple[bytes, Entry]]  # all but `files`
    # Files of which the caller needs no Entry, see Disk.entries: for most of a million it does not.
    files: Mapping[bytes, Identity] = MappingProxyType({})


class Unanswered(OSError):
    """A file system below the root does not answer in time; what was asked is not known."""

    def __init__(self, path: bytes = b"") -> None:
        super().__init__(errno.ETIMEDOUT, "the file system does not answer", path)


class Unfinished(Exception):
    """A listing below the root takes longer; it goes on, and is there when it is asked for again.

    Not an error: the file system answers.
    """


class Waitable(Protocol):
    """Something to wait for with poll."""

    def fileno(self) -> int | None:
        """A descriptor, readable when there is news; None if there will be none."""


class Disk(Protocol):
    """The part of the file system that a tracker needs."""

    def watch(self, path: bytes) -> int | None:
        """Asks for raw events of a directory, and returns its watch descriptor.

        None means that there will be no events, so it must be polled.  Raises OSError.
        """

    def unwatch(self, descriptor: int) -> None:
        """Ends raw events.  It is not an error if the descriptor is gone already."""

    def look(self, path: bytes) -> Entry | None:
        """What is there, or None; of kind UNSEEN where that cannot be told now."""

    def written(self, path: bytes) -> tuple[bool | None, Entry | None]:
        """Whether somebody has this file open for writing now; None where that cannot be told.

        If nobody has, also what it looks like.
        It is asked only of the root's own file system.
        """

    def entries(self, path: bytes, known: Mapping[bytes, Identity] | None) -> Listing:
        """What a directory holds.  Raises OSError.

        `known`: regular files that look like this may be in Listing.files.  None: all may.

        Raises Unfinished if that takes long.  Then nothing else of its file system can be
        listed until `listing` does not name it any more, and this is asked again.
        """

    def listing(self) -> Collection[bytes]:
        """The mount points below the root of which a directory is being listed now."""

    @property
    def waited(self) -> float:
        """How long callers have waited for file systems below the root, in s since the start."""

    def mount(self, path: bytes) -> bytes:
        """The mount point that `path` lies on.  Raises OSError."""

    def lies_below(self, mount: bytes) -> bool:
        """Whether the root is at or below `mount`, by where its links led at the last `mount`."""

    def late(self) -> Mapping[bytes, float]:
        """The mount points below the root that a call was not answered on, and does not answer
        now either; and when that call was made, by the clock of the tracker."""

    def remounted(self) -> list[bytes]:
        """Paths below the root where something was mounted or unmounted since the last call."""

    def chosen(self, path: bytes) -> str:
        """Why `watch` gives None for it, in a few words."""

    def limited(self, number: int, missing: int) -> str | None:
        """What to tell an admin if `missing` directories could not be watched.

        `number` is the errno.  None if that error is not a limit.
        """
