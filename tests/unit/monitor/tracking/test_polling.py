"""Directories that nobody tells of: shares, limits, and file systems that are away."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel.disk import UNSEEN
from omero_fs_plugin.monitor.kernel.entries import Entry, Identity, Listing
from omero_fs_plugin.monitor.kernel.polling import Polling
from omero_fs_plugin.monitor.kernel.raw import LOOK, Raw
from omero_fs_plugin.monitor.tracking.arrivals import Timing

from .fake_disk import ROOT, FakeDisk, Watched, p

ROUND = Timing().poll + Timing().silence * 2


class Share(FakeDisk):
    """A disk that is polled; in `failing` are directories that do not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.share = True
        self.failing: dict[bytes, int] = {}
        self.asked: list[bytes] = []
        self.takes = 0.0  # s for each listing

    def entries(self, path: bytes, known: Mapping[bytes, Identity] | None) -> Listing:
        self.asked.append(path)
        self.now += self.takes
        for away, number in self.failing.items():
            if path == away or path.startswith(away + b"/"):
                raise OSError(number, "away", path)
        device, names, files = super().entries(path, known)
        shown = [
            (name, UNSEEN if path + b"/" + name in self.failing else entry) for name, entry in names
        ]
        shown += [(name, UNSEEN) for name in files if path + b"/" + name in self.failing]
        files = {name: one for name, one in files.items() if path + b"/" + name not in self.failing}
        return Listing(device, shown, files)

    def look(self, path: bytes) -> Entry | None:
        return UNSEEN if any(path.startswith(away) for away in self.failing) else super().look(path)


@pytest.fixture
def disk() -> Share:
    return Share()


def test_a_file_is_created_once_it_has_been_silent(disk: Share) -> None:
    watched = Watched(disk)
    file = disk.open(p("a"))
    for _ in range(20):
        disk.write(file)
        watched.wait(Timing().silence * 0.7)
    assert watched.take() == []
    watched.wait(ROUND)
    assert watched.take() == [("Create", "a")]
    disk.write(file)
    watched.wait(ROUND)
    assert watched.take() == [("Modify", "a")]
    disk.unlink(p("a"))
    watched.wait(ROUND)
    assert watched.take() == [("Delete", "a")]


def test_a_tree_that_is_there_for_long_is_told_at_once(disk: Share) -> None:
    disk.mkdirs(b"/data/outside")
    disk.put(b"/data/outside/a")
    watched = Watched(disk)
    disk.now += 1000
    disk.rename(b"/data/outside", p("d"))
    watched.wait(Timing().poll)
    assert watched.take() == [("Create", "d/a")]


@pytest.mark.parametrize(
    "number",
    [errno.ESTALE, errno.ENOTCONN, errno.EIO, errno.ETIMEDOUT, errno.EHOSTDOWN],
    ids=errno.errorcode.get,
)
def test_what_is_away_is_told_once_and_nothing_in_it_is_deleted(disk: Share, number: int) -> None:
    for name in ("d/e/f/a", "d/b", "g/c"):
        disk.mkdirs(p(name).rpartition(b"/")[0])
        disk.put(p(name))
    watched = Watched(disk)
    disk.failing[p("d")] = number
    disk.unlink(p("d/b"))
    disk.put(p("g/new"))
    watched.wait(10 * ROUND)
    assert watched.take() == [("System", "unreachable"), ("Create", "g/new")]
    disk.asked.clear()
    watched.wait(ROUND)
    assert p("d/e") not in disk.asked  # each question may take as long as the network waits
    disk.failing.clear()
    watched.wait(ROUND)
    assert watched.take() == [("System", "reachable"), ("Delete", "d/b")]


def test_a_root_that_is_away_for_the_time_being(disk: Share) -> None:
    disk.put(p("a"))
    watched = Watched(disk)
    disk.failing[ROOT] = errno.EIO
    watched.wait(5 * ROUND)
    assert watched.take() == [("System", "unreachable")]
    disk.failing.clear()
    disk.put(p("b"))
    watched.wait(ROUND)
    assert watched.take() == [("System", "reachable"), ("Create", "b")]


def test_refused_is_not_away_what_is_below_can_still_be_asked(disk: Share) -> None:
    disk.mkdirs(p("d/e"))
    watched = Watched(disk)
    disk.refuse[p("d")] = errno.EACCES
    watched.wait(ROUND)
    disk.put(p("d/e/a"))
    watched.wait(ROUND)
    assert watched.take() == [("System", "unreachable"), ("Create", "d/e/a")]


