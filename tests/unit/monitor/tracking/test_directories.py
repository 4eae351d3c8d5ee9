"""The tracker: directories that come, go, move, and are not watched."""

from __future__ import annotations

import pytest

from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.requests import PathMode
from omero_fs_plugin.monitor.tracking.arrivals import Timing

from .fake_disk import FakeDisk, Watched, p


def test_a_new_directory_filled_at_once() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d/e/f"))
    watched.disk.put(p("d/e/f/a"))
    watched.disk.put(p("d/b"))
    watched.wait(2)
    assert sorted(watched.take()) == [("Create", "d/b"), ("Create", "d/e/f/a")]
    watched.disk.put(p("d/e/f/c"))
    watched.wait(1)
    assert watched.take() == [("Create", "d/e/f/c")]


def test_a_file_still_written_in_a_new_directory_waits() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d"))
    file = watched.disk.open(p("d/a"))
    watched.feed()
    watched.scan()
    for _ in range(10):
        watched.disk.write(file)
        watched.wait(Timing().found * 0.5)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(Timing().hold)
    assert watched.take() == [("Create", "d/a")]


@pytest.mark.parametrize("late", [0.0, 0.04])
def test_if_the_kernel_says_that_a_file_in_a_new_directory_was_closed_nobody_waits(
    late: float,
) -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("d"))
    watched.disk.put(p("d/a"))
    watched.wait(late)
    watched.wait(Timing().hold)
    assert watched.take() == [("Create", "d/a")]
    watched.wait(100)
    assert watched.take() == []


@pytest.mark.parametrize("between", [0.001, 0.01])
def test_what_came_earlier_in_a_new_directory_is_told_earlier(between: float) -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("d"))
    watched.disk.put(p("d/a"))
    watched.disk.now += between
    watched.disk.put(p("b"))
    watched.wait(1)
    assert watched.take() == [("Create", "d/a"), ("Create", "b")]


def test_if_the_kernel_says_that_it_is_still_written_its_close_is_awaited() -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("d"))
    file = watched.disk.open(p("d/a"))
    for _ in range(10):
        watched.disk.write(file)
        watched.wait(Timing().silence * 0.9)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(Timing().hold)
    assert watched.take() == [("Create", "d/a")]


def test_a_temporary_name_in_a_new_directory_waits_for_its_rename() -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("d"))
    watched.disk.put(p("d/a.tif.new"))
    watched.wait(Timing().hold * 0.9)
    watched.disk.rename(p("d/a.tif.new"), p("d/a.tif"))
    watched.wait(10)
    assert watched.take() == [("Create", "d/a.tif")]


def test_a_file_whose_close_was_lost_is_told_soon_if_the_kernel_says_that_it_was_closed() -> None:
    watched = Watched()
    watched.disk.leases = True
    file = watched.disk.open(p("a"))
    watched.wait(1)
    watched.disk.close(file)
    watched.disk.queue.clear()
    watched.tracker.overflowed(watched.disk.now)
    watched.wait(Timing().overflow + Timing().hold)
    assert ("Create", "a") in watched.take()


def test_a_tree_moved_in_is_told_at_once_and_moved_out_deleted() -> None:
    watched = Watched()
    watched.disk.mkdirs(b"/data/d/e")
    for number in range(2500):
        watched.disk.put(b"/data/d/e/%d" % number)
    watched.wait(60)
    watched.disk.rename(b"/data/d", p("d"))
    watched.wait(0.1)
    assert sorted(watched.take()) == sorted(("Create", f"d/e/{n}") for n in range(2500))
    watched.disk.rename(p("d"), b"/data/d")
    watched.wait(0.1)
    assert sorted(watched.take()) == sorted(("Delete", f"d/e/{n}") for n in range(2500))
    assert watched.tracker.watches == 1


def test_a_directory_renamed_inside() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d/e"))
    watched.disk.put(p("d/e/a"))
    watched.wait(60)
    watched.take()
    watched.disk.rename(p("d"), p("x"))
    watched.wait(1)
    assert watched.take() == [("Delete", "d/e/a"), ("Create", "x/e/a")]
    watched.disk.put(p("x/e/b"))
    watched.wait(1)
    assert watched.take() == [("Create", "x/e/b")]


def test_a_directory_removed_and_made_again_is_watched() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d"))
    watched.wait(1)
    for _ in range(3):
        watched.disk.rmtree(p("d"))
        watched.disk.mkdirs(p("d"))
        watched.disk.put(p("d/a"))
        watched.wait(2)
        assert watched.take()[-1:] == [("Create", "d/a")]


def test_directory_events_only_when_asked_for() -> None:
    watched = Watched(directory_events=True, ignore_sys_files=True)
    watched.disk.mkdirs(p("d/e"))
    watched.disk.mkdirs(p("New Folder (2)"))
    watched.disk.put(p("New Folder (2)/a"))
    watched.wait(1)
    assert watched.take() == [("Create", "d"), ("Create", "d/e"), ("Create", "New Folder (2)/a")]
    watched.disk.rmtree(p("d"))
    watched.wait(1)
    assert watched.take() == [("Delete", "d/e"), ("Delete", "d")]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (PathMode.FLAT, {"a"}),
        (PathMode.RECURSE, {"a", "old/a", "old/old/a"}),
        (PathMode.FOLLOW, {"a", "old/a", "old/old/a", "new/a", "old/new/a"}),
    ],
    ids=lambda value: value.value if isinstance(value, PathMode) else "",
)
def test_path_modes(mode: PathMode, expected: set[str]) -> None:
    disk = FakeDisk()
    disk.mkdirs(p("old/old"))
    watched = Watched(disk, mode=mode)
    disk.mkdirs(p("new"))
    disk.mkdirs(p("old/new"))
    watched.wait(1)
    for directory in ("", "old/", "old/old/", "new/", "old/new/"):
        disk.put(p(directory + "a"))
    watched.wait(2)
    assert {text for _, text in watched.take()} == expected
    watched.tracker.overflowed(disk.now)
    watched.wait(5)
    assert [kind for kind, _ in watched.take()] == ["System", "System"]


