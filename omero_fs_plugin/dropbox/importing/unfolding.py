"""The files of a store while it is imported, kept in little memory: a store may have very many."""

from __future__ import annotations

from collections.abc import Iterable

from omero_fs_plugin.dropbox.journal.many import ManyFiles
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.packed import Packed, Texts, in_order
from omero_fs_plugin.stores import MARKERS


class StoreFiles(Packed[Found]):
    """The files of one store, the metadata at its top first.

    A `Found` is made when one is asked for.
    """

    def __init__(self, store: str, found: Iterable[tuple[str, FileStat]]) -> None:
        """`found`: name relative to the store, and FileStat, in any order."""
        met = ManyFiles(Found(*one) for one in found)
        self._store = store
        at_top = {name: position for position, name in enumerate(met.paths) if name in MARKERS}
        first = [at_top[name] for name in MARKERS if name in at_top]
        self._files = ManyFiles(met[position] for position in first)
        for position in in_order(met.paths):
            if position not in first:
                self._files.append(met[position])

    def __len__(self) -> int:
        return len(self._files)

    @property
    def names(self) -> Texts:
        """Of all, relative to the store, in their order."""
        return self._files.paths

    def _at(self, position: int) -> Found:
        return Found(self._store + self.names[position], self._files.stat(position))
