"""What is heard and due goes to the lane of its root, and nobody waits for another's disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.disks.calls import HUNG_S, Calls
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.journal.journal import Journal
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
