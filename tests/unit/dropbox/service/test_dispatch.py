"""What is heard and due goes to the lane of its root, and nobody waits for another's disk."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.disks.calls import HUNG_S, LOST_S, Calls, RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.importing.crew import Crew
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.service import dispatch as dispatch_module
from omero_fs_plugin.dropbox.service.dispatch import Dispatch
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.events import FileStat
from tests.clocks import Ahead
from tests.rules import places_of


class Stage:
    """A pipeline over a disk that may hang, and its dispatch."""

    def __init__(self, top: Path) -> None:
        self.clock = Ahead()
        self.calls = Calls(self.clock)
        self.lanes = Lanes(calls=self.calls)
        self.journal = Journal(f"sqlite:///{top}/journal.sqlite")
        self.hangs: set[str] = set()
        self.hanging = threading.Event()
        self.go = threading.Event()
        self.back: list[str] = []
        self.missed: list[str] = []
        self.failed: list[str] = []
        self.rested = threading.Event()
        self.reading: list[tuple[str, str]] = []
        self.pipeline = Pipeline(
            self.journal,
            places_of("/dropbox", dirImportWait="0.05"),
            Settler(0.05),
            Outside(self._stat, lambda user: True, answers=self.calls.answers),
        )
        self.dispatch = Dispatch(
            self.pipeline,
            self.lanes,
            batch=lambda: 10,
            rested=self.rested.set,
            failed=self.failed.append,
            back=self.back.append,
            missed=self.missed.append,
            reading=lambda: self.reading,
        )

    def _stat(self, path: str) -> FileStat | None:
        root = "/".join(path.split("/")[:3])
        with self.calls.at(root):
            if root in self.hangs:
                self.hanging.set()
                assert self.go.wait(20)
        return FileStat(1, hash(path) % 10**6, 1, 1)

    def at_rest(self) -> set[str]:
        with self.pipeline.files.lock:
            return {path for path in ("/dropbox/amy/a", "/dropbox/zak/z") if path in self._lots}

    @property
    def _lots(self) -> object:
        return self.pipeline.lots


class Waits(queue.Queue[Sequence[str]]):
    """Notes how long somebody would wait for what is heard, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []  # s

    def get(self, block: bool = True, timeout: float | None = None) -> Sequence[str]:
        if timeout is not None:
            self.waited.append(timeout)
        return super().get(block=False)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    stage.dispatch.start()
    yield stage
    stage.go.set()
    assert stage.dispatch.stop(time.monotonic() + 20)
    assert stage.lanes.stop(time.monotonic() + 20)
    stage.journal.close()


def test_what_is_heard_comes_to_rest(stage: Stage) -> None:
    stage.dispatch.heard(["/dropbox/amy/a", "/dropbox/zak/z"])
    until(lambda: stage.at_rest() == {"/dropbox/amy/a", "/dropbox/zak/z"})
    assert stage.rested.is_set()
    assert {one.user for one in stage.journal.select(State.WAITING)} == {"amy", "zak"}


def test_one_disk_that_hangs_holds_up_its_own_files(stage: Stage) -> None:
    stage.hangs.add("/dropbox/zak")
    stage.dispatch.heard(["/dropbox/zak/z"])
    assert stage.hanging.wait(20)
    stage.dispatch.heard(["/dropbox/amy/a"])
    until(lambda: stage.at_rest() == {"/dropbox/amy/a"})
    stage.clock.ahead += HUNG_S
    until(lambda: "/dropbox/zak" in stage.calls.were_away())
    assert stage.back == []
    stage.go.set()
    until(lambda: stage.back == ["/dropbox/zak"])
    until(lambda: stage.at_rest() == {"/dropbox/amy/a", "/dropbox/zak/z"})


def test_more_than_can_be_kept_is_looked_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch_module, "_KEPT_MOST", 3)
    stage.hangs.add("/dropbox/zak")
    stage.dispatch.heard(["/dropbox/zak/z"])
    assert stage.hanging.wait(20)
    for number in range(5):
        stage.dispatch.heard([f"/dropbox/zak/{number}"])
    until(lambda: stage.missed != [])
    assert "/dropbox/zak" in stage.pipeline.files.unsure


def test_what_goes_wrong_in_a_lane_is_told_and_the_next_is_taken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stage.journal.wait

    def full(*_: object) -> None:
        raise JournalError("the disk is full")

    monkeypatch.setattr(stage.journal, "wait", full)
    stage.dispatch.heard(["/dropbox/amy/a"])
    until(lambda: stage.failed == ["the disk is full"])
    monkeypatch.setattr(stage.journal, "wait", real)
    stage.dispatch.heard(["/dropbox/amy/a"])
    until(lambda: stage.at_rest() == {"/dropbox/amy/a"})


