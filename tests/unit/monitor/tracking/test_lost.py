"""The tracker: events that were lost, and the rescan that answers them."""

from __future__ import annotations

import pytest

from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.notices import Notice
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from omero_fs_plugin.monitor.tracking.tracker import LONGEST_OVERFLOW

from .fake_disk import FakeDisk, Watched, p


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


def test_while_events_are_lost_a_rescan_waits_as_long_as_the_one_before_took() -> None:
    watched = Watched()
    disk, tracker = watched.disk, watched.tracker
    disk.mkdirs(p("d"))
    watched.wait(1)
    first, taken, longest = Timing().overflow, 0.3, LONGEST_OVERFLOW
    for waits, takes in ((first, taken), (taken, 10 * longest), (longest, 0.0), (first, 0.0)):
        tracker.overflowed(disk.now)
        assert tracker.due() == pytest.approx(disk.now + waits)
        disk.now += waits
        tracker.step(disk.now)  # it begins
        disk.now += takes
        while tracker.scanning:
            tracker.step(disk.now)
    watched.wait(5)
    assert watched.take()[-1] == ("System", Notice.RESCANNED.value)
    tracker.overflowed(disk.now)
    assert tracker.due() == pytest.approx(disk.now + first)


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
