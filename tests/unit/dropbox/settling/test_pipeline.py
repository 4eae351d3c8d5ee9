"""The pipeline over a disk in memory: every content exactly once, whatever is lost or killed."""

from __future__ import annotations

import errno
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling import meeting, underway
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.events import FileStat
from tests.conftest import examples
from tests.memory import MEMORY
from tests.rules import places_of

ROOT = "/dropbox"
QUIET = 10.0


class Disk:
    """Files in memory, with inodes that behave as a real file system's.

    A new file gets the first that is free, which may be that of a file that was deleted.
    """

    def __init__(self) -> None:
        self.files: dict[str, FileStat] = {}
        self._ticks = itertools.count(1)

    def write(self, path: str, size: int) -> None:
        tick = next(self._ticks)
        used = {stat.inode for stat in self.files.values()}
        free = next(inode for inode in itertools.count(1) if inode not in used)
        inode = self.files[path].inode if path in self.files else free
        self.files[path] = FileStat(1, inode, size, tick, tick)

    def rename(self, old: str, new: str) -> None:
        was = self.files.pop(old)
        self.files[new] = FileStat(was.device, was.inode, was.size, was.mtime_ns, next(self._ticks))

    def chmod(self, path: str) -> None:
        if path in self.files:
            self.files[path] = replace(self.files[path], ctime_ns=next(self._ticks))

    def stat(self, path: str) -> FileStat | None:
        return self.files.get(path)

    def scan(self) -> list[Found]:
        return [Found(path, stat) for path, stat in self.files.items()]


class Alone(Pipeline):
    """Every file is a fileset, and a step brings it as far as the queue."""

    def step(self, now: float) -> int:
        super().step(now)
        queued = 0
        while (lot := self.next_lot(now)) is not None:
            each = Grouping(tuple(Candidate((path,)) for path in lot.files))
            queued += self.grouped(lot, each, now, 0.0)
        return queued


def build(journal: Journal, disk: Disk, users: set[str]) -> Pipeline:
    return Alone(
        journal,
        places_of(ROOT, dirImportWait=str(QUIET)),
        Settler(QUIET),
        Outside(disk.stat, users.__contains__),
    )


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def pipeline(journal: Journal, disk: Disk) -> Pipeline:
    return build(journal, disk, {"amy", "zak"})


def test_a_file_is_in_the_journal_as_soon_as_it_is_met(
    pipeline: Pipeline, disk: Disk, journal: Journal
) -> None:
    disk.write("/dropbox/amy/a", 1)
    pipeline.heard(["/dropbox/amy/a"], 0.0)
    (fileset,) = journal.select()
    assert (fileset.user, fileset.root, fileset.state) == ("amy", "/dropbox/amy", State.WAITING)


def test_it_is_queued_when_quiet_and_not_before(
    pipeline: Pipeline, disk: Disk, journal: Journal
) -> None:
    disk.write("/dropbox/amy/a", 1)
    pipeline.heard(["/dropbox/amy/a"], 0.0)
    assert pipeline.step(9.9) == 0
    assert pipeline.step(10.0) == 1
    assert journal.counts()["queued"] == 1
    assert pipeline.pending() == 0


def test_a_growing_file_is_never_queued_though_its_events_are_lost(
    pipeline: Pipeline, disk: Disk
) -> None:
    disk.write("/dropbox/amy/a", 1)
    pipeline.heard(["/dropbox/amy/a"], 0.0)
    for now in range(5, 200, 5):
        disk.write("/dropbox/amy/a", now)
        assert pipeline.step(float(now)) == 0


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/dropbox/stray.tif", {"/dropbox/stray.tif": "lies in no user's directory"}),
        ("/dropbox/nobody/a", {}),  # told of the directory, not of each file
        (
            "/dropbox/amy/\udcff",
            {"/dropbox/amy/\\xff": "the name is not valid UTF-8: rename the file"},
        ),
    ],
)
def test_what_is_nobodys_is_left_alone(
    pipeline: Pipeline, disk: Disk, journal: Journal, path: str, told: dict[str, str]
) -> None:
    disk.write(path, 1)
    pipeline.heard([path], 0.0)
    pipeline.scanned(disk.scan(), 0.0)
    assert pipeline.step(20.0) == 0
    assert journal.select() == []
    assert pipeline.files.left_alone == told


