"""The tracker: errors at any point, and what a client never heard."""

from __future__ import annotations

import math

import pytest

from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.tracking.tree import Directory

from .fake_disk import FakeDisk, Watched, p


class Cut(dict[int, Directory]):
    """The directories by descriptor; an error meets whoever adds or takes out `at`."""

    at = -1

    def __setitem__(self, descriptor: int, directory: Directory) -> None:
        if descriptor == self.at:
            raise SystemExit
        super().__setitem__(descriptor, directory)

    def pop(self, descriptor: int, *default: object) -> Directory:  # type: ignore[override]
        found = super().pop(descriptor, *default)  # type: ignore[arg-type]
        if descriptor == self.at:
            raise SystemExit
        return found  # type: ignore[return-value]


@pytest.mark.parametrize("act", ["made", "removed"])
def test_an_error_while_a_directory_is_bound_or_lost(act: str) -> None:
    """No number of the watches before is taken for one of those that come after."""
    disk = FakeDisk()
    disk.mkdirs(p("d"))
    watched = Watched(disk)
    watches = watched.tracker._watches
    directory = watched.tracker.root.subdirs[b"d"]
    assert directory is not None
    cut = watches.by_descriptor = Cut(watches.by_descriptor)
    assert directory.descriptor is not None
    cut.at = directory.descriptor
    if act == "made":
        watches.release(watched.tracker.root)
        cut.at = 3
    with pytest.raises(SystemExit):
        if act == "made":
            watches.bind(watched.tracker.root, disk.now)
        else:
            watches.lost(directory)
    cut.at = -1
    watched.tracker.close()
    assert watched.tracker.root.descriptor is None
    assert directory.descriptor is None


@pytest.mark.parametrize("scanned", [False, True], ids=["by its event", "by a scan"])
def test_of_a_file_that_was_told_before_an_error_the_end_is_told_too(scanned: bool) -> None:
    """The error comes right after its Create, and the file is gone before the rescan."""
    disk = FakeDisk()
    disk.mkdirs(b"/outside/d")
    disk.put(b"/outside/d/a")
    disk.now += 100
    watched = Watched(disk)
    arrivals = watched.tracker._arrivals
    tell = arrivals._tell

    def cut(one: Tell) -> None:
        tell(one)
        arrivals._tell = tell
        raise SystemExit

    arrivals._tell = cut
    name = "d/a" if scanned else "a"
    if scanned:
        disk.rename(b"/outside/d", p("d"))
    else:
        disk.put(p("a"))
    with pytest.raises(SystemExit):
        watched.wait(5)
    disk.unlink(p(name))
    watched.tracker.close()
    watched.tracker.open(disk, disk.now, known=True)
    watched.wait(10)
    changes = [one for one in watched.take() if one[0] != "System"]
    assert changes == [("Create", name), ("Delete", name)]


def test_what_happened_while_it_was_closed_is_told() -> None:
    disk = FakeDisk()
    for name in ("same", "changed", "gone", "written"):
        disk.put(p(name))
    disk.mkdirs(p("d/e"))
    disk.put(p("d/e/gone"))
    watched = Watched(disk)
    disk.write(disk.open(p("written")))
    watched.wait(1)
    watched.tracker.close()
    assert watched.tracker.due() == math.inf
    disk.put(p("new"))
    disk.put(p("changed"))
    disk.unlink(p("gone"))
    disk.rmtree(p("d"))
    disk.now += 100
    watched.tracker.open(disk, disk.now, known=True)
    watched.wait(10)
    assert [one for one in sorted(watched.take()) if one[0] != "System"] == [
        ("Create", "new"),
        ("Delete", "d/e/gone"),
        ("Delete", "gone"),
        ("Modify", "changed"),
        ("Modify", "written"),
    ]


def test_what_the_client_never_heard_is_told_again() -> None:
    disk = FakeDisk()
    disk.mkdirs(p("old"))
    for name in ("changed", "gone", "made-again", "old/gone"):
        disk.put(p(name))
    watched = Watched(disk, directory_events=True)
    disk.put(p("new"))
    disk.mkdirs(p("d"))
    disk.put(p("d/a"))
    disk.put(p("changed"))
    disk.unlink(p("gone"))
    disk.unlink(p("made-again"))
    disk.put(p("made-again"))
    disk.put(p("came-and-went"))
    watched.wait(5)
    disk.unlink(p("came-and-went"))
    disk.rmtree(p("old"))
    watched.wait(5)
    never_heard = list(watched.told)
    watched.take()
    watched.tracker.close()
    watched.tracker.untell(never_heard)
    watched.tracker.open(disk, disk.now, known=True)
    watched.wait(10)
    assert [one for one in sorted(watched.take()) if one[0] != "System"] == [
        ("Create", "d"),
        ("Create", "d/a"),
        ("Create", "new"),
        ("Delete", "gone"),
        ("Delete", "old"),
        ("Delete", "old/gone"),
        ("Modify", "changed"),
        ("Modify", "made-again"),
    ]
