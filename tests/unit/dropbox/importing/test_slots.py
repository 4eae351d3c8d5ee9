"""Whose turn it is to have OMERO import."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from omero_fs_plugin.dropbox.importing import slots as slots_module
from omero_fs_plugin.dropbox.importing.importers import Stopped
from omero_fs_plugin.dropbox.importing.pace import Pace
from omero_fs_plugin.dropbox.importing.slots import Slots, ahead_of

PATIENCE_S = 10.0


def _never() -> bool:
    return False


class Importer(threading.Thread):
    """A thread that takes a slot, and has it until `leave`."""

    def __init__(self, slots: Slots, stopping: Callable[[], bool] = _never) -> None:
        super().__init__(daemon=True)
        self._slots, self._stopping = slots, stopping
        self.has, self.leave = threading.Event(), threading.Event()
        self.stopped = False

    def run(self) -> None:
        try:
            with self._slots.slot(self._stopping) as slot:
                slot.take()
                slot.take()  # it has it
                self.has.set()
                assert self.leave.wait(PATIENCE_S)
        except Stopped:
            self.stopped = True


@contextmanager
def _waiting(slots: Slots, number: int) -> Iterator[list[Importer]]:
    """So many, of which each was seen to wait, or to have a slot, before the next came."""
    found: list[Importer] = []
    for count in range(1, number + 1):
        found.append(Importer(slots))
        found[-1].start()
        for _ in range(10_000):
            if slots._held and len(slots._held) + len(slots._waiting) >= count:
                break
            threading.Event().wait(0.001)
    try:
        yield found
    finally:
        for one in found:
            one.leave.set()
        for one in found:
            one.join(PATIENCE_S)
            assert not one.is_alive()


def test_no_more_than_there_are_slots_and_in_their_order() -> None:
    slots = Slots(lambda: 1)
    with _waiting(slots, 4) as importers:
        for number, one in enumerate(importers):
            assert one.has.wait(PATIENCE_S)
            assert not any(later.has.is_set() for later in importers[number + 1 :])
            one.leave.set()
    assert not slots._held and not slots._waiting


def test_who_is_parked_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "LOOK_S", 0.01)
    parked: set[int] = set()
    with _waiting(Slots(lambda: 1, lambda: parked), 2) as (first, second):
        assert first.has.wait(PATIENCE_S)
        assert not second.has.is_set()
        parked.add(first.ident or 0)
        assert second.has.wait(PATIENCE_S)


def test_a_stop_ends_the_wait() -> None:
    slots, stopping = Slots(lambda: 1), threading.Event()
    with _waiting(slots, 1) as (first,):
        assert first.has.wait(PATIENCE_S)
        other = Importer(slots, stopping.is_set)
        other.start()
        stopping.set()
        slots.stir()
        other.join(PATIENCE_S)
        assert other.stopped
    assert not slots._waiting


def test_a_slot_that_was_not_taken_is_not_given() -> None:
    slots = Slots(lambda: 1)
    with slots.slot(_never):
        pass
    with slots.slot(_never) as slot:
        slot.take()
        slot.give()
        slot.give()
    assert not slots._held


@pytest.mark.parametrize(("number", "ahead"), [(1, 1), (2, 1), (3, 2), (4, 2), (8, 4)])
def test_half_as_many_are_on_their_way(number: int, ahead: int) -> None:
    assert ahead_of(number) == ahead


def test_nobody_uploads_ahead_while_omero_is_busy() -> None:
    pace = Pace(4, ahead=2)
    assert pace.may_begin(5, 0.0) and not pace.may_begin(6, 0.0)
    pace.busy("too much", 0.0)
    later = 100.0
    assert pace.may_begin(1, later) and not pace.may_begin(2, later)