def test_blacklisted_directories_are_not_watched() -> None:
    watched = Watched(blacklist=["scratch/"])
    watched.disk.mkdirs(p("scratch/deep"))
    watched.disk.put(p("scratch/a"))
    watched.wait(2)
    assert watched.take() == []
    assert watched.tracker.watches == 1


MARKED = ["*/[zarr.json]/*/"]


def chunks(disk: FakeDisk, top: str, number: int = 20) -> None:
    for n in range(number):
        disk.mkdirs(p(f"{top}/c/{n}"))
        disk.put(p(f"{top}/c/{n}/0"))


def test_directories_beside_a_file_that_says_so_are_not_watched() -> None:
    watched = Watched(blacklist=MARKED)
    watched.disk.mkdirs(p("a"))
    watched.disk.put(p("a/zarr.json"))
    watched.wait(5)
    chunks(watched.disk, "a")
    watched.wait(5)
    assert watched.take() == [("Create", "a/zarr.json")]
    assert watched.tracker.watches == 2


@pytest.mark.parametrize("how", ["written", "moved in", "found by a rescan", "polled"])
def test_their_watches_are_given_back_when_that_file_comes_last(how: str) -> None:
    """And the client is not told that what is there was deleted."""
    watched = Watched(blacklist=MARKED)
    disk = watched.disk
    if how == "polled":
        disk.most = 3
    disk.mkdirs(p("a"))
    disk.put(p("file"))
    chunks(disk, "a")
    watched.wait(100)
    assert watched.tracker.watches == (3 if how == "polled" else 23)
    assert len(watched.take()) >= 21
    if how == "moved in":
        disk.put(p("a/x"))
        disk.rename(p("a/x"), p("a/zarr.json"))
    else:
        disk.put(p("a/zarr.json"))
    if how == "found by a rescan":
        disk.queue.clear()
        disk.queue.append(raw.OVERFLOW)
    watched.wait(200)
    assert watched.tracker.watches == 2
    assert not watched.tracker.polled()
    assert {kind for kind, _ in watched.take()} <= {"Create", "System"}
    disk.put(p("a/c/1/0"))
    disk.rmtree(p("a/c/2"))
    disk.put(p("b"))
    watched.wait(5)
    assert watched.take() == [("Create", "b")]
    disk.rmtree(p("a"))
    watched.wait(5)
    assert watched.tracker.watches == 1


def test_they_are_watched_again_when_that_file_is_gone() -> None:
    watched = Watched(blacklist=MARKED)
    watched.disk.mkdirs(p("a"))
    watched.disk.put(p("a/zarr.json"))
    chunks(watched.disk, "a", 3)
    watched.wait(5)
    assert watched.tracker.watches == 2
    watched.take()
    watched.disk.unlink(p("a/zarr.json"))
    watched.wait(5)
    assert watched.tracker.watches == 6
    assert set(watched.take()) == {
        ("Delete", "a/zarr.json"),
        *(("Create", f"a/c/{n}/0") for n in range(3)),
    }


def test_a_file_waits_for_the_scans_of_what_came_earlier_and_for_no_others() -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("early"))
    watched.disk.put(p("early/a"))
    watched.disk.put(p("b"))
    for number in range(20):
        watched.disk.mkdirs(p(f"late-{number}"))
        watched.disk.put(p(f"late-{number}/a"))
    watched.wait(0.0)
    told = [path for _, path in watched.take()]
    assert len(told) == 22
    assert told.index("early/a") < told.index("b") < told.index("late-19/a")


def test_a_file_that_a_scan_met_and_whose_events_are_still_to_come_is_told_once() -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("d"))
    watched.wait(1)
    watched.tracker.overflowed(watched.disk.now)
    watched.disk.now += Timing().overflow
    watched.disk.put(p("d/a"))
    watched.tracker.step(watched.disk.now)
    watched.scan()
    while watched.disk.queue:
        watched.feed(1)
        watched.tracker.step(watched.disk.now)
    watched.wait(0.0)
    told = [one for one in watched.take() if one[0] != "System"]
    assert told == [("Create", "d/a")]
    watched.wait(100)
    assert [one for one in watched.take() if one[0] != "System"] == []


def test_a_file_that_was_closed_just_before_the_kernel_was_asked_is_told_once() -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("d"))
    file = watched.disk.open(p("d/a"))
    watched.feed()
    watched.scan()
    watched.feed()
    watched.disk.write(file)
    watched.disk.close(file)
    watched.tracker.step(watched.disk.now)  # the kernel is asked, before these events are fed
    watched.wait(0.0)
    assert watched.take() == [("Create", "d/a")]
    watched.wait(100)
    assert watched.take() == []
