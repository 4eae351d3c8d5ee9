"""File systems below the root that are slow: they hold up themselves, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from omero_fs_plugin.monitor.kernel.entries import Entry, Identity, Listing, Unfinished
from omero_fs_plugin.monitor.tracking.arrivals import Timing

from .fake_disk import FakeDisk, Watched, p

LOOK = 0.3  # s
SOON = Timing().hold + 1.0  # s; how late others may be told
MANY = 200


class Slow(FakeDisk):
    """What is mounted on `slow` takes LOOK for each look, and for each name of a listing."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: set[bytes] = set()
        self.under_way: dict[bytes, tuple[bytes, float, Listing]] = {}  # by point: what, until

    def _point(self, path: bytes) -> bytes | None:
        return next((one for one in self.slow if (path + b"/").startswith(one + b"/")), None)

    def take(self, seconds: float) -> None:
        self.now += seconds
        self.waited += seconds

    def look(self, path: bytes) -> Entry | None:
        if self._point(path) is not None:
            self.take(LOOK)
        return super().look(path)

    def listing(self) -> list[bytes]:
        return [point for point, (_, until, _) in self.under_way.items() if until > self.now]

    def entries(self, path: bytes, known: Mapping[bytes, Identity] | None) -> Listing:
        point = self._point(path)
        if point is None:
            return super().entries(path, known)
        if point not in self.under_way:
            self.take(0.1)
            listing = super().entries(path, known)
            number = len(listing.names) + len(listing.files)
            self.under_way[point] = path, self.now + LOOK * number, listing
        what, until, listing = self.under_way[point]
        if what == path and until <= self.now:
            del self.under_way[point]
            return listing
        raise Unfinished(point)


@pytest.fixture(params=[False, True], ids=["watched", "polled"])
def disk(request: pytest.FixtureRequest) -> Slow:
    disk = Slow()
    disk.share = request.param
    for name in ("zak", "zak/deep", "amy", "yan"):
        disk.mkdirs(p(name))
    disk.points |= {p("zak"), p("yan")}
    return disk


def fill(disk: FakeDisk, directory: str) -> None:
    for number in range(MANY):
        disk.put(p(f"{directory}/{number}"))


def test_others_are_told_while_a_slow_share_is_listed_and_looked_at(disk: Slow) -> None:
    watched = Watched(disk)
    disk.slow.add(p("zak"))
    fill(disk, "zak")
    fill(disk, "zak/deep")
    took: list[float] = []
    told: list[tuple[str, str]] = []
    for number in range(100):
        watched.wait(10.0 if number > 5 else 1.0)
        disk.put(p(f"amy/{number}"))
        began = disk.now
        while ("Create", f"amy/{number}") not in told:
            watched.wait(0.05)
            told += watched.take()
            assert disk.now - began < 60.0
        took.append(disk.now - began)
    # Who is polled is seen by the next round, and told after a silence.
    usual = Timing().poll + Timing().silence if disk.share else 0.0
    assert max(took) <= usual + SOON, took
    watched.wait(1000.0)
    told += watched.take()
    assert sorted(one for one in told if "zak" in one[1]) == sorted(
        ("Create", f"zak/{below}{number}") for below in ("", "deep/") for number in range(MANY)
    )


def test_another_share_is_looked_at_as_often_as_ever() -> None:
    disk = Slow()
    disk.share = True
    for name in ("zak", "yan"):
        disk.mkdirs(p(name))
        disk.points.add(p(name))
    watched = Watched(disk)
    fill(disk, "zak")
    disk.slow.add(p("zak"))
    watched.wait(Timing().poll + 1.0)  # a round has begun that takes a minute
    for number in range(3):
        disk.put(p(f"yan/{number}"))
        watched.wait(Timing().poll + Timing().silence + 1.0)
        assert ("Create", f"yan/{number}") in watched.take()


def test_what_happens_while_it_is_listed_is_newer_than_the_listing() -> None:
    disk = Slow()
    disk.mkdirs(p("zak"))
    disk.points.add(p("zak"))
    fill(disk, "zak")
    watched = Watched(disk)
    disk.slow.add(p("zak"))
    watched.tracker.overflowed(disk.now)
    watched.wait(2.0)
    assert disk.listing() == [p("zak")]
    disk.put(p("zak/new"))
    disk.unlink(p("zak/1"))
    disk.mkdirs(p("zak/made"))
    disk.put(p("zak/made/inside"))
    watched.wait(500.0)
    told = [one for one in watched.take() if one[0] != "System"]
    assert sorted(told) == [
        ("Create", "zak/made/inside"),
        ("Create", "zak/new"),
        ("Delete", "zak/1"),
    ]


def test_events_that_were_lost_while_it_is_listed_are_found(disk: Slow) -> None:
    fill(disk, "zak")
    watched = Watched(disk)
    disk.slow.add(p("zak"))
    watched.tracker.overflowed(disk.now)
    watched.wait(2.0)
    assert disk.listing() == [p("zak")]
    disk.put(p("zak/new"))
    disk.unlink(p("zak/1"))
    disk.queue.clear()
    watched.tracker.overflowed(disk.now)
    watched.wait(1000.0)
    told = watched.take()
    assert ("Create", "zak/new") in told and ("Delete", "zak/1") in told
    assert told.count(("System", "rescanned")) == 1


def test_many_events_of_known_files_on_a_slow_share_hold_up_nobody() -> None:
    disk = Slow()
    for name in ("zak", "amy"):
        disk.mkdirs(p(name))
    disk.points.add(p("zak"))
    fill(disk, "zak")
    watched = Watched(disk)
    disk.slow.add(p("zak"))
    for number in range(MANY):
        disk.close(disk.open(p(f"zak/{number}")))  # nothing was written
    disk.put(p("amy/a"))
    began = disk.now
    while ("Create", "amy/a") not in watched.take():
        watched.wait(0.05)
        assert disk.now - began < SOON
    for number in range(0, MANY, 50):
        disk.put(p(f"zak/{number}"))
    watched.wait(1000.0)
    assert sorted(watched.take()) == sorted(
        ("Modify", f"zak/{number}") for number in range(0, MANY, 50)
    )


def test_a_listing_that_nobody_waits_for_keeps_nobody_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on after its root was away, and the rest is scanned in the same turn."""
    watched = Watched()
    disk, tracker = watched.disk, watched.tracker
    disk.mkdirs(p("d"))
    watched.wait(1.0)
    monkeypatch.setattr(disk, "listing", lambda: [p("zak")])
    tracker.overflowed(disk.now)
    disk.now += Timing().overflow
    tracker.step(disk.now)
    assert tracker.scan_own(disk.now)
    assert not tracker.scanning
    watched.wait(5.0)  # if it woke for ever, this would say so
    assert watched.take()[-1] == ("System", "rescanned")
