"""The tracker: what is told of files, and when."""

from __future__ import annotations

import math

import pytest

from omero_fs_plugin.monitor.tracking.arrivals import Timing
from omero_fs_plugin.monitor.tracking.racy import CONFIRM
from omero_fs_plugin.monitor.tracking.tree import NEVER

from .fake_disk import ROOT, FakeDisk, Watched, p


def test_a_file_is_told_once_when_it_is_closed() -> None:
    watched = Watched()
    file = watched.disk.open(p("a"))
    watched.disk.write(file)
    watched.wait(5)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(Timing().hold)
    assert watched.take() == [("Create", "a")]
    watched.wait(100)
    assert watched.take() == []


def test_a_file_its_writer_keeps_open_is_told_after_silence_and_its_end_later() -> None:
    watched = Watched()
    watched.disk.leases = True
    file = watched.disk.open(p("a"))
    for _ in range(5):
        watched.disk.write(file)
        watched.wait(Timing().silence * 0.9)
    assert watched.take() == []
    watched.wait(Timing().silence * 0.2)
    assert watched.take() == [("Create", "a")]
    watched.disk.write(file)
    watched.wait(100)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Modify", "a")]


def test_silence_is_seen_where_the_disk_has_another_clock() -> None:
    watched = Watched()
    watched.disk.find(ROOT)
    file = watched.disk.open(p("a"))
    file.inode.ctime = watched.disk.now + 10_000  # a server whose clock is ahead
    watched.wait(Timing().silence * 2)
    assert watched.take() == [("Create", "a")]


@pytest.mark.parametrize("writes", [1, 200], ids=["one", "many"])
def test_a_burst_of_writes_is_one_modify_at_its_begin_and_one_at_its_end(writes: int) -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    for _ in range(writes):
        watched.disk.put(p("a"))
        watched.wait(0.01)
    assert watched.take() == [("Modify", "a")]
    watched.wait(1)
    assert watched.take() == [("Modify", "a")] * (writes > 1)


def _one_known_file() -> Watched:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a")]
    return watched


def test_one_known_file_a_new_file_is_told_at_its_close() -> None:
    watched = _one_known_file()
    file = watched.disk.open(p("b"))
    watched.wait(0.02)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(0.0)
    assert watched.take() == [("Create", "b")]


def test_a_rewrite_is_told_at_its_close_and_what_follows_soon_is_one_burst() -> None:
    watched = _one_known_file()
    for _ in range(100):
        watched.disk.put(p("a"))
        watched.wait(0.01)
    assert watched.take() == [("Modify", "a")]
    watched.wait(Timing().burst_gap)
    assert watched.take() == [("Modify", "a")]
    watched.wait(Timing().burst_gap)
    watched.disk.put(p("a"))
    watched.wait(0.0)
    assert watched.take() == [("Modify", "a")]


def _noted(watched: Watched) -> list[tuple[bytes, object]]:
    """What the record gets besides what is told."""
    noted: list[tuple[bytes, object]] = []
    watched.tracker._note = lambda tell: noted.append((tell.path, tell.identity))
    return noted


def test_what_a_file_told_at_once_looks_like_is_noted_when_it_is_certain() -> None:
    watched = _one_known_file()
    noted = _noted(watched)
    watched.disk.now += 100
    watched.disk.put(p("b"))
    watched.disk.now += 0.001
    watched.wait(0.0)
    assert [tell.identity for tell in watched.told] == [NEVER]
    watched.feed()
    assert not noted
    watched.disk.now += CONFIRM
    watched.feed()
    found = watched.disk.look(p("b"))
    assert found is not None and noted == [(p("b"), found.identity)]
    assert watched.tracker.racy.since == math.inf


def test_it_is_not_noted_if_the_file_is_written_again() -> None:
    watched = _one_known_file()
    noted = _noted(watched)
    watched.disk.now += 100
    watched.disk.put(p("b"))
    watched.disk.now += 0.001
    watched.wait(0.0)
    watched.disk.put(p("b"))
    watched.disk.now += CONFIRM
    watched.feed()
    assert not noted
    watched.wait(1)
    assert watched.take() == [("Create", "b"), ("Modify", "b")]


@pytest.mark.parametrize("name", [".b.tif.Xa7Tq2", "b.tif~", "b.tmp", "b.tif.part", "b.tmp123"])
def test_a_temporary_name_waits_for_its_rename_at_all_times(name: str) -> None:
    watched = _one_known_file()
    watched.disk.put(p(name))
    watched.wait(Timing().hold / 2)
    watched.disk.rename(p(name), p("b.tif"))
    watched.wait(0.0)
    assert watched.take() == [("Create", "b.tif")]


def test_a_new_file_is_told_at_its_close_and_its_rename_as_what_it_is() -> None:
    watched = _one_known_file()
    watched.disk.put(p("b"))
    watched.wait(0.0)
    assert watched.take() == [("Create", "b")]
    watched.disk.rename(p("b"), p("c"))
    watched.wait(0.0)
    assert watched.take() == [("Delete", "b"), ("Create", "c")]


