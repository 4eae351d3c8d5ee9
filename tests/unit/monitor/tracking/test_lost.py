"""The tracker: events that were lost, and the rescan that answers them."""

from __future__ import annotations

import math

import pytest

from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.notices import Notice
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from omero_fs_plugin.monitor.tracking.rescans import LONGEST_OVERFLOW

from .fake_disk import ROOT, Dentry, FakeDisk, Watched, p


def test_an_overflow_is_said_and_answered_by_a_rescan() -> None:
    disk = FakeDisk()
    disk.put(p("changed"))
    disk.put(p("gone"))
    watched = Watched(disk)
    disk.capacity = 1
    disk.mkdirs(p("d"))
    disk.put(p("d/a"))
    disk.put(p("b"))
    disk.put(p("changed"))
    disk.unlink(p("gone"))
    watched.wait(5)
    taken = watched.take()
    assert taken[0] == ("System", Notice.OVERFLOW.value)
    assert taken[-1] == ("System", Notice.RESCANNED.value)
    assert sorted(taken[1:-1]) == [
        ("Create", "b"),
        ("Create", "d/a"),
        ("Delete", "gone"),
        ("Modify", "changed"),
    ]


def _rescan(watched: Watched, takes: float, *, lost: bool = False) -> None:
    """The next one begins when it is due, and its last directory takes so long (s)."""
    disk, tracker = watched.disk, watched.tracker
    disk.now = tracker.due()
    tracker.step(disk.now)
    if lost:
        tracker.overflowed(disk.now)
    while tracker.scanning:
        tracker.step(disk.now)
    disk.now += takes


@pytest.mark.parametrize("below", [False, True], ids=["flat", "with a directory"])
def test_while_events_are_lost_there_is_a_pause_as_long_as_the_last_rescan(below: bool) -> None:
    watched = Watched()
    disk, tracker = watched.disk, watched.tracker
    tracker._check_at = math.inf  # nothing else is due
    if below:
        disk.mkdirs(p("d"))
        watched.wait(1)
    first, taken, longest = Timing().overflow, 0.3, LONGEST_OVERFLOW
    for waits, takes in ((first, taken), (taken, longest + 0.1), (longest, 0.0), (first, taken)):
        tracker.overflowed(disk.now)
        assert tracker.due() == pytest.approx(disk.now + waits)
        _rescan(watched, takes)
    watched.wait(1.5)
    assert watched.take()[-1] == ("System", Notice.RESCANNED.value)
    tracker.overflowed(disk.now)
    assert tracker.due() == pytest.approx(disk.now + first)  # it is another time


def test_if_events_are_lost_during_a_rescan_the_pause_begins_at_its_end() -> None:
    watched = Watched()
    disk, tracker = watched.disk, watched.tracker
    disk.mkdirs(p("d"))
    watched.wait(1)
    tracker.overflowed(disk.now)
    _rescan(watched, 0.2, lost=True)
    tracker.step(disk.now)
    assert tracker.due() == pytest.approx(disk.now + 0.2)


@pytest.mark.parametrize("after", [0.0, 0.04, 0.5], ids=["at once", "before", "after its rescan"])
def test_a_root_that_is_lost_after_an_overflow_keeps_nobody_busy(after: float) -> None:
    """What was due before waits until the root is back: else the thread would never rest."""
    watched = Watched()
    disk, tracker = watched.disk, watched.tracker
    disk.put(p("a"))
    watched.wait(1)
    tracker.overflowed(disk.now)
    watched.wait(after)
    disk.rmtree(ROOT)
    watched.wait(Timing().check + 0.1)
    for _ in range(20):
        tracker.step(disk.now)
        assert tracker.due() > disk.now
        disk.now = tracker.due()
    watched.take()
    disk.mkdirs(ROOT)
    disk.put(p("b"))
    watched.wait(20)
    assert watched.take()[-1] == ("System", Notice.RESCANNED.value)


def test_a_file_replaced_unseen_behind_a_changed_time() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.disk.put(b"/data/b")
    watched.wait(1)
    watched.take()
    watched.disk.capacity = 1
    watched.disk.utime(p("a"))
    watched.disk.rename(b"/data/b", p("a"))
    watched.wait(3)
    assert ("Modify", "a") in watched.take()


def test_a_writer_whose_close_was_lost() -> None:
    watched = Watched()
    fresh = watched.disk.open(p("fresh"))
    watched.disk.put(p("known"))
    watched.wait(1)
    watched.take()
    known = watched.disk.open(p("known"))
    watched.disk.write(known)
    watched.wait(1)
    watched.disk.write(fresh)
    watched.disk.capacity = 0
    watched.disk.queue.append(raw.OVERFLOW)
    watched.disk.close(fresh)
    watched.disk.close(known)
    watched.wait(3)
    assert sorted(watched.take())[:2] == [("Create", "fresh"), ("Modify", "known")]


def test_events_that_come_after_the_scan_that_saw_them_are_not_told_twice() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.tracker.overflowed(watched.disk.now)
    watched.disk.now += 5
    while watched.tracker.due() <= watched.disk.now:
        watched.tracker.step(watched.disk.now)
    watched.wait(60)
    assert [one for one in watched.take() if one[0] != "System"] == [("Create", "a")]


def test_a_file_whose_first_event_comes_late_is_not_told_as_written_before_its_close() -> None:
    """A scan met it, it was silent, and it is written on before that event is read."""
    watched = Watched()
    watched.disk.leases = True
    file = watched.disk.open(p("a"))
    watched.tracker.overflowed(watched.disk.now)
    watched.disk.now += 1
    while watched.tracker.due() <= watched.disk.now:
        watched.tracker.step(watched.disk.now)
    assert watched.take()[-1] == ("Create", "a")
    watched.disk.write(file)
    watched.feed(1)
    watched.tracker.step(watched.disk.now)
    assert watched.take() == []
    watched.wait(3)
    assert [one for one in watched.take() if one[0] != "System"] == []
    watched.disk.close(file)
    watched.wait(0.0)
    assert watched.take() == [("Modify", "a")]


def _write_unseen(watched: Watched, path: bytes) -> Dentry:
    """Events are lost while somebody writes a known file."""
    watched.disk.leases = True
    file = watched.disk.open(path)
    watched.disk.write(file)
    watched.disk.queue.clear()
    watched.tracker.overflowed(watched.disk.now)
    watched.wait(60)
    return file


def _one_known() -> Watched:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    return watched


def test_a_known_file_that_a_scan_met_in_the_middle_of_a_write_waits_for_its_close() -> None:
    watched = _one_known()
    file = _write_unseen(watched, p("a"))
    assert [one for one in watched.take() if one[0] != "System"] == []
    watched.disk.close(file)
    watched.wait(0.0)
    assert watched.take() == [("Modify", "a")]


def test_its_close_may_come_under_another_name() -> None:
    watched = _one_known()
    watched.disk.link(p("a"), b"/data/outside")
    file = _write_unseen(watched, b"/data/outside")
    watched.disk.close(file)
    watched.wait(Timing().silence + 1)
    assert ("Modify", "a") in watched.take()


def test_a_rename_in_the_middle_of_such_a_write_waits_for_its_close() -> None:
    watched = _one_known()
    file = _write_unseen(watched, p("a"))
    watched.take()
    watched.disk.write(file)
    watched.disk.rename(p("a"), p("b"))
    watched.wait(Timing().silence / 2)
    assert watched.take() == [("Delete", "a")]
    watched.disk.close(file)
    watched.wait(0.0)
    assert watched.take() == [("Create", "b")]