def test_a_file_removed_while_it_settles_is_told(
    pipeline: Pipeline, disk: Disk, journal: Journal
) -> None:
    disk.write("/dropbox/amy/a", 1)
    pipeline.heard(["/dropbox/amy/a"], 0.0)
    del disk.files["/dropbox/amy/a"]
    pipeline.step(10.0)
    (fileset,) = journal.select()
    assert fileset.state is State.SKIPPED
    assert "removed" in fileset.reason


@pytest.mark.parametrize("how", ["heard", "revisit"])
def test_what_comes_between_the_look_and_the_lock_settles(
    pipeline: Pipeline, disk: Disk, journal: Journal, how: str
) -> None:
    """Its own event was handled meanwhile, so nobody tells of it again."""
    path = f"{ROOT}/amy/a"
    disk.write(path, 1)
    pipeline.heard([path], 0.0)
    pipeline.settler.forget(path)  # as after a restart
    del disk.files[path]
    looks = itertools.count()

    def stat(path: str) -> FileStat | None:
        found = disk.stat(path)
        if next(looks) == 0:
            disk.write(path, 2)
            pipeline.heard([path], 1.0)
        return found

    pipeline.outside.stat = stat
    if how == "heard":
        pipeline.heard([path], 1.0)
    else:
        pipeline.revisit(1.0)
    assert journal.counts()["waiting"] == 1
    assert pipeline.step(1.0 + QUIET) == 1


def test_a_rescan_of_what_is_known_changes_nothing(
    pipeline: Pipeline, disk: Disk, journal: Journal
) -> None:
    disk.write("/dropbox/amy/a", 1)
    pipeline.scanned(disk.scan(), 0.0)
    pipeline.scanned(disk.scan(), 6.0)
    assert pipeline.step(10.0) == 1, "a rescan is no sign of life"
    before = journal.select()
    pipeline.scanned(disk.scan(), 11.0)
    assert pipeline.step(30.0) == 0
    assert journal.select() == before


def test_a_file_written_while_it_is_imported_is_looked_at_again_after(
    pipeline: Pipeline, disk: Disk, journal: Journal
) -> None:
    disk.write("/dropbox/amy/a", 1)
    pipeline.heard(["/dropbox/amy/a"], 0.0)
    pipeline.step(10.0)
    first = journal.take("amy")
    assert first is not None
    disk.write("/dropbox/amy/a", 2)
    pipeline.heard(["/dropbox/amy/a"], 11.0)
    assert pipeline.step(21.0) == 0
    journal.imported(first.id, 1, [1], ["ab"])
    assert pipeline.step(31.0) == 1
    second = journal.take("amy")
    assert second is not None
    assert (second.id != first.id, second.files[0].stat.size) == (True, 2)


def test_a_file_handed_over_in_its_quiet_period_is_accounted_for_at_its_end(
    pipeline: Pipeline, disk: Disk, journal: Journal
) -> None:
    disk.write("/dropbox/amy/a", 1)
    pipeline.heard(["/dropbox/amy/a"], 0.0)
    handed = journal.hand_over("amy", "/dropbox/amy", disk.scan()[0])
    assert journal.take("amy") is not None
    journal.imported(handed.id, 1, [1], ["ab"])
    assert pipeline.step(10.0) == 0
    assert pipeline.pending() == 0
    assert [fileset.id for fileset in journal.select()] == [handed.id]


def test_a_file_that_is_held_by_a_writer_is_not_at_rest(
    pipeline: Pipeline, disk: Disk, journal: Journal
) -> None:
    held = {"/dropbox/amy/a"}
    pipeline.outside.written = lambda paths: held & set(paths)
    for name in "ab":
        disk.write(f"/dropbox/amy/{name}", 1)
    pipeline.heard(["/dropbox/amy/a", "/dropbox/amy/b"], 0.0)
    assert pipeline.step(10.0) == 1
    assert [f.path for f in journal.select(State.QUEUED)] == ["/dropbox/amy/b"]
    held.clear()
    assert pipeline.step(19.9) == 0, "its quiet period began anew"
    assert pipeline.step(20.0) == 1


def test_a_file_that_never_rests_is_told_and_not_imported(
    pipeline: Pipeline, disk: Disk, journal: Journal
) -> None:
    pipeline.settler.longest = 60.0
    for now in range(0, 100, 5):
        disk.write("/dropbox/amy/a", now)
        pipeline.heard(["/dropbox/amy/a"], float(now))
        assert pipeline.step(float(now)) == 0
    (fileset,) = journal.select()
    assert fileset.state is State.WAITING
    assert fileset.reason == "it has kept changing for 60 s, and waits until it rests"
    assert pipeline.step(120.0) == 1


