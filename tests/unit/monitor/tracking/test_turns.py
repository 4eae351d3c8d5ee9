"""Of the files that are due, each branch has its turn: the many of one user delay nobody."""

from __future__ import annotations

import pytest

from omero_fs_plugin.monitor.kernel.entries import Entry
from omero_fs_plugin.monitor.tracking.arrivals import AT_ONCE, Timing

from .fake_disk import FakeDisk, Watched, p

MANY = 20_000
LOOK = 0.001  # s, on a share
OTHERS = ("amy", "yan/deep/deeper", "")  # where others drop one file each


class Share(FakeDisk):
    """All of it is one file system, which takes LOOK for each look at a file."""

    looks = 0

    def look(self, path: bytes) -> Entry | None:
        self.looks += 1
        self.now += LOOK
        return super().look(path)


@pytest.fixture(params=[False, True], ids=["watched", "polled"])
def disk(request: pytest.FixtureRequest) -> Share:
    disk = Share()
    disk.share = request.param
    for name in ("zak", *filter(None, OTHERS)):
        disk.mkdirs(p(name))
    return disk


def fill(disk: FakeDisk, directories: int) -> None:
    for number in range(MANY):
        disk.put(p(f"zak/{number % directories}/{number}" if directories else f"zak/{number}"))


@pytest.mark.parametrize("directories", [0, 20], ids=["in one directory", "in twenty"])
def test_one_file_beside_many(disk: Share, directories: int) -> None:
    watched = Watched(disk)
    for number in range(directories):
        disk.mkdirs(p(f"zak/{number}"))
    fill(disk, directories)
    others = [f"{where}/one".lstrip("/") for where in OTHERS]
    for one in others:
        disk.put(p(one))
    watched.wait(Timing().poll + Timing().silence + 2 * MANY * LOOK)
    told = [path for kind, path in watched.take() if kind == "Create"]
    assert len(told) == len(set(told)) == MANY + len(others)
    # Each has its turn when it is due.  One step is under way by then; and who is polled is met by
    # a scan of each directory down to it, beside each of which one of zak's may tell as many.
    late = {n: told.index(n) for n in others if told.index(n) > (2 + n.count("/")) * AT_ONCE}
    assert late == {}


def one_step(watched: Watched) -> None:
    """What is due next, and no more."""
    watched.disk.now = max(watched.disk.now, watched.tracker.due())
    watched.tracker.step(watched.disk.now)
    watched.feed()


def test_one_file_that_comes_while_many_are_told(disk: Share) -> None:
    watched = Watched(disk)
    fill(disk, 0)
    watched.feed()
    while not watched.told:
        one_step(watched)
    disk.put(p("amy/one"))
    watched.feed()
    began = disk.now
    told = len(watched.take())
    while ("Create", "amy/one") not in (some := watched.take()):
        told += len(some)
        one_step(watched)
    usual = Timing().poll + Timing().silence if disk.share else Timing().hold
    assert disk.now - began <= usual + 3 * AT_ONCE * LOOK, f"after {told} of zak's"


def test_many_branches_with_one_file_each_are_told_in_their_order() -> None:
    disk = FakeDisk()
    names = [f"{number:05}" for number in range(5_000)]
    for name in names:
        disk.mkdirs(p(name))
    watched = Watched(disk)
    for name in names:
        disk.put(p(f"{name}/one"))
    watched.wait(10.0)
    assert watched.take() == [("Create", f"{name}/one") for name in names]
