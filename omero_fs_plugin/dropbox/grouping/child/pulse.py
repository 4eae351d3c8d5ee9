"""What a child is reading at the moment, for a parent that finds it dead or silent.

One page of memory that both have.  To write it costs no system call, and nobody is woken.
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
        """Of the memory behind `descriptor`, which stays the caller's."""
        self._page = mmap.mmap(descriptor, _SIZE)

    @staticmethod
    def memory() -> int:
        """A descriptor of new memory, to be closed by the caller."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("pulse")
        else:  # not on Linux
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.truncate(descriptor, _SIZE)
        return descriptor

    def beat(self, path: str) -> None:
        """`path` is being read; empty: nothing."""
        beats, _ = _HEAD.unpack_from(self._page)
        name = path.encode("utf-8", "surrogatepass")[:_MOST]
        self._page[_HEAD.size : _HEAD.size + len(name)] = name
        _HEAD.pack_into(self._page, 0, beats + 1 & (1 << 64) - 1, len(name))

    @property
    def beats(self) -> int:
        """How often it has beaten."""
        return int(_HEAD.unpack_from(self._page)[0])

    @property
    def path(self) -> str:
        """What is being read; empty: nothing."""
        _, length = _HEAD.unpack_from(self._page)
        name = self._page[_HEAD.size : _HEAD.size + min(length, _MOST)]
        return name.decode("utf-8", "surrogatepass") if length <= _MOST else ""

    def close(self) -> None:
        """Lets go of it."""
        self._page.close()