class TestAway:
    """What cannot be looked at is not gone."""

    @pytest.fixture
    def away(self, pipeline: Pipeline, disk: Disk) -> set[str]:
        """Paths that a share does not answer for."""
        paths: set[str] = set()

        def stat(path: str) -> FileStat | None:
            if path in paths:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return disk.stat(path)

        pipeline.outside.stat = stat
        return paths

    def test_in_its_quiet_period(
        self, pipeline: Pipeline, disk: Disk, journal: Journal, away: set[str]
    ) -> None:
        path = "/dropbox/amy/a"
        disk.write(path, 1)
        pipeline.heard([path], 0.0)
        away.add(path)
        pipeline.heard([path], 5.0)
        assert pipeline.step(10.0) == 0
        assert journal.counts()["waiting"] == 1
        assert pipeline.files.left_alone[path] == "cannot be looked at: Stale file handle"
        assert pipeline.files.unsure
        away.clear()
        assert pipeline.step(20.0) == 1

    def test_at_a_start(
        self, pipeline: Pipeline, disk: Disk, journal: Journal, away: set[str]
    ) -> None:
        path = "/dropbox/amy/a"
        disk.write(path, 1)
        pipeline.heard([path], 0.0)
        pipeline.settler.forget(path)
        away.add(path)
        pipeline.revisit(1.0)
        assert (journal.counts()["waiting"], pipeline.files.unsure) == (1, {"/dropbox/amy"})
        away.clear()
        pipeline.revisit(2.0)
        assert not pipeline.files.unsure
        assert pipeline.step(12.0) == 1

    def test_with_the_users_whole_directory(
        self, pipeline: Pipeline, disk: Disk, journal: Journal
    ) -> None:
        path = "/dropbox/amy/a"
        there = False
        pipeline.outside.is_there = lambda directory: there
        disk.write(path, 1)
        stat = disk.files.pop(path)
        journal.wait("amy", "/dropbox/amy", [Found(path, stat)])
        for now in (0.0, 1.0):
            pipeline.revisit(now)
        (fileset,) = journal.select()
        assert (fileset.state, fileset.reason) == (State.WAITING, "/dropbox/amy is not there")
        assert len(journal.events(fileset.id)) == 2, "told once"
        there = True
        disk.files[path] = stat
        pipeline.revisit(2.0)
        assert pipeline.step(12.0) == 1


def test_what_is_no_file_is_told(pipeline: Pipeline, disk: Disk) -> None:
    pipeline.outside.oddity = lambda path: "a symbolic link" if path.endswith("link") else ""
    pipeline.heard(["/dropbox/amy/link", "/dropbox/amy/gone"], 0.0)
    assert pipeline.files.left_alone == {"/dropbox/amy/link": "a symbolic link"}
    pipeline.outside.oddity = lambda path: ""
    pipeline.heard(["/dropbox/amy/link"], 1.0)
    assert pipeline.files.left_alone == {}, "it is gone"


