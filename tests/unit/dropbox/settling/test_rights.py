"""Rights that come back at any moment: what could not be read is tried again without another event.

Over a disk in memory.  The moments are: before a file is read, after that, after it was noted that
it could not be read, while the journal is told so, and any time later; for single files, members of
sets, stores, and what an import could not read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from omero_fs_plugin.dropbox.confine import UNREADABLE
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling import unread
from omero_fs_plugin.dropbox.settling.lots import Lot
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.rights import Rights
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store
from tests.conftest import examples
from tests.memory import MEMORY
from tests.rules import places_of

from .test_pipeline import QUIET, ROOT, Disk

AMY = f"{ROOT}/amy"
ONE, OTHER = f"{AMY}/a.tif", f"{AMY}/b.tif"  # the second one is told as Bio-Formats does
SET = INDEX, MEMBER = f"{AMY}/m.xml", f"{AMY}/d/m.tif"
STORE = f"{AMY}/s.zarr/"
ARRAY, CHUNK = f"{STORE}0/.zarray", f"{STORE}0/0.0"  # a chunk is read by the import alone
FILES = (ONE, OTHER, *SET, ARRAY, CHUNK)
FILESETS = ((ONE,), (OTHER,), SET, (STORE,))
A_DAY = 86_400.0


def why(path: str) -> str:
    return f"{path}: {UNREADABLE}: Permission denied: ask its owner, and it is tried again"


class Guarded(Disk):
    """Some of its files are shut."""

    def __init__(self) -> None:
        super().__init__()
        self.shut: set[str] = set()
        self.asked: Callable[[str], Any] = lambda path: None  # called before each answer

    def close(self, path: str) -> None:
        self.shut.add(path)
        self.chmod(path)

    def open(self, path: str) -> None:
        self.shut.discard(path)
        self.chmod(path)

    def stat(self, path: str) -> FileStat | None:
        self.asked(path)
        if not is_store(path):
            return super().stat(path)
        found = [stat for name, stat in self.files.items() if name.startswith(path)]
        if not found:
            return None
        changed = max(stat.ctime_ns for stat in found)
        return FileStat(1, 999, len(found), sum(stat.mtime_ns for stat in found), changed)

    def may_read(self, path: str) -> bool:
        self.asked(path)
        return path not in self.shut


class Queue:
    """Lanes whose jobs run when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def do(self, root: str, job: Callable[[], None], **options: object) -> None:
        self.jobs.append(job)


def grouped(disk: Guarded, files: tuple[str, ...]) -> Grouping:
    """What a grouper that reads them now says."""
    candidates: list[Candidate] = []
    unreadable: dict[str, str] = {}
    for path in files:
        if path in SET or is_store(path):
            continue
        if path not in disk.shut:
            candidates.append(Candidate((path,)))
        elif path == OTHER:
            unreadable[path] = why(path)
        else:
            candidates.append(Candidate((path,), refused=why(path), unread=(path,)))
    if not set(SET).isdisjoint(files):
        shut = tuple(path for path in SET if path in disk.shut)
        candidates.append(Candidate(SET, incomplete=why(shut[0]) if shut else "", unread=shut))
    if STORE in files:
        if ARRAY in disk.shut:
            candidates.append(Candidate((STORE,), refused=why(ARRAY), unread=(ARRAY,)))
        else:
            candidates.append(Candidate((STORE,)))
    return Grouping(tuple(candidates), unreadable, frozenset(unreadable))


@dataclass
class Answer:
    lot: Lot
    grouping: Grouping


