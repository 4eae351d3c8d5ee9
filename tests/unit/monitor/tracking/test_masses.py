"""The tracker: one user's mass, and another's file."""

from __future__ import annotations

from omero_fs_plugin.monitor.tracking.arrivals import Timing

from .fake_disk import FakeDisk, Watched, p


def _branches(directories: int) -> Watched:
    disk = FakeDisk()
    for number in range(directories):
        disk.mkdirs(p(f"amy/{number:05}"))
    disk.mkdirs(p("zak/today"))
    return Watched(disk)


def test_after_an_overflow_a_users_directory_does_not_wait_for_all_of_anothers() -> None:
    watched = _branches(2000)
    watched.tracker.overflowed(watched.disk.now)
    watched.disk.put(p("zak/today/a"))
    watched.disk.queue.clear()  # its events are lost
    watched.disk.now += Timing().overflow
    steps = 0
    while watched.tracker.scanning or not steps:
        watched.tracker.step(watched.disk.now)
        watched.disk.now += 0.001  # s, for each scan
        steps += 1
        if any(tell.path == p("zak/today/a") for tell in watched.told):
            break
    assert steps < 1000  # the file must be found at rest; amy's 2,000 are under way
    assert watched.tracker.scanning


def test_who_makes_directories_without_end_does_not_keep_a_rescan_from_beginning() -> None:
    watched = _branches(0)
    watched.tracker.overflowed(watched.disk.now)
    watched.disk.put(p("zak/today/a"))
    watched.disk.queue.clear()
    end = watched.disk.now + 10
    number = 0
    while watched.disk.now < end and ("Create", "zak/today/a") not in watched.take():
        for _ in range(2):  # faster than they are scanned
            watched.disk.mkdirs(p(f"amy/{number}"))
            number += 1
        watched.feed()
        watched.tracker.step(watched.disk.now)
        watched.disk.now += 0.02
    assert watched.disk.now < end
