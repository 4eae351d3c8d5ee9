"""A file system below the root that does not answer: others are told of, and nothing is lost."""

from __future__ import annotations

import pytest

from omero_fs_plugin.monitor.requests import PathMode
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from omero_fs_plugin.monitor.tracking.watches import Why

from .fake_disk import FakeDisk, Watched, p

LASTS = Timing().late + 0.1  # s


@pytest.fixture(params=[False, True], ids=["watched", "polled"])
def watched(request: pytest.FixtureRequest) -> Watched:
    disk = FakeDisk()
    disk.share = request.param
    disk.mkdirs(p("zak/deep"))
    disk.mkdirs(p("amy"))
    for name in ("zak/a", "zak/deep/a", "zak/gone"):
        disk.put(p(name))
    disk.now += 100
    return Watched(disk)


def settle(watched: Watched) -> list[tuple[str, str]]:
    """What is told once everything has been silent for long enough."""
    watched.wait(3 * (Timing().poll + Timing().silence))
    return watched.take()


def test_it_is_told_when_that_lasts_and_what_happened_is_told_afterwards(
    watched: Watched,
) -> None:
    watched.disk.hang(p("zak"))
    watched.disk.put(p("zak/new"))
    watched.disk.unlink(p("zak/gone"))
    file = watched.disk.open(p("zak/deep/a"))
    watched.disk.write(file)
    watched.disk.close(file)
    watched.disk.put(p("amy/a"))
    told = settle(watched)
    assert told.count(("System", "unreachable")) == 1
    assert ("Create", "amy/a") in told
    assert not any(kind == "Modify" or name == "zak/new" for kind, name in told)
    assert watched.tracker.unanswered == [p("zak")]
    watched.disk.hung.clear()
    told += settle(watched)
    assert sorted(told) == [
        *(("Create", name) for name in ("amy/a", "zak/new")),
        ("Delete", "zak/gone"),
        ("Modify", "zak/deep/a"),
        *(("System", word) for word in ("reachable", "unreachable")),
    ]
    assert watched.tracker.unanswered == []
    assert set(watched.tracker.polled()) <= {Why.CHOSEN}


def test_one_that_is_soon_over_is_not_told_and_loses_nothing(watched: Watched) -> None:
    watched.wait(Timing().poll - 1.0)
    watched.disk.hang(p("zak"))
    file = watched.disk.open(p("zak/deep/a"))
    watched.disk.write(file)
    watched.disk.close(file)
    watched.wait(1.5)
    assert watched.take() == []
    assert watched.tracker.unanswered == []
    watched.disk.hung.clear()
    assert settle(watched) == [("Modify", "zak/deep/a")]


def test_it_hangs_at_the_start() -> None:
    disk = FakeDisk()
    disk.mkdirs(p("zak"))
    disk.put(p("zak/a"))
    disk.hang(p("zak"))
    watched = Watched(disk)
    watched.wait(LASTS)
    assert watched.take() == [("System", "unreachable")]
    disk.hung.clear()
    assert settle(watched) == [("System", "reachable"), ("Create", "zak/a")]


def test_where_nothing_below_is_looked_at_it_is_no_news() -> None:
    disk = FakeDisk()
    disk.mkdirs(p("zak"))
    disk.hang(p("zak"))
    watched = Watched(disk, mode=PathMode.FLAT)
    watched.wait(LASTS)
    assert watched.take() == []
    assert watched.tracker.due() > disk.now


def test_one_that_was_told_of_and_is_unmounted_says_so(watched: Watched) -> None:
    watched.disk.hang(p("zak"))
    watched.disk.put(p("zak/new"))
    assert settle(watched) == [("System", "unreachable")]
    watched.tracker.close()
    watched.disk.hung.clear()
    watched.tracker.open(watched.disk, watched.disk.now, known=True)
    assert ("Create", "zak/new") in settle(watched)


@pytest.mark.parametrize("longer", [False, True], ids=["back by then", "back later"])
def test_one_that_answers_after_an_interruption_is_told_to(watched: Watched, longer: bool) -> None:
    """As after a gap, or an error of ours.  Else the client goes on to take it for away."""
    watched.disk.hang(p("zak"))
    watched.disk.put(p("zak/new"))
    assert settle(watched) == [("System", "unreachable")]
    watched.tracker.close()
    if not longer:
        watched.disk.hung.clear()
    watched.tracker.open(watched.disk, watched.disk.now, known=True)
    told = settle(watched)
    watched.disk.hung.clear()
    told += settle(watched)
    assert [word for kind, word in told if kind == "System" and word != "rescanned"] == [
        "reachable"
    ]
