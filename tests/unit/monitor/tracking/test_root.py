"""The tracker: its root, and what cannot be watched."""

from __future__ import annotations

import errno

import pytest

from omero_fs_plugin.monitor.kernel.entries import Kind
from omero_fs_plugin.monitor.tracking.arrivals import Timing

from .fake_disk import ROOT, Dentry, FakeDisk, Inode, Watched, p


def test_a_root_removed_and_made_again() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.rmtree(ROOT)
    watched.wait(10)
    watched.disk.mkdirs(ROOT)
    watched.disk.put(p("b"))
    watched.wait(10)
    taken = watched.take()
    assert [one for one in taken if one[0] != "System"] == [
        ("Create", "a"),
        ("Delete", "a"),
        ("Create", "b"),
    ]
    words = [text for kind, text in taken if kind == "System"]
    assert words == ["unreachable", "reachable", "rescanned"]


def test_a_root_moved_away_deletes_nothing() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.rename(ROOT, b"/data/elsewhere")
    watched.wait(100)
    watched.disk.put(b"/data/elsewhere/b")
    watched.wait(100)
    assert watched.take() == [("Create", "a"), ("System", "unreachable")]
    assert not watched.tracker.reachable
    watched.disk.rename(b"/data/elsewhere", ROOT)
    watched.wait(10)
    assert [one for one in watched.take() if one[0] != "System"] == [("Create", "b")]


ELSEWHERE = b"/data/elsewhere"


def test_a_root_that_was_away_just_when_it_was_rescanned_is_looked_at_once_more() -> None:
    watched = Watched()
    watched.wait(1)
    watched.disk.put(p("a"))
    watched.disk.rename(ROOT, ELSEWHERE)
    watched.disk.queue.clear()  # these events are lost
    watched.tracker.overflowed(watched.disk.now)
    watched.disk.now += Timing().overflow
    watched.tracker.step(watched.disk.now)
    assert watched.tracker.reachable and not watched.tracker.scanning
    watched.disk.rename(ELSEWHERE, ROOT)
    watched.disk.queue.clear()
    watched.wait(10)
    assert ("Create", "a") in watched.take()


def test_a_root_that_was_away_until_it_was_checked_is_looked_at_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched()
    watched.wait(1)
    watched.disk.rename(ROOT, ELSEWHERE)
    watched.disk.put(ELSEWHERE + b"/a")  # its close is heard, and it is not there to be looked at
    mount = watched.disk.mount

    def back(path: bytes) -> bytes:
        if watched.disk.find(ROOT) is None:
            watched.disk.rename(ELSEWHERE, ROOT)
        return mount(path)

    monkeypatch.setattr(watched.disk, "mount", back)
    watched.wait(10)
    assert watched.take() == [("Create", "a")]


def test_another_directory_in_the_roots_place_is_noticed() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.mkdirs(b"/data/other")
    watched.disk.put(b"/data/other/b")
    watched.disk.rename(ROOT, b"/data/away")
    watched.disk.rename(b"/data/other", ROOT)
    watched.wait(10)
    changes = [one for one in watched.take() if one[0] != "System"]
    assert changes == [("Create", "a"), ("Delete", "a"), ("Create", "b")]


def on_a_share() -> Watched:
    """The root is a share's mount point, with a file."""
    disk = FakeDisk()
    share = disk.find(ROOT)
    assert share is not None
    share.mount = ROOT
    disk.put(p("a"))
    return Watched(disk)


def test_a_share_that_is_not_mounted_is_away_and_not_empty() -> None:
    watched = on_a_share()
    disk = watched.disk
    data = disk.find(b"/data")
    assert data is not None
    mounted = data.names[b"root"]
    data.names[b"root"] = Dentry(data, b"root", Inode(99, Kind.DIRECTORY))
    watched.wait(100)
    assert watched.take() == [("System", "unreachable")]
    data.names[b"root"] = mounted
    watched.wait(10)
    assert watched.take() == [("System", "reachable"), ("System", "rescanned")]


def test_a_link_that_leads_from_a_share_to_another_place_is_followed() -> None:
    watched = on_a_share()
    disk = watched.disk
    disk.mkdirs(b"/data/other")
    disk.put(b"/data/other/b")
    data = disk.find(b"/data")
    assert data is not None
    data.names[b"root"] = data.names[b"other"]
    disk.leads_elsewhere = True
    watched.wait(10)
    assert sorted(watched.take()) == [("Create", "b"), ("Delete", "a"), ("System", "rescanned")]
    assert watched.tracker.mount == b"/"


def test_a_directory_that_cannot_be_read_is_polled_until_it_can() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d"))
    watched.disk.refuse[p("d")] = errno.EACCES
    watched.disk.put(p("d/a"))
    watched.wait(100)
    assert watched.take() == [("System", "unreachable")]
    del watched.disk.refuse[p("d")]
    watched.wait(Timing().poll)
    assert watched.take() == [("System", "reachable"), ("Create", "d/a")]


def test_what_is_over_the_limit_of_watches_is_polled() -> None:
    watched = Watched()
    for name in ("d", "e"):
        watched.disk.mkdirs(p(name))
        watched.disk.refuse[p(name)] = errno.ENOSPC
    watched.wait(1)
    watched.disk.put(p("d/a"))
    watched.disk.put(p("e/a"))
    watched.wait(Timing().poll * 2)
    assert sorted(watched.take()) == [("Create", "d/a"), ("Create", "e/a"), ("System", "limit")]


def test_polling_begins_anew_when_nothing_was_left_to_poll() -> None:
    """However long that was: a round without directories would have lasted until then."""
    disk = FakeDisk()
    disk.most = 1
    disk.mkdirs(p("d"))
    watched = Watched(disk)
    watched.wait(100)
    disk.rmtree(p("d"))
    watched.wait(100_000)
    disk.mkdirs(p("e"))
    watched.wait(1)
    disk.put(p("e/a"))
    watched.wait(Timing().poll + Timing().silence)
    assert [one for one in watched.take() if one[0] != "System"] == [("Create", "e/a")]
