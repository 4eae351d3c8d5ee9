"""DropBox's importers without their threads: a test takes each step itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.importing.methods import Methods, make_method
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.targets.sidecar import FILE
from omero_fs_plugin.errors import JournalError
from tests.rules import places_of

from .attempts import World, no_patience


class Site:
    """An importer's thread, which is this one, and a sidecar to obey."""

    def __init__(self, world: World, transfer: str, monkeypatch: pytest.MonkeyPatch) -> None:
        no_patience(monkeypatch)
        self.world = world
        places = places_of(world.root.parent, transfer=transfer, importer="native")
        methods = Methods(None)
        found = {rule: make_method(rule, None)[1] for rule in places.rules}
        methods.apply({rule: method for rule, method in found.items() if method is not None})
        self.removes = transfer.endswith("_rm")
        self.importers = Importers(
            world.journal,
            world.omero,
            places=places,
            number=1,
            held=lambda user: "",
            import_duplicates=lambda: False,
            quarantine=lambda fileset: pytest.fail("nothing has failed"),
            changed=lambda fileset: None,
            methods=methods,
        )
        (world.root / FILE).write_text('tags = ["fixed"]\n')
        self._seed = 0

    def drop(self, *, handed_over: bool) -> Path:
        self._seed += 1
        path = self.world.drop(f"{self._seed}.tif", seed=self._seed)
        (self.world.queue if handed_over else self.world.meet)(path)
        return path

    def look(self) -> str:
        """What an importer's thread does when it gets its turn.

        Returns why it had no journal; empty if it had.
        """
        importers = self.importers
        importers._blame._resting.clear()
        try:
            with importers._load.one_more():
                importers._finishing.finish_one()
                taken = importers._taking.take()
                if taken:
                    importers._runs.make(taken)
        except JournalError as error:
            importers._in_hand.adrift = True
            return str(error)
        return ""

    def row(self, path: Path) -> Fileset:
        return next(f for f in self.world.journal.select() if f.path == str(path))
