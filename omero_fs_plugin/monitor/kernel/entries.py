"""What a look at the disk shows, and the disk as a protocol for those who look.  Pure."""

from __future__ import annotations

import enum
from typing import NamedTuple, Protocol

# Inode, size (bytes), mtime (ns): as events.FileStat, without the device, for
# a share that is mounted again may get another number.
Identity = tuple[int, int, int]


class Kind(enum.Enum):
    """What a name stands for, without following a symbolic link."""

    FILE = 1
    DIRECTORY = 2
    OTHER = 3  # symbolic link, pipe, socket, device: complete as soon as it is there
    UNSEEN = 4  # something, that the disk does not let us look at now


class Entry(NamedTuple):
    """What one look at a name shows."""

    kind: Kind
    identity: Identity
    links: int
    quiet: float  # s since content or status last changed, by the disk's clock; 0: unknown
    mounted: bool = False  # a directory that something is mounted on


class Listing(NamedTuple):
    """What a directory holds, and where that was read."""

    device: int  # 0: unknown
    names: list[tuple[bytes, Entry]]


class Disk(Protocol):
    """The file system, as far as a tracker needs it."""

    def watch(self, path: bytes) -> int | None:
        """Asks for raw events of a directory; its watch descriptor.

        None: there will be none, for it is to be polled.  Raises OSError.
        """

    def unwatch(self, descriptor: int) -> None:
        """No more raw events; a descriptor that is gone already is no error."""

    def look(self, path: bytes) -> Entry | None:
        """What is there, or None."""

    def entries(self, path: bytes) -> Listing:
        """What a directory holds.  Raises OSError."""

    def mount(self, path: bytes) -> bytes:
        """The mount point that `path` lies on.  Raises OSError."""

    def remounted(self) -> list[bytes]:
        """Below the root, where something was mounted or unmounted since the last call."""

    def chosen(self, path: bytes) -> str:
        """Why `watch` gives None for it, in a few words."""

    def limited(self, number: int, missing: int) -> str | None:
        """What to tell an admin when `missing` directories could not be watched
        for the error `number`; None when that is no limit."""
