"""Where a file has its length already, but not its bytes.

Some programs set the length of a file first, and write its bytes later: SMB clients,
fallocate(1), download managers.  What is not written yet is a hole, see lseek(2).

It counts only on file systems where a hole means this.  ZFS, and servers behind NFS, SMB or
FUSE, may make a hole of every block of zeros: there a hole may be a black plane.
"""

from __future__ import annotations

import bisect
import ctypes
import os
import sys
from typing import BinaryIO

_MOST = 1 << 16  # holes of one file that are looked at

# The magic numbers of statfs(2): ext2 to ext4, XFS, Btrfs, F2FS, tmpfs, overlayfs.
_TELLING = frozenset((0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994, 0x794C7630))
_STATFS_BYTES = 512  # more than struct statfs has on any platform


class Holes:
    """The holes of a file of `size` bytes.  There are none if the file system cannot tell."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Raises OSError."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        descriptor = file.fileno()
        if not hasattr(os, "SEEK_HOLE") or not _tells(descriptor):
            return
        before = os.lseek(descriptor, 0, os.SEEK_CUR)  # `file` counts on it
        try:
            self._find(descriptor, size)
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)

    def _find(self, descriptor: int, size: int) -> None:
        at = 0
        while at < size and len(self._starts) < _MOST:
            start = os.lseek(descriptor, at, os.SEEK_HOLE)
            if start >= size:
                return
            try:
                at = os.lseek(descriptor, start, os.SEEK_DATA)
            except OSError:  # ENXIO: it reaches to the end
                at = size
            self._starts.append(start)
            self._ends.append(min(at, size))

    def meet(self, start: int, end: int) -> bool:
        """Whether one of the bytes from `start` to `end`, without `end`, is in a hole."""
        before = bisect.bisect_left(self._starts, end)
        return before > 0 and self._ends[before - 1] > start

    def __bool__(self) -> bool:
        return bool(self._starts)


def _tells(descriptor: int) -> bool:
    """Whether a hole there is what nobody has written."""
    if not sys.platform.startswith("linux"):
        return False
    result = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None, use_errno=True).fstatfs(descriptor, result) != 0:
        return False
    kind = ctypes.c_long.from_buffer(result).value & 0xFFFFFFFF
    return kind in _TELLING
