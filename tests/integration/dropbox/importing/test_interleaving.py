"""Two equal files and two importers: one image, whoever is faster at whatever step."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State

from .attempts import World, no_patience, world

__all__ = ["world"]  # a fixture

_LONG_S = 60.0  # nothing here takes so long; a test that hangs ends

STEPS: dict[str, type] = {
    "has_twin": Journal,
    "_upload": NativeImport,
    "note_verified": Journal,
    "_await": NativeImport,
    "imported": Journal,
}


@dataclass
class Importer:
    """One thread that imports one file, and halts before a step until it is told to go on."""

    world: World
    halts_at: str
    halted: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    failed: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.world.attempt()
        except BaseException as error:
            self.failed.append(error)
        finally:
            self.halted.set()

    def until_its_halt(self) -> None:
        self.thread.start()
        assert self.halted.wait(_LONG_S)

    def to_its_end(self) -> None:
        self.go.set()
        self.thread.join(_LONG_S)
        assert not self.thread.is_alive()
        if self.failed:
            raise self.failed[0]


@pytest.fixture
def importers(monkeypatch: pytest.MonkeyPatch, world: World) -> Iterator[list[Importer]]:
    no_patience(monkeypatch)
    made: list[Importer] = []

    def halting(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def step(*args: Any, **options: Any) -> Any:
            for one in made:
                if one.thread is threading.current_thread() and one.halts_at == name:
                    one.halted.set()
                    assert one.go.wait(_LONG_S)
            return real(*args, **options)

        monkeypatch.setattr(owner, name, step)

    for name, owner in STEPS.items():
        halting(owner, name)
    yield made
    for one in made:
        one.go.set()
        if one.thread.is_alive():
            one.thread.join(_LONG_S)


def queue_equal_files(world: World) -> None:
    """As one `mv` drops them."""
    path = world.drop("a.tif")
    other = world.root / "b.tif"
    shutil.copy(path, other)
    for one in (path, other):
        world.queue(one)


def images(world: World) -> list[tuple[int, ...]]:
    found = [world.in_omero(world.root / name) for name in ("a.tif", "b.tif")]
    return [there for of_one in found for there in of_one]


@pytest.mark.parametrize("second", STEPS)
@pytest.mark.parametrize("first", STEPS)
def test_equal_files_are_one_image(
    world: World, importers: list[Importer], first: str, second: str
) -> None:
    queue_equal_files(world)
    importers += [Importer(world, first), Importer(world, second)]
    for one in importers:
        one.until_its_halt()
    for one in importers:
        one.to_its_end()
    while world.journal.queued_users():  # what was given back is tried again
        world.attempt()
    assert len(images(world)) == 1
    states = sorted(str(fileset.state) for fileset in world.journal.select())
    assert states == [State.IMPORTED, State.SKIPPED]


def test_copies_that_are_wanted_are_both_imported(world: World) -> None:
    queue_equal_files(world)
    assert world.attempt(import_duplicates=True) is State.IMPORTED
    assert world.attempt(import_duplicates=True) is State.IMPORTED
    assert len(images(world)) == 2