class ExactlyOnce(RuleBasedStateMachine):
    """Drops, rewrites, renames, lost events, kills and imports in any order.

    The importer is the rule of the real one in small: it refuses a file that
    is not what was queued, and knows an imported inode again.
    """

    names = st.sampled_from(
        [f"{ROOT}/{user}/{name}" for user in ("amy", "zak") for name in ("a", "b", "c")]
    )

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY)
        self.url = f"sqlite:///{self.directory.name}/journal.sqlite"
        self.journal = Journal(self.url)
        self.disk = Disk()
        self.now = 0.0
        self.imports: Counter[tuple[str, int, int, int]] = Counter()
        self.pipeline = build(self.journal, self.disk, {"amy", "zak"})

    @rule(path=names, size=st.integers(0, 3), heard=st.booleans())
    def write(self, path: str, size: int, heard: bool) -> None:
        self.disk.write(path, size)
        if heard:
            self.pipeline.heard([path], self.now)

    @rule(old=names, new=names, heard=st.booleans())
    def rename(self, old: str, new: str, heard: bool) -> None:
        if old in self.disk.files and new not in self.disk.files:
            self.disk.rename(old, new)
            if heard:
                self.pipeline.heard([old, new], self.now)

    @rule(path=names, heard=st.booleans())
    def remove(self, path: str, heard: bool) -> None:
        if self.disk.files.pop(path, None) and heard:
            self.pipeline.heard([path], self.now)

    @rule(seconds=st.floats(0, 15))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.pipeline.step(self.now)

    @rule()
    def rescan(self) -> None:
        self.pipeline.scanned(self.disk.scan(), self.now)
        self.pipeline.revisit(self.now)

    @rule()
    def kill_and_restart(self) -> None:
        for fileset in self.journal.importing():
            self.journal.move(fileset.id, State.IMPORTING, State.QUEUED)
        self.journal.close()
        self.journal = Journal(self.url)
        self.now = 0.0  # another boot, another monotonic clock
        self.pipeline = build(self.journal, self.disk, {"amy", "zak"})
        self.pipeline.revisit(self.now)

    @precondition(lambda self: self.journal.queued_users())
    @rule()
    def import_one(self) -> None:
        fileset = self.journal.take(self.journal.queued_users()[0])
        assert fileset is not None
        (met,) = fileset.files
        stat = self.disk.stat(met.path)
        if stat != met.stat:
            self.journal.move(fileset.id, State.IMPORTING, State.WAITING, "changed")
            self.pipeline.heard([met.path], self.now)
            return
        content = (fileset.user, stat.inode, stat.size, stat.mtime_ns)
        twins = self.journal.twins(fileset.user, str(content))
        if twins:
            self.journal.moved(twins[0].id, 0, met)
            self.journal.move(fileset.id, State.IMPORTING, State.SKIPPED, "renamed")
            return
        self.imports[content] += 1
        number = self.imports.total()
        self.journal.imported(fileset.id, number, [number], [str(content)])

    @invariant()
    def nothing_twice(self) -> None:
        for content, times in getattr(self, "imports", Counter()).items():
            assert times == 1, content

    def teardown(self) -> None:
        if not hasattr(self, "journal"):
            return
        # Left alone long enough, with one rescan, everything on disk is imported.
        self.rescan()
        for _ in range(50):
            self.wait(QUIET)
            while self.journal.queued_users():
                self.import_one()
            if not self.pipeline.pending():
                break
        assert self.journal.counts()["waiting"] == 0
        for path, stat in self.disk.files.items():
            place = self.pipeline.places.place(path)
            user = place.user if place else None
            assert self.imports[(user, stat.inode, stat.size, stat.mtime_ns)] == 1, path
        self.journal.close()
        self.directory.cleanup()


