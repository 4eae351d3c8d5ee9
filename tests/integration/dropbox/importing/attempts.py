"""What tests of attempts share: a sandbox server, a journal, amy's directory, and a kill.

The kill is an exception that no handler of ours catches.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import omero.all
import pytest
import tifffile

import omero
from omero_fs_plugin.dropbox.importing import activity
from omero_fs_plugin.dropbox.importing.activity import Watch
from omero_fs_plugin.dropbox.importing.attempts import Attempt
from omero_fs_plugin.dropbox.importing.importers.native import (
    NativeImport,
    NativeImporter,
    NativeOptions,
)
from omero_fs_plugin.dropbox.importing.importers.protocol import Importer, Task
from omero_fs_plugin.dropbox.importing.leftovers import give_back_cut_off
from omero_fs_plugin.dropbox.importing.recovery import Recovery
from omero_fs_plugin.dropbox.importing.store_importer import StoreImporter
from omero_fs_plugin.dropbox.importing.together import run_together
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from tests.integration.blitz import Serving, client_communicator, enter
from tests.rules import places_of


def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What OMERO was not seen to go on with counts as ended at once."""
    for name in ("START_S", "FILE_S", "LATE_S", "WATCH_S"):
        monkeypatch.setattr(activity, name, 0.0)
    for name in ("BYTES_PER_S", "LATE_BYTES_PER_S"):
        monkeypatch.setattr(activity, name, 10**12)


PATIENCE_S = 30.0


def until(look: Callable[[], object]) -> None:
    """Waits for what happens in the threads of the sandbox."""
    end = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def make(attempt: Attempt, importer: Importer | None = None) -> State:
    """Makes one attempt, by the native importer if none is given.  Returns the state it ends in."""
    options = NativeOptions(path_rules=attempt.omero.path_rules)
    native = NativeImporter(attempt.session, options)
    importer = importer or StoreImporter(native, attempt.session)
    ((_, state),) = run_together([attempt], importer)
    return state


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may handle it."""


class World:
    """A sandbox, a journal, and amy's directory."""

    def __init__(self, tmp_path: Path, seeded: Path) -> None:
        data = tmp_path / "OMERO"
        data.mkdir()
        shutil.copy(seeded, data)
        self.serving = Serving(data)
        self.sandbox = self.serving.sandbox
        self._ice = client_communicator()
        self.omero = enter(self.serving, self._ice)
        self.root = tmp_path / "DropBox" / "amy"
        self.root.mkdir(parents=True)
        self.journal = Journal(f"sqlite:///{tmp_path}/journal.sqlite")
        self.stopping = threading.Event()
        self.watch = Watch()

    def close(self) -> None:
        self.journal.close()
        self._ice.destroy()
        self.serving.stop()

    def drop(self, name: str, seed: int = 0) -> Path:
        path = self.root / name
        pixels = numpy.random.default_rng(seed).integers(0, 255, (2, 16, 16), dtype="uint8")
        tifffile.imwrite(path, pixels)
        return path

    def queue(self, path: Path) -> None:
        self.journal.hand_over("amy", str(self.root), Found(str(path), FileStat.of(path.lstat())))

    def attempt(
        self, *, import_duplicates: bool = False, importer: Importer | None = None
    ) -> State:
        """Takes what is queued and tries to import it, as an importer does."""
        fileset = self.journal.take("amy")
        assert fileset is not None
        attempt = Attempt(
            self.journal,
            self.omero,
            self.omero.session_for(self.omero.user("amy")),
            fileset,
            stopping=self.stopping.is_set,
            watch=self.watch,
            import_duplicates=import_duplicates,
        )
        return make(attempt, importer)

    def restart(self) -> None:
        """What DropBox does at start with attempts that were interrupted."""
        for fileset in self.journal.importing():
            give_back_cut_off(self.journal, fileset.id, "interrupted; OMERO will be asked")

    def recover(self) -> None:
        """What an importer does before the first import of a user."""
        Recovery(self.journal, self.omero, places_of(self.root.parent)).of("amy")

    def meet(self, path: Path) -> None:
        """The file has settled."""
        self.journal.wait("amy", str(self.root), [Found(str(path), FileStat.of(path.lstat()))])
        row = next(f for f in self.journal.select(State.WAITING) if f.path == str(path))
        self.journal.settled({row.id: row.files[0].stat})

    def row(self, path: Path) -> Fileset:
        return next(f for f in self.journal.select() if f.path == str(path))

    def in_omero(self, path: Path) -> list[tuple[int, ...]]:
        """The images of each fileset OMERO has for amy's `path`."""
        found = self.omero.filesets(self.omero.user("amy"), str(path)[1:])
        return [fileset.images for fileset in found]


@pytest.fixture
def world(tmp_path: Path, seeded_once: Path) -> Iterator[World]:
    world = World(tmp_path, seeded_once)
    yield world
    world.close()


def begin_by_another_client(world: World, path: Path) -> None:
    """amy begins to import the file by herself, and never ends."""
    session = world.omero.session_for(world.omero.user("amy"))
    row = Fileset(
        0, "amy", str(world.root), str(path), State.IMPORTING, "", "", 1, 0, False, None, (), 0, 0,
        (Found(str(path), FileStat.of(path.lstat())),), (None,),
    )  # fmt: skip
    importer = NativeImport(session, Task(row, lambda s: None), stopping=lambda: False)
    description = importer._description()
    (link,) = description.copyJobLinks()
    link.child.versionInfo = [omero.model.NamedValue("client", "OMERO.insight 5.8.6")]
    repository = session.managed_repository()
    repository.importFileset(description, importer._settings(repository))