class Scene:
    """A pipeline, and who looks at rights, step by step."""

    def __init__(self, directory: str) -> None:
        self.url = f"sqlite:///{directory}/journal.sqlite"
        self.now = self.wall = 1_000_000.0
        self.disk = Guarded()
        self.attempt: tuple[Fileset, str] | None = None  # under way, and what it could not read
        self.begin()

    def begin(self) -> None:
        self.lanes = Queue()
        self.journal = Journal(self.url, clock=lambda: self.wall)
        self.pipeline = Pipeline(
            self.journal,
            places_of(ROOT, dirImportWait=str(QUIET)),
            Settler(QUIET),
            Outside(self.disk.stat, {"amy"}.__contains__, may_read=self.disk.may_read),
        )
        lanes: Any = self.lanes
        self.rights = Rights(self.pipeline, lanes, lambda: self.now)
        self.reading: list[Answer] = []  # what is not noted yet
        self.noted: list[Answer] = []  # what the journal is not told of yet

    def restart(self) -> None:
        for fileset in self.journal.importing():
            self.journal.move(fileset.id, State.IMPORTING, State.QUEUED)
        self.attempt = None
        self.journal.close()
        self.begin()
        self.pipeline.revisit(self.now)

    def drop(self, *paths: str) -> None:
        for path in paths:
            self.disk.write(path, 1)
        self.pipeline.heard(paths, self.now)

    def wait(self, seconds: float = QUIET) -> None:
        self.now += seconds
        self.wall += seconds
        self.pipeline.step(self.now)

    def ask(self) -> bool:
        lot = self.pipeline.next_lot(self.now)
        if lot is not None:
            self.reading.append(Answer(lot, grouped(self.disk, lot.files)))
        return lot is not None

    def note(self) -> None:
        answer = self.reading.pop(0)
        self.rights.answered(answer.lot, answer.grouping)
        self.noted.append(answer)

    def tell(self) -> None:
        answer = self.noted.pop(0)
        self.pipeline.grouped(answer.lot, answer.grouping, self.now, 0.0)
        self.pipeline.take_failed()

    def answer(self) -> None:
        while self.reading:
            self.note()
        while self.noted:
            self.tell()

    def look(self) -> None:
        self.rights.look()
        while self.lanes.jobs:
            self.lanes.jobs.pop(0)()

    def take(self) -> bool:
        """An import begins, and reads its files."""
        users = self.journal.queued_users()
        fileset = self.journal.take(users[0]) if users and self.attempt is None else None
        if fileset is not None:
            paths = [met.path for met in fileset.files]
            below = [path for path in FILES if path in paths or path.startswith(STORE)]
            if paths != [STORE]:
                below = [path for path in below if path in paths]
            shut = [path for path in below if path in self.disk.shut]
            self.attempt = fileset, shut[0] if shut else ""
        return fileset is not None

    def end(self) -> None:
        """It ends, with what it read before."""
        assert self.attempt is not None
        fileset, shut = self.attempt
        self.attempt = None
        if shut:
            self.journal.refused(fileset.id, State.FAILED, why(shut))
            self.rights.failed(fileset.id)
            return
        contents = tuple(
            f"{met.path} {met.stat.inode} {met.stat.size} {met.stat.mtime_ns}"
            for met in fileset.files
        )
        for twin in self.journal.twins(fileset.user, contents[0]):
            if twin.sha1s == contents:
                self.journal.move(fileset.id, State.IMPORTING, State.SKIPPED, "the same files")
                return
        assert self.journal.note_verified(fileset, contents) is None
        self.journal.imported(fileset.id, fileset.id, [fileset.id], contents)

    def go_on(self) -> None:
        """Much time passes in which nothing happens to the files."""
        for _ in range(25):
            self.look()
            self.wait(100 * QUIET)
            while self.ask():
                self.answer()
            self.answer()
            if self.attempt is not None:
                self.end()
            while self.take():
                self.end()

    def assert_imported(self, *filesets: tuple[str, ...]) -> None:
        """Each of them once, and nothing waits or has failed."""
        rows = [(str(row.state), row.path, row.reason) for row in self.journal.select()]
        done = [tuple(met.path for met in row.files) for row in self.journal.select(State.IMPORTED)]
        assert sorted(done) == sorted(filesets), rows
        left = self.journal.select(State.WAITING, State.QUEUED, State.IMPORTING, State.FAILED)
        assert not left, rows