TestExactlyOnce = ExactlyOnce.TestCase
TestExactlyOnce.settings = settings(
    max_examples=examples(25),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def skipped(pipeline: Pipeline, disk: Disk, journal: Journal, path: str) -> None:
    """A file that no reader takes."""
    disk.write(path, 1)
    pipeline.heard([path], 0.0)
    Pipeline.step(pipeline, QUIET)
    lot = pipeline.next_lot(QUIET)
    assert lot is not None
    pipeline.grouped(lot, Grouping((), {path: "no reader takes it"}), QUIET, 0.0)
    assert [(f.path, f.state) for f in journal.select()] == [(path, State.SKIPPED)]


@pytest.mark.parametrize("writes", [False, True], ids=["as it was", "after a last write"])
@pytest.mark.parametrize("heard", ["event", "rescan"])
def test_after_a_rename_nothing_is_left_of_the_former_name(
    pipeline: Pipeline, disk: Disk, journal: Journal, writes: bool, heard: str
) -> None:
    former, path = "/dropbox/amy/a.tif.tool", "/dropbox/amy/a.tif"
    skipped(pipeline, disk, journal, former)
    if writes:
        disk.write(former, 2)
    disk.rename(former, path)
    if heard == "event":
        pipeline.heard([former, path], 20.0)
    else:
        pipeline.scanned(disk.scan(), 20.0)
    assert [(f.path, f.state) for f in journal.select()] == [(path, State.WAITING)]
    assert pipeline.step(40.0) == 1


def test_a_second_name_is_no_rename(pipeline: Pipeline, disk: Disk, journal: Journal) -> None:
    former, path = "/dropbox/amy/a.tif.tool", "/dropbox/amy/a.tif"
    skipped(pipeline, disk, journal, former)
    disk.files[path] = replace(disk.files[former], ctime_ns=99)
    pipeline.heard([path], 20.0)
    assert {f.path for f in journal.select()} == {former, path}


def test_what_another_user_had_under_another_name_stays(
    pipeline: Pipeline, disk: Disk, journal: Journal
) -> None:
    former, path = "/dropbox/amy/a.tif.tool", "/dropbox/zak/a.tif"
    skipped(pipeline, disk, journal, former)
    disk.rename(former, path)
    pipeline.heard([former, path], 20.0)
    assert {f.path for f in journal.select()} == {former, path}


@pytest.mark.parametrize("directory", ["/dropbox/amy", "/dropbox/amy/day 2"])
@pytest.mark.parametrize("heard", ["event", "rescan"])
def test_a_new_file_with_the_inode_of_a_deleted_one_is_a_file_of_its_own(
    pipeline: Pipeline, disk: Disk, journal: Journal, directory: str, heard: str
) -> None:
    """File systems give the inode of a file that was deleted to the next new one."""
    former, path = "/dropbox/amy/notes.txt", f"{directory}/b.tif"
    skipped(pipeline, disk, journal, former)
    (before,) = journal.select()
    disk.write(former, 2)
    disk.rename(former, path)
    if heard == "event":
        pipeline.heard([former, path], 20.0)
    else:
        pipeline.scanned(disk.scan(), 20.0)
    assert {(f.path, f.state) for f in journal.select()} == {
        (former, State.SKIPPED),
        (path, State.WAITING),
    }
    assert journal.get(before.id) == before, "its history is its own"


def test_very_many_that_go_or_are_renamed_at_once_let_others_in_between(
    pipeline: Pipeline, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "BATCH", 10)
    monkeypatch.setattr(meeting, "SMALL_BATCH", 5)
    names = [f"{ROOT}/amy/{number}.tif" for number in range(40)]
    for number, path in enumerate(names):
        disk.files[path] = FileStat(1, number + 1, 1, 1, 0)
    pipeline.heard(names, 0.0)
    at_once: list[int] = []

    def gone(paths: Sequence[str], away: Collection[str]) -> list[str]:
        at_once.append(len(paths))
        assert pipeline.files.lock.locked()
        return was_gone(paths, away)

    was_gone = pipeline.files.gone
    monkeypatch.setattr(pipeline.files, "gone", gone)
    followed: list[int] = []
    was_followed = pipeline.journal.follow

    def follow(renamed: Mapping[int, tuple[str, Found]]) -> None:
        followed.append(len(renamed))
        was_followed(renamed)

    monkeypatch.setattr(pipeline.journal, "follow", follow)
    new = [path.replace(".tif", ".new.tif") for path in names]
    for old, path in zip(names, new, strict=True):
        disk.rename(old, path)
    pipeline.heard(new, 1.0)
    assert sum(followed) == 40 and max(followed) <= 5
    for path in new:
        del disk.files[path]
    pipeline.heard(new, 2.0)
    assert sum(at_once) == 40 and max(at_once) <= 10
    assert not pipeline.files.lock.locked()


def test_files_that_come_and_go_without_end_take_bounded_room(
    pipeline: Pipeline, disk: Disk, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal keeps the last of each user, and whatever more than that happened to."""
    monkeypatch.setattr(underway, "GONE_KEPT", 200)
    ended = "/dropbox/amy/ended.tif"
    disk.write(ended, 1)
    pipeline.heard([ended], 0.0)
    journal.end_waiting({journal.open_at([ended])[ended].id: "a person said so"}, State.SKIPPED)
    other = "/dropbox/zak/other.tif"
    now = 1.0
    for number in range(1_000):
        path = f"/dropbox/amy/{number}.tif"
        disk.write(path, 5)
        if number == 500:
            disk.write(other, 7)
            pipeline.heard([other], now)
        pipeline.heard([path], now)
        del disk.files[path]
        pipeline.heard([path], now + 0.1)
        now += 0.2
    kept = journal.select(State.SKIPPED)
    assert 200 - underway.SMALL_BATCH <= len(kept) - 1 <= 200
    assert {row.path for row in kept} >= {"/dropbox/amy/999.tif", ended}
    assert [row.path for row in journal.select(State.WAITING)] == [other]
    last = "/dropbox/amy/0.tif"  # as any other, though it was there before
    disk.write(last, 9)
    pipeline.heard([last], now)
    pipeline.step(now + QUIET)
    assert {row.path for row in journal.select(State.QUEUED)} == {other, last}
