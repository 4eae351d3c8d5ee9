"""What tests of stores share: a world for them, and what is known of one store."""

from __future__ import annotations

from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.stores import in_order
from tests.stores import Store

from .attempts import World


class Stored(World):
    """A world for stores."""

    reader = "r"  # that the queue has for them

    def queue_store(self, store: Store) -> None:
        stat = tree_stat(str(self.root), str(store.path))
        assert stat is not None
        found = Found(str(store.path), stat)
        self.journal.hand_over("amy", str(self.root), found, reader=self.reader)

    def row_of(self, store: Store) -> Fileset:
        rows = [row for row in self.journal.select() if row.path == str(store.path)]
        return max(rows, key=lambda row: row.id)

    def images_of(self, store: Store) -> list[tuple[int, ...]]:
        return self.in_omero(store.top / in_order(store.files)[0])