class RightsComeBack(RuleBasedStateMachine):
    """Files are shut and opened at any moment.  In the end all are open, and all are imported."""

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY)
        self.scene = Scene(self.directory.name)
        self.scene.drop(*FILES)

    @rule(path=st.sampled_from(FILES))
    def close(self, path: str) -> None:
        self.scene.disk.close(path)

    @rule(path=st.sampled_from(FILES))
    def open(self, path: str) -> None:
        self.scene.disk.open(path)

    @rule(path=st.sampled_from(FILES))
    def hear(self, path: str) -> None:
        self.scene.pipeline.heard([path], self.scene.now)

    @rule()
    def look_at_the_store(self) -> None:
        """As `looks` does."""
        self.scene.pipeline.heard([STORE], self.scene.now)

    @rule()
    def rescan(self) -> None:
        self.scene.pipeline.scanned(
            [met for met in self.scene.disk.scan() if not met.path.startswith(STORE)],
            self.scene.now,
        )

    @rule(seconds=st.floats(0, 2 * QUIET))
    def wait(self, seconds: float) -> None:
        self.scene.wait(seconds)

    @rule()
    def ask(self) -> None:
        self.scene.wait()
        self.scene.ask()

    @precondition(lambda self: self.scene.reading)
    @rule()
    def note(self) -> None:
        self.scene.note()

    @precondition(lambda self: self.scene.noted)
    @rule()
    def tell(self) -> None:
        self.scene.tell()

    @rule()
    def look(self) -> None:
        self.scene.rights.look()

    @precondition(lambda self: self.scene.lanes.jobs)
    @rule()
    def the_lane_comes_to_it(self) -> None:
        self.scene.lanes.jobs.pop(0)()

    @rule()
    def an_import_begins(self) -> None:
        self.scene.take()

    @precondition(lambda self: self.scene.attempt)
    @rule()
    def it_ends(self) -> None:
        self.scene.end()

    @rule()
    def a_day_passes(self) -> None:
        self.scene.wall += A_DAY
        self.scene.pipeline.expire(A_DAY, A_DAY)
        self.scene.pipeline.take_failed()

    @rule()
    def restart(self) -> None:
        self.scene.restart()

    @rule(path=st.sampled_from(FILES))
    def its_account_is_put_into_a_group(self, path: str) -> None:
        """Nothing happens to the file, and the right counts from the next start on."""
        self.scene.disk.shut.discard(path)
        self.scene.restart()

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        try:
            for path in sorted(self.scene.disk.shut):
                self.scene.disk.open(path)
            self.scene.go_on()
            self.scene.assert_imported(*FILESETS)
        finally:
            self.scene.journal.close()
            self.directory.cleanup()


