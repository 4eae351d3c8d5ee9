"""Which file a child is reading, for a parent that finds it dead or silent.

It is one page of memory that both share.  To write to it costs no system call and wakes nobody.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile

_SIZE = 1 << 14  # bytes; a path has at most 4096
_HEAD = struct.Struct("=QI")  # beats so far, bytes of the path
_MOST = _SIZE - _HEAD.size


class Pulse:
    """The page.  The child writes, the parent reads."""

    def __init__(self, descriptor: int) -> None:
        """Uses the memory of `descriptor`.  The caller still has to close the descriptor."""
        self._page = mmap.mmap(descriptor, _SIZE)

    @staticmethod
    def memory() -> int:
        """A descriptor of new memory.  The caller closes it."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("pulse")
        else:  # not on Linux
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.truncate(descriptor, _SIZE)
        return descriptor

    def beat(self, path: str) -> None:
        """Says that `path` is being read; empty: nothing."""
        beats, _ = _HEAD.unpack_from(self._page)
        name = path.encode("utf-8", "surrogatepass")[:_MOST]
        self._page[_HEAD.size : _HEAD.size + len(name)] = name
        _HEAD.pack_into(self._page, 0, beats + 1 & (1 << 64) - 1, len(name))

    @property
    def beats(self) -> int:
        """The number of beats so far."""
        return int(_HEAD.unpack_from(self._page)[0])

    @property
    def path(self) -> str:
        """The file that is being read; empty: none."""
        _, length = _HEAD.unpack_from(self._page)
        name = self._page[_HEAD.size : _HEAD.size + min(length, _MOST)]
        return name.decode("utf-8", "surrogatepass") if length <= _MOST else ""

    def close(self) -> None:
        """Frees the page."""
        self._page.close()