class TestNothingHappens:
    """Then the thread sleeps until it looks at the roots again, and whatever begins wakes it."""

    @pytest.fixture
    def asleep(self, tmp_path: Path) -> Iterator[tuple[Stage, Waits]]:
        stage, waits = Stage(tmp_path), Waits()
        stage.dispatch._events = waits
        stage.pipeline.settler.begun = stage.dispatch._wake  # as `start` does
        stage.dispatch._looked = time.monotonic()
        yield stage, waits
        assert stage.lanes.stop(time.monotonic() + 20)
        stage.journal.close()

    def test_it_sleeps(self, asleep: tuple[Stage, Waits]) -> None:
        stage, waits = asleep
        assert stage.dispatch._next_events() == []
        assert 20 < waits.waited[0] <= dispatch_module._LOOK_S
        assert waits.empty()

    def test_the_next_look_at_the_roots_is_not_late(self, asleep: tuple[Stage, Waits]) -> None:
        stage, waits = asleep
        stage.dispatch._looked -= dispatch_module._LOOK_S - 5
        stage.dispatch._next_events()
        assert waits.waited[0] <= 5

    def test_a_call_wakes_it_once(self, asleep: tuple[Stage, Waits]) -> None:
        stage, waits = asleep
        stage.dispatch._next_events()
        for _ in range(3):
            with stage.calls.at("/dropbox/amy"):
                pass
        assert waits.qsize() == 1

    def test_an_import_wakes_it(self, asleep: tuple[Stage, Waits]) -> None:
        stage, waits = asleep
        crew = Crew(1, lambda: None, calls=stage.calls)
        stat = FileStat(1, 7, 1, 1, 1)
        stage.journal.hand_over("amy", "/dropbox/amy", Found("/dropbox/amy/a", stat))
        fileset = stage.journal.take("amy")
        assert fileset is not None
        stage.dispatch._next_events()
        with crew.at([fileset]):
            assert waits.qsize() == 1

    def test_a_file_that_a_rescan_meets_wakes_it(self, asleep: tuple[Stage, Waits]) -> None:
        stage, waits = asleep
        stage.dispatch._next_events()
        for name in "ab":
            stage.pipeline.settler.stir(f"/dropbox/amy/{name}", FileStat(1, 7, 1, 1, 1), 0.0)
        assert waits.qsize() == 1

    def test_it_is_awake_while_something_is_under_way(self, asleep: tuple[Stage, Waits]) -> None:
        stage, waits = asleep
        with stage.calls.at("/dropbox/amy"):
            stage.dispatch._next_events()
        stage.reading.append(("/dropbox/amy", "/dropbox/amy/a"))
        stage.dispatch._next_events()
        stage.reading.clear()
        stage.lanes.trouble = "too few threads"
        stage.dispatch._next_events()
        stage.lanes.trouble = ""
        stage.dispatch._stepping.add("/dropbox/amy")
        stage.dispatch._next_events()
        stage.dispatch._stepping.clear()
        assert waits.waited == [dispatch_module._IDLE_S] * 4

    def test_it_is_awake_until_it_has_told_of_a_disk_that_answers_again(
        self, asleep: tuple[Stage, Waits]
    ) -> None:
        stage, waits = asleep
        with stage.calls.at("/dropbox/amy"):
            stage.clock.ahead += HUNG_S
            assert "/dropbox/amy" in stage.calls.away()
        stage.dispatch._next_events()
        assert waits.waited == [dispatch_module._IDLE_S]
        stage.dispatch._look_at_disks()
        assert stage.back == ["/dropbox/amy"]
        waits.waited.clear()
        until(lambda: stage.calls.tell_of_next(lambda: None))  # its own looks have ended
        stage.dispatch._next_events()
        assert waits.waited[0] > dispatch_module._IDLE_S

    def test_it_is_awake_while_a_call_is_lost(self, asleep: tuple[Stage, Waits]) -> None:
        stage, waits = asleep
        lost = stage.calls.at("/dropbox/amy")
        lost.__enter__()
        stage.clock.ahead += LOST_S
        assert stage.calls.give_up("/dropbox/amy", stage.clock())
        stage.dispatch._look_at_disks()
        stage.dispatch._next_events()
        assert waits.waited == [dispatch_module._IDLE_S]
        with pytest.raises(RootAway):
            lost.__exit__(None, None, None)