TestRightsComeBack = RightsComeBack.TestCase
TestRightsComeBack.settings = settings(
    max_examples=examples(10),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# Each moment by itself.


@pytest.fixture
def scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        scene = Scene(directory)
        yield scene
        scene.journal.close()


# What is shut -> the files of its fileset, and what is dropped for it
KINDS = {
    "a file": (ONE, (ONE,), (ONE,)),
    "a file, by Bio-Formats": (OTHER, (OTHER,), (OTHER,)),
    "an index": (INDEX, SET, SET),
    "a member": (MEMBER, SET, SET),
    "a store's metadata": (ARRAY, (STORE,), (ARRAY, CHUNK)),
}
Kind = tuple[str, tuple[str, ...], tuple[str, ...]]
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@kinds
@pytest.mark.parametrize("rests", [False, True], ids=["", "it rests anew"])
@pytest.mark.parametrize("moment", ["read", "noted", "looked at", "told", "looked at after that"])
def test_it_is_mended_just_after_it_was(scene: Scene, kind: Kind, moment: str, rests: bool) -> None:
    """And somebody else may hear of it then, and it rests anew before the journal is told."""
    shut, fileset, dropped = kind
    scene.drop(*dropped)
    scene.disk.close(shut)
    scene.wait()

    def mended_if(now: str) -> None:
        if now == moment:
            scene.disk.open(shut)
            if rests:
                scene.pipeline.heard([shut], scene.now)
                scene.wait()

    assert scene.ask()
    mended_if("read")
    scene.note()
    mended_if("noted")
    scene.look()
    mended_if("looked at")
    scene.tell()
    mended_if("told")
    scene.look()
    mended_if("looked at after that")
    scene.go_on()
    scene.assert_imported(fileset)


@kinds
@pytest.mark.parametrize("moment", ["read", "told", "looked at", "looked at again"])
def test_it_is_mended_while_or_after_an_import_could_not_read_it(
    scene: Scene, kind: Kind, moment: str
) -> None:
    shut, fileset, dropped = kind
    scene.drop(*dropped)
    scene.wait()
    while scene.ask():
        scene.answer()
        scene.wait()
    assert scene.journal.counts()[State.QUEUED] == 1
    scene.disk.close(shut)
    assert scene.take()
    for step, now in (
        (lambda: None, "read"),
        (scene.end, "told"),
        (scene.look, "looked at"),
        (scene.look, "looked at again"),
    ):
        step()
        if now == moment:
            scene.disk.open(shut)
    scene.go_on()
    scene.assert_imported(fileset)


def test_a_chunk_that_only_the_import_reads(scene: Scene) -> None:
    scene.drop(ARRAY, CHUNK)
    scene.disk.close(CHUNK)
    scene.go_on()
    assert scene.journal.counts()[State.FAILED] == 1
    scene.disk.open(CHUNK)
    scene.go_on()
    scene.assert_imported((STORE,))


@kinds
def test_what_had_failed_before_a_start_is_looked_at_until_it_is_mended(
    scene: Scene, kind: Kind
) -> None:
    """Also if the journal does not answer at first."""
    shut, fileset, dropped = kind
    scene.drop(*dropped)
    scene.disk.close(shut)
    scene.go_on()
    scene.restart()
    blamed = scene.journal.blamed

    def away(*_: object) -> Any:
        raise JournalError("the journal does not answer")

    scene.journal.blamed = away  # type: ignore[method-assign]
    with pytest.raises(JournalError):
        scene.rights.look()
    assert scene.rights.awaited
    scene.journal.blamed = blamed  # type: ignore[method-assign]
    for _ in range(3):
        scene.look()
    scene.disk.open(shut)
    scene.go_on()
    scene.assert_imported(fileset)


def test_one_that_was_skipped_before_a_start_too(scene: Scene) -> None:
    """Nobody has to import what has not the name of an image, but it may be one."""
    notes = f"{AMY}/notes"
    scene.drop(notes)
    scene.disk.close(notes)
    scene.wait()
    lot = scene.pipeline.next_lot(scene.now)
    assert lot is not None
    told = Grouping((), {notes: why(notes)}, frozenset([notes]))
    scene.pipeline.grouped(lot, told, scene.now, 0.0)
    assert scene.journal.counts()[State.SKIPPED] == 1
    scene.restart()
    scene.disk.open(notes)
    scene.go_on()
    scene.assert_imported((notes,))


@pytest.mark.parametrize("path", [ONE, ARRAY], ids=["a file", "a store's metadata"])
def test_the_journal_is_away_when_it_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    scene.drop(ONE, ARRAY, CHUNK)
    scene.disk.close(path)
    scene.go_on()
    scene.disk.open(path)

    def away(*_: object) -> Any:
        raise JournalError("the journal does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(scene.journal, "known", away)
        with pytest.raises(JournalError):
            scene.look()
    scene.go_on()
    scene.assert_imported((ONE,), (STORE,))


def test_another_that_cannot_be_looked_at_does_not_matter(scene: Scene) -> None:
    """Its directory was shut after it was read."""
    first, second, third = (f"{AMY}/{name}/x.tif" for name in "abc")
    scene.drop(first, second, third)
    for path in (first, second, third):
        scene.disk.close(path)
    scene.go_on()
    assert scene.journal.counts()[State.FAILED] == 3

    def enter(path: str) -> None:
        if path == second:
            raise PermissionError(13, "Permission denied", path)

    scene.disk.asked = enter
    for path in (first, third):
        scene.disk.open(path)
    scene.go_on()
    done = {row.path for row in scene.journal.select(State.IMPORTED)}
    assert done == {first, third}
    scene.disk.asked = lambda path: None
    scene.disk.open(second)
    scene.go_on()
    scene.assert_imported((first,), (second,), (third,))


def test_who_is_at_its_set_just_now_asks_again(scene: Scene) -> None:
    """What it was read for is known as it is, so it does not rest anew itself."""
    known = f"{AMY}/d/known.tif"
    scene.drop(known)
    scene.go_on()
    scene.drop(INDEX, MEMBER)
    scene.disk.close(MEMBER)
    scene.wait()
    assert scene.ask()
    scene.note()
    scene.pipeline.mended([known], scene.now)
    scene.tell()
    assert scene.ask()


def test_a_set_that_rests_anew_is_not_given_up_for_what_it_lacked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.drop(INDEX, MEMBER)
    scene.disk.close(MEMBER)
    scene.wait()
    assert scene.ask()
    scene.answer()
    open_at = scene.journal.open_at

    def rests(paths: Any) -> Any:
        """Just when it is found out how long it has waited."""
        monkeypatch.undo()
        found = open_at(paths)
        scene.disk.open(MEMBER)
        scene.pipeline.heard([MEMBER], scene.now)
        scene.wait()
        return found

    monkeypatch.setattr(scene.journal, "open_at", rests)
    scene.pipeline.expire(A_DAY, A_DAY)
    assert scene.journal.counts()[State.FAILED] == 0
    scene.go_on()
    scene.assert_imported(SET)


def test_a_chmod_alone_makes_an_answer_an_old_one(scene: Scene) -> None:
    scene.drop(ONE)
    scene.wait()
    (lot,) = filter(None, [scene.pipeline.next_lot(scene.now)])
    assert scene.pipeline.lots.unchanged(lot) == {ONE}
    stat = scene.disk.files[ONE]
    scene.disk.files[ONE] = replace(stat, ctime_ns=stat.ctime_ns + 1_000)
    scene.pipeline.heard([ONE], scene.now)
    scene.wait()
    assert scene.pipeline.stat_of(ONE) == stat
    assert scene.pipeline.lots.unchanged(lot) == set()


@kinds
def test_a_right_of_which_no_inode_tells_counts_after_a_start(scene: Scene, kind: Kind) -> None:
    """The server's account was put into a group: its processes have that from their start on."""
    shut, fileset, dropped = kind
    scene.drop(*dropped)
    scene.disk.close(shut)
    scene.go_on()
    scene.restart()
    scene.disk.shut.clear()
    scene.go_on()
    scene.assert_imported(fileset)


def test_one_that_only_another_machine_may_not_read_is_tried_once_more(scene: Scene) -> None:
    """Its importers may be in other groups.  When the file is touched, it is tried again."""
    scene.drop(ONE)
    tries = 0
    for _ in range(10):
        scene.look()
        scene.wait(100 * QUIET)
        while scene.ask():
            scene.answer()
        if scene.take():
            assert scene.attempt is not None
            scene.attempt = scene.attempt[0], ONE
            scene.end()
            tries += 1
    assert tries == 2
    assert scene.journal.counts()[State.FAILED] == 1
    scene.disk.chmod(ONE)
    scene.go_on()
    scene.assert_imported((ONE,))


def test_one_that_is_imported_by_now_is_not_tried_again(scene: Scene) -> None:
    """Whoever knows that it may be read comes late."""
    scene.drop(ONE, OTHER)
    scene.go_on()
    scene.pipeline.may_be_read([ONE, OTHER, f"{AMY}/gone.tif"], scene.now)
    scene.go_on()
    scene.assert_imported((ONE,), (OTHER,))


def test_one_that_fails_while_the_journal_is_asked_is_asked_about_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the same as before: a person has had it tried again, in vain."""
    scene.look()
    assert not scene.rights.awaited
    blamed = scene.journal.blamed

    def asked(*given: Any) -> Any:
        monkeypatch.undo()
        found = blamed(*given)
        scene.rights.failed(7)
        return found

    monkeypatch.setattr(scene.journal, "blamed", asked)
    scene.rights.failed(7)
    scene.look()
    assert scene.rights.awaited
    scene.look()
    assert not scene.rights.awaited


def test_where_there_are_very_many_a_rescan_of_their_root_finds_the_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their user has given the rights to all of them.  The whole rescan may come in an hour."""
    monkeypatch.setattr(unread, "_MOST", 2)
    many = [f"{AMY}/{number}.tif" for number in range(5)]
    scene.drop(*many)
    for path in many:
        scene.disk.close(path)
    scene.go_on()
    assert scene.journal.counts()[State.FAILED] == 5
    assert not scene.pipeline.files.unsure
    for path in many:
        scene.disk.open(path)
    scene.look()
    assert scene.pipeline.files.unsure == {AMY}
    scene.pipeline.scanned(list(scene.disk.scan()), scene.now)
    scene.go_on()
    scene.assert_imported(*((path,) for path in many))


def test_very_many_that_stay_shut_are_no_load_for_ever(scene: Scene) -> None:
    """On a share each look at a file may take a while.  Others are on it, too."""
    scene.drop(ONE)
    scene.disk.close(ONE)
    scene.go_on()
    began, spent = scene.now, 0.0

    def takes_long(path: str) -> None:
        nonlocal spent
        scene.now += 3.0
        spent += 3.0

    scene.disk.asked = takes_long
    while scene.now < began + 1_000.0:
        scene.look()
        scene.now += 5.0
    assert 0.0 < spent / (scene.now - began) < 0.06
    scene.disk.asked = lambda path: None
    scene.disk.open(ONE)
    scene.go_on()
    scene.assert_imported((ONE,))
