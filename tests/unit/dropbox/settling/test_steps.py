"""However many files an answer is about: the lock of the pipeline is free between few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.fair import FairLock
from tests.parts import in_parts_of

from .test_assembly import AMY, Stage, stage

__all__ = ["stage"]  # a fixture

PART = 5
FILES = 8 * PART + 3
NAMES = [f"{number:03}.tif" for number in range(FILES)]
MISSING = (f"{AMY}/missing",)


@pytest.fixture(autouse=True)
def small_parts() -> Iterator[None]:
    with in_parts_of(PART):
        yield


class Watched(FairLock):
    """Counts what the journal is told of filesets while somebody has it."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self.most = self.times = 0
        self.between: Callable[[int], Any] = lambda times: None

    def acquire(self, timeout: float = -1) -> bool:
        got = super().acquire(timeout)
        self._since = self._last()
        return got

    def release(self) -> None:
        self.most = max(self.most, len(self._journal.events_after(self._since, 10_000)))
        self.times += 1
        super().release()
        self.between(self.times)

    def _last(self) -> int:
        events = self._journal.events_after(0, 100_000)
        return events[-1].id if events else 0


def met(stage: Stage) -> Any:
    stage.drop(*NAMES)
    return stage.lot()


def watch(stage: Stage) -> Watched:
    lock = Watched(stage.journal)
    stage.pipeline.files.lock = lock
    return lock


ALL = tuple(f"{AMY}/{name}" for name in NAMES)
ANSWERS = {
    "each by itself": Grouping(tuple(Candidate((path,)) for path in ALL)),
    "pairs": Grouping(tuple(Candidate(ALL[n : n + 2]) for n in range(0, FILES - 1, 2))),
    "one set that lacks a file": Grouping((Candidate(ALL, missing=MISSING),)),
    "refused": Grouping((Candidate(ALL, refused="no"),)),
    "one set": Grouping((Candidate(ALL),)),
    "unreadable": Grouping((), dict.fromkeys(ALL, "no reader takes it")),
    "nothing": Grouping(()),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_few_files_are_told_of_at_once(stage: Stage, answer: Grouping) -> None:
    lot = met(stage)
    lock = watch(stage)
    stage.pipeline.grouped(lot, answer, stage.now, 0.0)
    # One event that each file gets, one of the set that it goes into.
    assert lock.most <= 2 * PART
    assert lock.times > 2
    assert stage.next_lot() is None


def test_so_it_is_if_there_was_no_answer(stage: Stage) -> None:
    lot = met(stage)
    lock = watch(stage)
    stage.pipeline.not_grouped(lot, "waits", stage.now, 10.0)
    assert lock.most <= 2 * PART
    assert lock.times > FILES // PART


def test_so_it_is_if_a_set_is_given_up(stage: Stage) -> None:
    stage.pipeline.grouped(met(stage), ANSWERS["one set that lacks a file"], stage.now, 0.0)
    lock = watch(stage)
    stage.pipeline.expire(20.0, 10.0)
    assert lock.most <= 2 * PART
    (failed,) = stage.pipeline.take_failed()
    assert [met.path for met in failed.files] == list(ALL)
    assert len(stage.pipeline.lots) == 0


@pytest.mark.parametrize("number", range(1, 14))
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_one_that_changes_meanwhile_is_asked_about_again(
    stage: Stage, answer: Grouping, number: int
) -> None:
    lot = met(stage)
    lock = watch(stage)
    changed = ALL[-1]

    def change(times: int) -> None:
        if times == number:
            stage.disk.write(changed, 999)
            stage.pipeline.heard([changed], stage.now)

    lock.between = change
    stage.pipeline.grouped(lot, answer, stage.now, 0.0)
    lock.between = lambda times: None
    if lock.times < number:
        return
    # Either it was told of before it changed, or it rests anew, in one fileset of its own.  If its
    # set was queued before it changed, the importer finds that out.
    stage.pipeline.step(stage.now + 10_000.0)
    having = {
        state: [
            one for one in stage.journal.select(state) if changed in [met.path for met in one.files]
        ]
        for state in (State.WAITING, State.QUEUED)
    }
    assert all(len(filesets) <= 1 for filesets in having.values())
    assert any(having.values())
    if having[State.WAITING]:
        assert stage.pipeline.lots.stat_of(changed) == stage.disk.stat(changed)


@pytest.mark.parametrize("number", range(1, 6))
def test_one_that_changes_while_its_set_is_given_up_is_not_lost(stage: Stage, number: int) -> None:
    stage.pipeline.grouped(met(stage), ANSWERS["one set that lacks a file"], stage.now, 0.0)
    lock = watch(stage)

    def change(times: int) -> None:
        if times == number:
            stage.disk.write(ALL[-1], 999)
            stage.pipeline.heard([ALL[-1]], stage.now)

    lock.between = change
    stage.pipeline.expire(20.0, 10.0)
    lock.between = lambda times: None
    stage.pipeline.step(stage.now + 10_000.0)
    if stage.disk.stat(ALL[-1]).size == 999:
        waits = [one for one in stage.journal.select(State.WAITING) if one.path == ALL[-1]]
        assert len(waits) == 1
        assert stage.pipeline.lots.stat_of(ALL[-1]) == stage.disk.stat(ALL[-1])
