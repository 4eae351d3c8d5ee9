"""Settling: nothing is at rest before its quiet period, and everything is after it."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omero_fs_plugin.dropbox.grouping.filesets import Reach
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.events import FileStat

QUIET = 10.0


def stat(size: int = 1, mtime_ns: int = 1, ctime_ns: int = 1) -> FileStat:
    return FileStat(device=1, inode=2, size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns)


@pytest.mark.parametrize(
    ("now", "at_rest"),
    [
        pytest.param(9.999, False, id="just before"),
        pytest.param(10.0, True, id="exactly"),
        pytest.param(11.0, True, id="after"),
    ],
)
def test_the_quiet_period_ends_at_its_length(now: float, at_rest: bool) -> None:
    settler = Settler(QUIET)
    settler.stir("/a", stat(), 0.0)
    assert bool(settler.due(now, 10)) is at_rest
    assert settler.check("/a", stat(), now) is at_rest


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(stat(size=2), id="size"),
        pytest.param(stat(mtime_ns=2), id="mtime"),
        pytest.param(FileStat(1, 3, 1, 1), id="another inode"),
    ],
)
def test_a_change_seen_on_disk_starts_the_quiet_period_anew(changed: FileStat) -> None:
    settler = Settler(QUIET)
    settler.stir("/a", stat(), 0.0)
    assert not settler.check("/a", changed, 10.0)
    assert settler.due(19.0, 10) == []
    assert settler.check("/a", changed, 20.0)


def test_a_chmod_is_no_sign_of_life() -> None:
    settler = Settler(QUIET)
    settler.stir("/a", stat(ctime_ns=1), 0.0)
    assert settler.check("/a", stat(ctime_ns=2), 10.0)


def test_due_gives_the_longest_at_rest_first_and_no_more_than_asked() -> None:
    settler = Settler(QUIET)
    for number in range(5):
        settler.stir(f"/{number}", stat(), float(number))
    settler.stir("/0", stat(), 5.0)
    assert [p.path for p in settler.due(20.0, 2)] == ["/1", "/2"]
    assert settler.next_due() == 11.0


def test_a_quiet_period_of_nothing_is_over_at_once() -> None:
    settler = Settler(0.0)
    settler.stir("/a", stat(), 3.0)
    assert settler.check("/a", stat(), 3.0)


@pytest.mark.parametrize("quiet", [3.0, 30.0], ids=["shorter", "longer"])
def test_another_quiet_period_holds_for_files_that_wait_already(quiet: float) -> None:
    """The time for which a file has been quiet counts."""
    settler = Settler(QUIET)
    for number, path in enumerate(("/b", "/a", "/other")):
        settler.stir(path, stat(), float(number), QUIET, path[:2])
    settler.requiet(lambda path: None if path == "/other" else quiet)
    first = min(quiet, 2.0 + QUIET)
    assert settler.next_due() == first
    assert [p.path for p in settler.due(quiet, 10, "/b")] == ["/b"]
    assert settler.check("/a", stat(), 1.0 + quiet)
    assert not settler.check("/a", stat(), 0.999 + quiet)
    assert settler.check("/other", stat(), 2.0 + QUIET)
    settler.forget("/a")
    settler.stir("/b", stat(), 1.0)
    assert settler.due(0.999 + quiet, 10, "/b") == []


class TestLongestWait:
    """A file that never rests is reported once, and goes on waiting."""

    def test_is_told_once_and_not_before(self) -> None:
        settler = Settler(QUIET, longest=60.0)
        for now in range(0, 60, 5):
            settler.stir("/a", stat(size=now + 1), float(now))
            assert settler.overdue(float(now)) == []
        assert settler.overdue(60.0) == ["/a"]
        assert settler.overdue(61.0) == []
        assert not settler.check("/a", stat(size=99), 62.0)
        assert not settler.check("/a", stat(size=100), 71.0), "and is still not at rest"
        assert settler.check("/a", stat(size=100), 81.0)

    def test_counts_from_the_first_sign_of_life(self) -> None:
        settler = Settler(QUIET, longest=60.0)
        settler.stir("/a", stat(), 0.0)
        settler.stir("/b", stat(), 30.0)
        settler.stir("/a", stat(), 55.0)
        assert settler.overdue(60.0) == ["/a"]
        assert settler.overdue(90.0) == ["/b"]

    def test_begins_anew_for_a_file_that_was_handed_on(self) -> None:
        settler = Settler(QUIET, longest=60.0)
        settler.stir("/a", stat(), 0.0)
        settler.forget("/a")
        settler.stir("/a", stat(), 50.0)
        assert settler.overdue(60.0) == []
        assert settler.overdue(110.0) == ["/a"]

    def test_is_endless_unless_given(self) -> None:
        settler = Settler(QUIET)
        settler.stir("/a", stat(), 0.0)
        assert settler.overdue(1e12) == []


class Settling(RuleBasedStateMachine):
    """Any order of writes, looks and waits, against the rule written out plainly.

    Files of one rule have one quiet period, those of another another.
    """

    paths = st.sampled_from(["/a", "/b", "/c"])

    def __init__(self) -> None:
        super().__init__()
        self.settler = Settler(QUIET)
        self.quiet = {"/a": QUIET, "/b": QUIET / 3, "/c": QUIET}
        self.now = 0.0
        self.disk: dict[str, FileStat] = {}
        self.last_sign: dict[str, float] = {}

    @rule(path=paths, size=st.integers(0, 5))
    def write(self, path: str, size: int) -> None:
        """A write whose event arrives."""
        self.disk[path] = FileStat(1, 1, size, int(self.now * 1000))
        self.settler.stir(path, self.disk[path], self.now, self.quiet[path])
        self.last_sign[path] = self.now

    @rule(path=paths, size=st.integers(6, 9))
    def write_unheard(self, path: str, size: int) -> None:
        """A write whose event is lost: only a look at the disk tells."""
        if path in self.last_sign:
            self.disk[path] = FileStat(1, 1, size, int(self.now * 1000) + 1)

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.last_sign)
    @rule()
    def look(self) -> None:
        for pending in self.settler.due(self.now, 10):
            path, before = pending.path, pending.stat
            at_rest = self.settler.check(path, self.disk[path], self.now)
            if at_rest:
                assert self.now - self.last_sign[path] >= self.quiet[path]
                assert before == self.disk[path]
                self.settler.forget(path)
                del self.last_sign[path]
            else:
                self.last_sign[path] = self.now

    @rule(path=paths)
    def remove(self, path: str) -> None:
        self.settler.forget(path)
        self.last_sign.pop(path, None)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert len(self.settler) == len(self.last_sign)
        overdue = {p for p, t in self.last_sign.items() if self.now - t >= self.quiet[p]}
        assert {p.path for p in self.settler.due(self.now, 100)} == overdue


TestSettling = Settling.TestCase


def test_a_tree_has_a_file_in_its_quiet_period() -> None:
    settler = Settler(10.0)
    stat = FileStat(1, 2, 3, 4, 5)
    for path in ("/r/a/x_00002", "/r/a/b/c/y.tif"):
        settler.stir(path, stat, 0.0)
    assert settler.first(Reach("/r/a", names=("x_00001", "x_00002"))) == "/r/a/x_00002"
    assert settler.first(Reach("/r/a", suffixes=("tif",))) == ""
    assert settler.first(Reach("/r/a", 2, ("tif",))) == "/r/a/b/c/y.tif"
    assert settler.first(Reach("/r/a/b", 1)) == "/r/a/b/c/y.tif"
    settler.forget("/r/a/b/c/y.tif")
    assert settler.first(Reach("/r/a/b", 1)) == ""
    settler.forget("/r/a/x_00002")
    assert settler.first(Reach("/r", 9)) == ""