@pytest.mark.parametrize("link", ["symlink", "link"])
def test_a_link_is_told_at_once(link: str) -> None:
    watched = Watched()
    watched.disk.put(b"/data/a")
    if link == "symlink":
        watched.disk.symlink(p("b"))
    else:
        watched.disk.link(b"/data/a", p("b"))
    watched.wait(0.0)
    assert watched.take() == [("Create", "b")]


def test_what_came_earlier_is_told_earlier() -> None:
    watched = _one_known_file()
    watched.disk.put(p("first.tmp"))
    watched.wait(0.01)
    watched.disk.put(p("second"))
    watched.wait(0.0)
    assert watched.take() == []
    watched.wait(1)
    assert watched.take() == [("Create", "first.tmp"), ("Create", "second")]


def test_a_rename_ends_the_wait_of_what_came_later() -> None:
    watched = _one_known_file()
    watched.disk.put(p("first.new"))
    watched.disk.put(p("second"))
    watched.wait(0.01)
    assert watched.take() == []
    watched.disk.rename(p("first.new"), p("first"))
    watched.wait(0.0)
    assert watched.take() == [("Create", "second"), ("Create", "first")]


def test_after_a_burst_a_write_that_comes_alone_is_told_at_once() -> None:
    watched = _one_known_file()
    for _ in range(2):
        watched.disk.put(p("a"))
        watched.wait(0.01)
    for _ in range(5):
        watched.wait(0.9)
        watched.take()
        watched.disk.put(p("a"))
        watched.wait(0.0)
        assert watched.take() == [("Modify", "a")]


def test_a_burst_that_goes_on_in_an_open_file_is_told_at_its_close() -> None:
    watched = _one_known_file()
    watched.disk.leases = True
    for _ in range(2):
        watched.disk.put(p("a"))
        watched.wait(0.01)
    watched.take()
    file = watched.disk.open(p("a"))
    watched.disk.write(file)
    watched.wait(5)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Modify", "a")]


def test_nobody_waits_for_a_burst_of_writes() -> None:
    watched = _one_known_file()
    for _ in range(2):
        watched.disk.put(p("a"))
        watched.wait(0.0)
    assert watched.take() == [("Modify", "a")]
    watched.disk.put(p("b"))
    watched.wait(0.0)
    assert watched.take() == [("Create", "b")]
    watched.wait(Timing().burst_gap)
    assert watched.take() == [("Modify", "a")]


def test_a_known_file_that_waits_and_is_written_on_is_not_forgotten() -> None:
    watched = _one_known_file()
    watched.disk.put(p("first.new"))
    watched.disk.put(p("a"))  # waits behind it
    watched.wait(0.01)
    watched.disk.put(p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "first.new"), ("Modify", "a")]


def test_what_was_told_is_remembered_for_no_longer_than_a_burst() -> None:
    watched = _one_known_file()
    for number in range(1000):
        watched.disk.put(p(f"{number}"))
    watched.wait(1)
    for number in range(1000):
        watched.disk.put(p(f"{number}"))
        watched.wait(0.01)
    assert 0 < len(watched.tracker._arrivals._recent) <= Timing().burst_gap / 0.01 + 1


def test_nobody_waits_for_a_file_that_is_written_for_long() -> None:
    watched = _one_known_file()
    file = watched.disk.open(p("large"))
    watched.wait(1)
    watched.disk.put(p("small"))
    watched.wait(0.0)
    assert watched.take() == [("Create", "small")]
    watched.disk.close(file)
    watched.wait(0.0)
    assert watched.take() == [("Create", "large")]


def test_nobody_wakes_for_what_was_told() -> None:
    watched = _one_known_file()
    file = watched.disk.open(p("b"))
    watched.wait(0.0)
    watched.disk.close(file)
    watched.wait(0.0)
    assert watched.take() == [("Create", "b")]
    assert watched.tracker._arrivals.due() == math.inf


def test_a_burst_without_end_is_told_from_time_to_time() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    for _ in range(700):
        watched.disk.put(p("a"))
        watched.wait(0.1)
    assert watched.take() == [("Modify", "a")] * 3  # at once, and after 30 s each


def test_writes_in_one_open_are_one_modify_after_the_close() -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    file = watched.disk.open(p("a"))
    for _ in range(2048):
        watched.disk.write(file)
    watched.wait(60)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Modify", "a")]


def test_where_the_kernel_does_not_say_who_writes_silence_counts_as_a_close() -> None:
    """Else what truncate(2) did to a file by its path would never be told: nobody closes it."""
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    file = watched.disk.open(p("a"))
    for _ in range(20):
        watched.disk.write(file)
        watched.wait(Timing().silence * 0.9)
    assert watched.take() == []
    watched.wait(Timing().silence * 0.2)
    assert watched.take() == [("Modify", "a")]
    watched.disk.write(file)
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Modify", "a")]


