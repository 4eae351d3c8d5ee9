"""Where a file has its length already, but not its bytes.

Some programs set the length of a file first, and write its bytes later: SMB clients,
fallocate(1), download managers.  What is not written yet is a hole, see lseek(2).

It counts only on file systems where a hole means this.  ZFS, and servers behind NFS, SMB or
FUSE, may make a hole of every block of zeros: there a hole may be a black plane.
"""

from __future__ import annotations

import bisect
import ctypes
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import BinaryIO

_MOST = 1 << 16  # holes of one file that are looked at

# The magic numbers of statfs(2): ext2 to ext4, XFS, Btrfs, F2FS, tmpfs, overlayfs.
_TELLING = frozenset((0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994, 0x794C7630))
_STATFS_BYTES = 512  # more than struct statfs has on any platform


class Holes:
    """Pure: the holes of one file, by where each starts and where it ends."""

    def __init__(self, holes: Iterable[tuple[int, int]] = ()) -> None:
        """`holes` in order: (first byte, byte after the last one)."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in holes:
            self._starts.append(start)
            self._ends.append(end)

    def meet(self, start: int, end: int) -> bool:
        """Whether one of the bytes from `start` to `end`, without `end`, is in a hole."""
        before = bisect.bisect_left(self._starts, end)
        return before > 0 and self._ends[before - 1] > start

    def at_end(self, size: int) -> int:
        """The bytes of the hole that a file of `size` bytes ends in; 0 if it ends in none."""
        ends_in_one = bool(self._ends) and self._ends[-1] >= size
        return size - self._starts[-1] if ends_in_one else 0

    def __bool__(self) -> bool:
        return bool(self._starts)


def holes_of(file: BinaryIO, size: int) -> Holes:
    """The holes of a file of `size` bytes.  None are known if the file system cannot tell.

    Raises OSError.
    """
    descriptor = file.fileno()
    if not hasattr(os, "SEEK_HOLE") or not _tells(descriptor):
        return Holes()
    before = os.lseek(descriptor, 0, os.SEEK_CUR)  # `file` counts on it
    try:
        return Holes(islice(_find(descriptor, size), _MOST))
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)


def _find(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < size and (start := os.lseek(descriptor, at, os.SEEK_HOLE)) < size:
        try:
            at = min(os.lseek(descriptor, start, os.SEEK_DATA), size)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            at = size  # it reaches to the end
        yield start, at


def _tells(descriptor: int) -> bool:
    """Whether a hole there is what nobody has written."""
    if not sys.platform.startswith("linux"):
        return False
    result = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc().fstatfs(descriptor, result) != 0:
        return False
    kind = ctypes.c_long.from_buffer(result).value & 0xFFFFFFFF
    return kind in _TELLING


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
