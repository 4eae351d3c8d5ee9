"""Pure: the files of one fileset in little memory: a store or a plate has very many."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from omero_fs_plugin.events import FileStat
from omero_fs_plugin.packed import FEW, Packed, Sha1s, Texts

from .records import Found, met_of


class ManyFiles(Packed[Found]):
    """The files in their order.  Each needs 52 bytes, and what its path has of its own."""

    def __init__(self, found: Iterable[Found] = ()) -> None:
        self._paths = Texts()
        self._unsigned, self._signed = array("Q"), array("q")
        for met in found:
            self.append(met)

    def append(self, met: Found) -> None:
        """Adds one."""
        stat = met.stat
        self._paths.append(met.path)
        self._unsigned.extend((stat.device, stat.inode))
        self._signed.extend((stat.size, stat.mtime_ns, stat.ctime_ns))

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def paths(self) -> Texts:
        """Of all."""
        return self._paths

    def stat(self, position: int) -> FileStat:
        """Of one that is there."""
        device, inode = self._unsigned[2 * position : 2 * position + 2]
        size, mtime_ns, ctime_ns = self._signed[3 * position : 3 * position + 3]
        return FileStat(device, inode, size, mtime_ns, ctime_ns)

    def __iter__(self) -> Iterator[Found]:
        return map(Found, self._paths, map(self.stat, range(len(self))))

    def _at(self, position: int) -> Found:
        return Found(self._paths[position], self.stat(position))


class FilesOfOne:
    """The files of one fileset as their rows come, in order: packed as soon as they are many."""

    def __init__(self) -> None:
        self._few: list[Any] = []
        self._many = ManyFiles()
        self._sha1s = Sha1s()

    def append(self, row: Any) -> None:
        """Adds one."""
        self._few.append(row)
        if len(self._few) > FEW:
            self._pack()

    def all(self) -> tuple[Sequence[Found], Sequence[str | None]]:
        """The files, and the SHA1 of each as far as it is known."""
        if not len(self._many):
            return tuple(map(met_of, self._few)), tuple(row.sha1 for row in self._few)
        self._pack()
        return self._many, self._sha1s

    def _pack(self) -> None:
        for row in self._few:
            self._many.append(met_of(row))
            self._sha1s.append(row.sha1)
        self._few.clear()
