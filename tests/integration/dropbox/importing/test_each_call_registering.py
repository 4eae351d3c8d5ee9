"""As test_each_call, for stores that are registered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.config.readers import PIXEL_BUFFER
from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from tests.stores import image

from .attempts import World, world
from .test_each_call import KINDS, Imports, calls_of_one, wrong_after

__all__ = ["world"]

SAVES = "IUpdate.saveAndReturnIds"  # the mark, and then the images


class Registrations(Imports):
    """Registers one store after the other."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(world, monkeypatch)
        self._numbers = itertools.count(1)
        monkeypatch.setattr(self._site, "drop", self._drop)

    def _drop(self, *, handed_over: bool) -> Path:
        number = next(self._numbers)
        root, journal = self._world.root, self._world.journal
        store = image(root / f"{number}.zarr", 2 + number % 2, seed=number)
        store.write()
        stat = tree_stat(str(root), str(store.path))
        assert stat is not None
        journal.wait("amy", str(root), [Found(str(store.path), stat)])
        (row,) = (f for f in journal.select(State.WAITING) if f.path == str(store.path))
        journal.settled({row.id: stat}, {row.id: PIXEL_BUFFER})
        return store.path


@pytest.fixture
def registrations(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registrations]:
    yield Registrations(world, monkeypatch)


def test_a_fault_in_each_step_fails_no_store_and_registers_none_twice(
    registrations: Registrations,
) -> None:
    calls = [call for call in calls_of_one(registrations) if call.name == SAVES]
    assert len(calls) >= 4, "the mark and the images, each before and after"
    faults = [(call, kind) for call in calls for kind in KINDS]
    assert not wrong_after(registrations, *faults)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=[name for name, _ in KINDS])
def test_a_fault_in_each_call_fails_no_store_and_registers_none_twice(
    registrations: Registrations, kind: tuple[str, str]
) -> None:
    assert not wrong_after(registrations, *((call, kind) for call in calls_of_one(registrations)))