def test_a_file_that_cannot_be_looked_at_waits(disk: Share) -> None:
    watched = Watched(disk)
    disk.put(p("a"))
    watched.wait(Timing().poll)
    disk.failing[ROOT] = errno.EIO
    watched.wait(3 * ROUND)
    disk.failing.clear()
    watched.wait(2 * ROUND)
    assert [one for one in watched.take() if one[0] != "System"] == [("Create", "a")]


def test_polling_takes_a_part_of_the_time_only(disk: Share) -> None:
    for number in range(100):
        disk.mkdirs(p(f"d{number}"))
    watched = Watched(disk)
    disk.asked.clear()
    disk.takes = 1.0  # so a look at all takes longer than the interval
    began = disk.now
    while disk.now < began + 5000:
        watched.wait(10)
    spent = len(disk.asked) * disk.takes
    assert 0.1 < spent / (disk.now - began) < 0.25


def test_between_two_looks_nothing_is_asked(disk: Share) -> None:
    watched = Watched(disk)
    watched.wait(ROUND)
    disk.asked.clear()
    watched.wait(Timing().poll * 10)
    assert len(disk.asked) == 10


def test_beside_what_is_polled_the_kernels_word_is_taken() -> None:
    disk = Share()
    disk.share = False
    disk.most = 2
    for name in ("d", "e", "f"):
        disk.mkdirs(p(name))
    watched = Watched(disk)
    assert watched.take() == [("System", "limit")]
    disk.asked.clear()
    watched.wait(Timing().poll)
    # d came first and is watched; a look at polled directories does not include it.
    assert sorted(disk.asked) == [p("e"), p("f")]
    disk.put(p("d/a"))
    watched.wait(1)
    assert watched.take() == [("Create", "d/a")]
    disk.most = 10
    watched.wait(Timing().poll)
    assert watched.take() == [("System", "limit")]
    assert (watched.tracker.watches, watched.tracker.polled().total()) == (4, 0)


def test_a_limit_is_told_once_until_twice_as_much_is_missing() -> None:
    disk = FakeDisk()
    disk.most = 1
    watched = Watched(disk)
    for number in range(8):
        disk.mkdirs(p(f"d{number}"))
        watched.wait(1)
    assert watched.take() == [("System", "limit")] * 3  # 1, 3 and 7


# Hints of another platform's observer


def hint(watched: Watched, name: str) -> None:
    watched.tracker.feed([Raw(-1, LOOK, 0, p(name))], watched.disk.now)


@pytest.mark.parametrize("name", ["a", "d/a", "d/e/a", "none", "none/below", "d", "d/e"])
def test_a_hint_of_anything_at_any_time_is_harmless(disk: Share, name: str) -> None:
    disk.mkdirs(p("d/e"))
    for one in ("a", "d/a", "d/e/a"):
        disk.put(p(one))
    watched = Watched(disk)
    hint(watched, name)
    watched.wait(1)
    assert watched.take() == []
    disk.rmtree(p("d"))
    hint(watched, name)
    watched.wait(ROUND)
    assert sorted(watched.take()) == [("Delete", "d/a"), ("Delete", "d/e/a")]


def test_a_hint_of_what_the_filter_passes_over(disk: Share) -> None:
    watched = Watched(disk, ignore_sys_files=True)
    disk.put(p(".a"))
    hint(watched, ".a")
    watched.wait(ROUND)
    assert watched.take() == []


# The real disk


def test_the_real_disk_is_listed_and_never_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "d").mkdir(parents=True)
    (tmp_path / "real" / "a").write_text("a")
    (tmp_path / "real" / "way-out").symlink_to("/")
    (tmp_path / "root").symlink_to("real")
    root = bytes(tmp_path / "root")
    disk = Polling(root)
    try:
        kinds = {name: entry.kind.name for name, entry in disk.entries(root, {}).names}
        assert kinds == {b"d": "DIRECTORY", b"a": "FILE", b"way-out": "OTHER"}
        with pytest.raises(OSError, match="way-out"):
            disk.entries(root + b"/way-out", {})
        assert disk.look(root + b"/none") is None
        assert disk.look(root + b"/a/below") is None
        assert (tmp_path / "root").samefile(tmp_path / "real")
        assert disk.remounted() == []
        assert bytes(tmp_path).startswith(disk.mount(root))
        with pytest.raises(FileNotFoundError):
            disk.mount(root + b"/none")
    finally:
        disk.close()
