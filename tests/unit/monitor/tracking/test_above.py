"""The tracker: a directory above the root is renamed, and soon back.  No event tells of that."""

from __future__ import annotations

import math

import pytest

from omero_fs_plugin.monitor.kernel.disk import UNSEEN
from omero_fs_plugin.monitor.tracking.arrivals import Timing

from .fake_disk import FakeDisk, Watched, p

OUTSIDE = b"/data/outside"


@pytest.fixture
def watched() -> Watched:
    """What is there is known, and the root was looked at just now."""
    disk = FakeDisk()
    disk.mkdirs(OUTSIDE)
    disk.mkdirs(p("d"))
    for name in ("known", "other", "d/known"):
        disk.put(p(name))
    watched = Watched(disk)
    watched.wait(Timing().check * 2.1)
    assert watched.take() == []
    return watched


def _away(watched: Watched) -> None:
    watched.disk.above_is_away = True


def _back(watched: Watched) -> list[tuple[str, str]]:
    """What is told when it is back, before anybody has seen that the root was away."""
    watched.wait(1.0)
    watched.disk.above_is_away = False
    watched.wait(12.0)
    assert watched.tracker._arrivals.due() == math.inf
    return watched.take()


def test_a_new_file_is_told(watched: Watched) -> None:
    _away(watched)
    watched.disk.put(p("new"))
    watched.disk.put(p("d/new"))
    assert sorted(_back(watched)) == [("Create", "d/new"), ("Create", "new")]


@pytest.mark.parametrize("changed", [True, False], ids=["written", "opened alone"])
def test_a_known_file_is_told_if_it_was_changed(watched: Watched, changed: bool) -> None:
    _away(watched)
    file = watched.disk.open(p("known"))
    if changed:
        watched.disk.utime(p("known"))
    watched.disk.close(file)
    assert _back(watched) == [("Modify", "known")] * changed


def test_a_known_file_that_is_written_is_told(watched: Watched) -> None:
    _away(watched)
    watched.disk.put(p("known"))
    assert _back(watched) == [("Modify", "known")]


def test_what_is_deleted_meanwhile_is_told(watched: Watched) -> None:
    _away(watched)
    watched.disk.put(p("known"))
    watched.disk.put(p("new"))
    watched.wait(0.1)
    watched.disk.unlink(p("known"))
    watched.disk.unlink(p("new"))
    watched.disk.rmtree(p("d"))
    assert _back(watched) == [("Delete", "known"), ("Delete", "d/known")]


def test_a_new_directory_is_looked_into_and_watched(watched: Watched) -> None:
    _away(watched)
    watched.disk.mkdirs(p("new/deep"))
    watched.disk.put(p("new/deep/a"))
    assert _back(watched) == [("Create", "new/deep/a")]
    watched.disk.put(p("new/deep/b"))
    watched.wait(0.1)
    assert watched.take() == [("Create", "new/deep/b")]


@pytest.mark.parametrize(
    ("one", "other"),
    [(p("known"), p("other")), (p("d"), OUTSIDE), (p("known"), p("d"))],
    ids=["files", "directories", "one of each"],
)
def test_names_that_are_exchanged_meanwhile_are_known(
    watched: Watched, one: bytes, other: bytes
) -> None:
    files = {path[len(p("")) :].decode() for path in watched.disk.below(p("")[:-1])}
    watched.disk.put(OUTSIDE + b"/far")
    _away(watched)
    watched.disk.exchange(one, other)
    for kind, name in _back(watched):
        files = files | {name} if kind == "Create" else files - {name}
    assert files == {path[len(p("")) :].decode() for path in watched.disk.below(p("")[:-1])}


def test_a_file_that_comes_and_goes_leaves_nothing_to_wake_for(watched: Watched) -> None:
    """It is gone when it is looked at, and its Delete is read later."""
    watched.disk.put(p("new"))
    read = len(watched.disk.queue)
    watched.disk.unlink(p("new"))
    watched.feed(read)
    watched.tracker.step(watched.disk.now)
    watched.feed()
    watched.tracker.step(watched.disk.now)
    assert watched.tracker._arrivals.due() == math.inf
    assert watched.take() == []


def test_a_known_file_that_cannot_be_looked_at_just_now_is_looked_at_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a directory above the root gives no right to pass for a moment."""
    file = watched.disk.open(p("known"))
    watched.disk.utime(p("known"))
    watched.disk.close(file)
    with monkeypatch.context() as context:
        context.setattr(watched.disk, "look", lambda path: UNSEEN)
        watched.feed()
    watched.wait(12.0)
    assert watched.take() == [("Modify", "known")]
