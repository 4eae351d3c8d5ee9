"""When the trees of stores that do not wait are looked at: soon after a change, and not all day."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.settling import looks
from omero_fs_plugin.dropbox.settling.looks import Looks
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat

WALL = 1_700_000_000.0  # s since the epoch, when a test begins


class Stage:
    """Looks over a pipeline of which each part notes what it is asked."""

    def __init__(self, stores: Sequence[str]) -> None:
        self.now = 100.0
        self.stores = list(stores)
        self.waiting: list[str] = []
        self.changed: dict[str, float] = {}  # store -> s since the epoch
        self.looked: list[tuple[float, str]] = []
        self.scanned: list[str] = []
        self.heard: list[str] = []
        self.rested: dict[str, FileStat] = {}  # those that wait, as they were at rest
        self.takes = 0.0  # s that a look at one store takes
        self.fails: dict[str, Exception] = {}
        self.busy: float = 0.0
        self.asked = 0
        self.around: dict[str, str] = {}  # store -> the one that it is a part of
        outside = SimpleNamespace(stat=self._stat)
        places = SimpleNamespace(place=lambda path: SimpleNamespace(root=path.split("/s")[0]))
        journal = SimpleNamespace(stores=self._stores)
        pipeline: Any = SimpleNamespace(
            outside=outside,
            files=SimpleNamespace(places=places, journal=journal, lock=_Lock()),
            lots=SimpleNamespace(
                stores=lambda: [(path.split("/s")[0], path) for path in self.waiting]
            ),
            stores=SimpleNamespace(around=lambda path: self.around.get(path, "")),
            stat_of=self.rested.get,
            scanned=lambda found, now: self.scanned.extend(met.path for met in found),
            heard=lambda paths, now: self.heard.extend(paths),
        )
        lanes: Any = SimpleNamespace(do=self._do)
        self.looks = Looks(pipeline, lanes, lambda: self.now, lambda: self.now + WALL)

    def _stores(self) -> list[str]:
        self.asked += 1
        return self.stores

    def _do(self, root: str, job: Callable[[], None], **options: object) -> None:
        job()

    def _stat(self, path: str) -> FileStat:
        self.looked.append((self.now, path))
        self.now += self.takes
        self.busy += self.takes
        if path in self.fails:
            raise self.fails[path]
        return FileStat(1, 2, 3, 4, int(self.changed.get(path, 0) * 10**9))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.looks.look()
            self.now += 0.5

    def times(self, path: str) -> list[float]:
        return [at for at, looked in self.looked if looked == path]


class _Lock:
    def __enter__(self) -> None:
        """Nobody else is there."""

    def __exit__(self, *error: object) -> None:
        """Nobody else is there."""


A, B = "/in/amy/s/a.zarr/", "/in/amy/s/b.zarr/"


def test_one_that_changed_lately_is_looked_at_within_a_minute() -> None:
    stage = Stage([A])
    stage.changed[A] = WALL + 100
    stage.run(300)
    times = stage.times(A)
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert gaps and max(gaps) <= looks._SOONEST_S + looks._LOOK_S
    assert set(stage.scanned) == {A}


def test_one_that_has_long_rested_is_looked_at_every_ten_minutes() -> None:
    stage = Stage([A])
    stage.run(3600)
    assert 5 <= len(stage.times(A)) <= 7


def test_one_that_waits_is_left_to_the_looks_at_those_that_wait() -> None:
    stage = Stage([A, B])
    stage.waiting = [A]
    stage.run(20)
    assert set(stage.scanned) == {B}


def test_many_large_ones_take_a_twentieth_of_the_time_and_each_has_its_turn() -> None:
    stage = Stage([f"/in/amy/s/{number}.zarr/" for number in range(50)])
    stage.takes = 0.9
    stage.run(5000)
    assert stage.busy <= 5000 / looks._PART * 1.1
    assert {path for _, path in stage.looked} == set(stage.stores)


def test_one_that_cannot_be_looked_at_holds_up_no_other() -> None:
    stage = Stage([A, B])
    stage.fails = {A: OSError(5, "no")}
    stage.run(120)
    assert B in stage.scanned and A not in stage.scanned
    assert len(stage.times(A)) == 1


@pytest.mark.parametrize("why", [PermissionError(13, "no"), ImportRefused("too deep")], ids=repr)
def test_one_that_waits_and_cannot_be_looked_at_holds_up_no_other(why: Exception) -> None:
    """Nobody else sees what comes below the top of the others: FSServer watches no more of them."""
    stage = Stage([])
    stage.waiting = [A, B]
    stage.rested.update(dict.fromkeys(stage.waiting, FileStat(1, 2, 3, 3, 0)))
    stage.fails = {A: why}
    stage.run(20)
    assert set(stage.heard) == {B}


def test_a_disk_that_does_not_answer_is_asked_about_one_that_waits() -> None:
    stage = Stage([])
    stage.waiting = [A, B]
    stage.fails = {A: RootAway("/in/amy", 1.0)}
    stage.run(6)
    assert stage.times(A) and not stage.times(B)


def test_the_journal_is_asked_seldom_and_a_store_that_is_gone_is_forgotten() -> None:
    stage = Stage([A, B])
    stage.run(60)
    assert stage.asked <= 3
    stage.stores = [B]
    stage.run(2 * looks._KNOWN_S)
    before = len(stage.times(A))
    stage.run(1300)
    assert len(stage.times(A)) == before and stage.times(B)[-1] > 700


@pytest.mark.parametrize("others", [0, 200])
def test_a_change_is_met_by_what_the_look_saw(others: int) -> None:
    """The look itself is handed on: no second look, which may see another state."""
    stage = Stage([A, *(f"/in/zak/s/{n}.zarr/" for n in range(others))])
    seen: list[Found] = []
    stage.looks._pipeline.scanned = lambda found, now: seen.extend(found)  # type: ignore[method-assign]
    stage.run(5)
    mine = [met for met in seen if met.path == A]
    assert len(mine) == 1 == len(stage.times(A))


def test_a_part_of_another_store_is_not_looked_at() -> None:
    """A look at it would be one at the whole of the other."""
    stage = Stage(["/r/s1/", "/r/s1/0/"])
    stage.around["/r/s1/0/"] = "/r/s1/"
    stage.run(100.0)
    assert {path for _, path in stage.looked} == {"/r/s1/"}
