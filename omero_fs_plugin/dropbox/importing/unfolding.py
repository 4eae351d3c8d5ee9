"""The files of a store while it is imported, kept in little memory: a store may have very many."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import place_of


class StoreFiles(Sequence[Found]):
    """The files of one store, the metadata at its top first.

    Each needs 48 bytes and its name.  A `Found` is made when one is asked for.
    """

    def __init__(self, store: str, found: Iterable[tuple[str, FileStat]]) -> None:
        """`found`: name relative to the store, and FileStat, in any order."""
        names: list[str] = []
        unsigned, signed = array("Q"), array("q")
        for name, stat in found:
            names.append(name)
            unsigned.extend((stat.device, stat.inode))
            signed.extend((stat.size, stat.mtime_ns, stat.ctime_ns))
        self._store = store
        self._unsigned, self._signed = array("Q"), array("q")
        self._ends = array("Q")
        text = bytearray()
        for position in sorted(range(len(names)), key=lambda one: place_of(names[one])):
            self._unsigned.extend(unsigned[2 * position : 2 * position + 2])
            self._signed.extend(signed[3 * position : 3 * position + 3])
            text += os.fsencode(names[position])
            self._ends.append(len(text))
        self._text = bytes(text)

    def __len__(self) -> int:
        return len(self._ends)

    def name(self, position: int) -> str:
        """Relative to the store.  Raises IndexError."""
        begin = self._ends[position - 1] if position else 0
        return os.fsdecode(self._text[begin : self._ends[position]])

    def names(self) -> Iterator[str]:
        """Of all, in their order."""
        return map(self.name, range(len(self)))

    @overload
    def __getitem__(self, position: int) -> Found: ...

    @overload
    def __getitem__(self, position: slice) -> Sequence[Found]: ...

    def __getitem__(self, position: int | slice) -> Found | Sequence[Found]:
        if isinstance(position, slice):
            return [self[one] for one in range(*position.indices(len(self)))]
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(position)
        device, inode = self._unsigned[2 * position : 2 * position + 2]
        size, mtime_ns, ctime_ns = self._signed[3 * position : 3 * position + 3]
        stat = FileStat(device, inode, size, mtime_ns, ctime_ns)
        return Found(self._store + self.name(position), stat)