@pytest.mark.parametrize("leases", [True, False])
def test_a_file_that_nobody_opens_is_truncated(leases: bool) -> None:
    watched = Watched()
    watched.disk.leases = leases
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    watched.disk.truncate(p("a"))
    watched.wait(1.0 if leases else Timing().silence + 1)
    assert watched.take() == [("Modify", "a")]
    assert watched.tracker._arrivals.due() == math.inf


def test_opened_for_writing_and_not_written_is_no_modify() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    watched.disk.close(watched.disk.open(p("a")))
    watched.wait(10)
    assert watched.take() == []


def test_changed_times_alone_are_not_told() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.utime(p("a"))
    watched.wait(100)
    assert watched.take() == [("Create", "a")]


def test_a_write_whose_time_is_set_back_is_a_modify() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    file = watched.disk.open(p("a"))
    watched.disk.write(file)
    watched.disk.utime(p("a"))
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Modify", "a")]


def test_a_temporary_name_renamed_into_place_is_one_create() -> None:
    watched = Watched()
    watched.disk.put(p("a.new"))
    watched.disk.rename(p("a.new"), p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a")]


def test_a_name_renamed_while_it_is_written_waits_for_its_close() -> None:
    watched = Watched()
    file = watched.disk.open(p("a.part"))
    watched.disk.write(file)
    watched.disk.rename(p("a.part"), p("a"))
    watched.wait(5)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Create", "a")]


def test_a_name_passed_over_until_it_is_renamed() -> None:
    watched = Watched(ignore_sys_files=True)
    watched.disk.put(p(".a.x7Y2"))
    watched.wait(60)
    assert watched.take() == []
    watched.disk.rename(p(".a.x7Y2"), p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a")]


def test_renamed_over_a_known_file_is_a_modify() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.put(p("a.new"))
    watched.disk.rename(p("a.new"), p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a"), ("Modify", "a")]


def test_renamed_is_deleted_and_created() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.rename(p("a"), p("b"))
    watched.wait(1)
    assert watched.take() == [("Create", "a"), ("Delete", "a"), ("Create", "b")]


def test_moved_in_is_created_and_moved_out_is_deleted() -> None:
    watched = Watched()
    watched.disk.put(b"/data/a")
    watched.disk.rename(b"/data/a", p("a"))
    watched.wait(1)
    watched.disk.rename(p("a"), b"/data/a")
    watched.wait(1)
    assert watched.take() == [("Create", "a"), ("Delete", "a")]


def test_links_are_told_as_themselves() -> None:
    watched = Watched()
    watched.disk.put(b"/data/a")
    watched.disk.link(b"/data/a", p("hard"))
    watched.disk.symlink(p("soft"))
    watched.wait(1)
    assert sorted(watched.take()) == [("Create", "hard"), ("Create", "soft")]


def test_linked_into_place_and_the_old_name_removed() -> None:
    watched = Watched()
    watched.disk.put(b"/data/a")
    watched.disk.link(b"/data/a", p("a"))
    watched.disk.unlink(b"/data/a")
    watched.wait(Timing().silence * 1.1)
    assert watched.take() == [("Create", "a")]


def test_what_comes_and_goes_at_once_is_not_told() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.disk.unlink(p("a"))
    watched.wait(60)
    assert watched.take() == []


def test_deleted_and_made_again() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.unlink(p("a"))
    watched.disk.put(p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a"), ("Delete", "a"), ("Create", "a")]


def test_what_was_there_at_the_start_is_not_told_but_its_changes_are() -> None:
    disk = FakeDisk()
    disk.put(p("a"))
    disk.put(p("b"))
    watched = Watched(disk)
    watched.wait(60)
    assert watched.take() == []
    disk.put(p("a"))
    disk.unlink(p("b"))
    watched.wait(1)
    assert watched.take() == [("Modify", "a"), ("Delete", "b")]


def test_what_is_due_is_told_before_what_came_after_it() -> None:
    """Also if that is a Delete, or of a directory, and all of it was read at once."""
    watched = Watched(directory_events=True)
    for name in ("d", "d/e"):
        watched.disk.mkdirs(p(name))
    for name in ("b", "d/c"):
        watched.disk.put(p(name))
    watched.wait(1)
    watched.take()
    watched.disk.put(p("first"))
    watched.disk.unlink(p("b"))
    watched.disk.put(p("second"))
    watched.disk.rmtree(p("d"))
    watched.disk.put(p("third"))
    watched.disk.mkdirs(p("last"))
    watched.wait(0.0)
    assert watched.take() == [
        ("Create", "first"),
        ("Delete", "b"),
        ("Create", "second"),
        *(("Delete", name) for name in ("d/e", "d/c", "d")),
        ("Create", "third"),
        ("Create", "last"),
    ]
