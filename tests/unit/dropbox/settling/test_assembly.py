"""Sets over a disk in memory: every set as a whole and exactly once, whatever happens to it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping, Reach
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import GONE, Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.lots import Lot
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.errors import JournalError, RecordRefused
from omero_fs_plugin.events import FileStat
from tests.conftest import examples
from tests.integration.dropbox.journal.counting import counting
from tests.memory import MEMORY
from tests.rules import places_of

from .test_pipeline import QUIET, ROOT, Disk

AMY = f"{ROOT}/amy"
# Sets by the names of their files, the first first; two of them share a file, and
# one has all files of another.
SETS = [
    tuple(f"{AMY}/{name}" for name in names)
    for names in (
        ("s0", "s1", "d/s2"), ("u0", "log"), ("v0", "log"), ("x",), ("m0", "p0", "p1"), ("p0", "p1")
    )
]  # fmt: skip
SETS.append((f"{ROOT}/zak/x",))
NAMES = sorted({path for names in SETS for path in names})
A_DAY = 86_400.0


def build(journal: Journal, disk: Disk) -> Pipeline:
    return Pipeline(
        journal,
        places_of(ROOT, dirImportWait=str(QUIET)),
        Settler(QUIET),
        Outside(disk.stat, {"amy", "zak"}.__contains__),
    )


class Members:
    """What a grouper would say: sets by their names, and what was said of some of them instead."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.verdicts: dict[str, str] = {}  # first file -> held, broken, refused or unreadable

    def group(self, files: Iterable[str]) -> Grouping:
        candidates = []
        unreadable = {}
        told = set()
        for names in SETS:
            if set(names).isdisjoint(files):
                continue
            there = tuple(path for path in names if path in self.disk.files)
            verdict = self.verdicts.get(names[0], "")
            if names[0] not in there and names[-1].endswith("log"):
                continue  # nobody uses it
            if not there:
                continue
            told.update(there)
            missing = tuple(path for path in names if path not in there)
            if verdict == "unreadable":
                unreadable |= dict.fromkeys(there, "nobody reads it")
            elif missing:
                candidates.append(Candidate(there, missing=missing))
            elif verdict:
                candidates.append(Candidate(there, **{verdict: f"{verdict} for a reason"}))
            else:
                candidates.append(Candidate(names, reader="of sets"))
        used = {path for candidate in candidates for path in candidate.files}
        for path in files:
            if path not in told:
                unreadable[path] = "nobody uses it"
        kept = {path: why for path, why in unreadable.items() if path in files}
        return Grouping(
            tuple(candidates), {path: why for path, why in kept.items() if path not in used}
        )


class SetsExactlyOnce(RuleBasedStateMachine):
    """Members in any order, changed, moved, gone; answers late, failed, lost; kills; imports.

    The importer is the rule of the real one in small: it refuses a set of which
    a file is not what was queued, knows an imported set again, and asks OMERO
    for what it was told to import before it was killed.
    """

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY)
        self.url = f"sqlite:///{self.directory.name}/journal.sqlite"
        self.wall = 1_000_000.0
        self.disk = Disk()
        self.grouper = Members(self.disk)
        self.now = 0.0
        self.real = 0.0  # as `now`, over restarts
        self.written: dict[str, float] = {}  # path -> when
        self.imports: Counter[tuple[str, ...]] = Counter()
        self.refused: set[tuple[str, ...]] = set()
        self.queued: set[int] = set()  # filesets that were seen in another state than waiting
        # What OMERO has and the journal does not know: first path -> contents, Fileset id
        self.unseen: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        self.lots: list[tuple[Lot, Grouping]] = []
        self.journal = Journal(self.url, clock=lambda: self.wall)
        self.pipeline = build(self.journal, self.disk)

    # What people do.

    @rule(path=st.sampled_from(NAMES), size=st.integers(0, 3), heard=st.booleans())
    def write(self, path: str, size: int, heard: bool) -> None:
        self.disk.write(path, size)
        self.written[path] = self.real
        if heard:
            self.pipeline.heard([path], self.now)

    @rule(names=st.sampled_from(SETS), heard=st.booleans())
    def write_a_set(self, names: tuple[str, ...], heard: bool) -> None:
        for path in names:
            self.write(path, 1, heard)

    @rule(names=st.sampled_from(SETS), heard=st.booleans())
    def touch_the_inodes_of_a_set(self, names: tuple[str, ...], heard: bool) -> None:
        """chmod, chown, or another link: the bytes are what they were."""
        for path in names:
            self.disk.chmod(path)
        if heard:
            self.pipeline.heard(names, self.now)

    @rule(path=st.sampled_from(NAMES), heard=st.booleans())
    def hear(self, path: str, heard: bool) -> None:
        self.pipeline.heard([path], self.now)

    @rule(old=st.sampled_from(NAMES), new=st.sampled_from(NAMES), heard=st.booleans())
    def rename(self, old: str, new: str, heard: bool) -> None:
        if old in self.disk.files and new not in self.disk.files:
            self.disk.rename(old, new)
            self.written[new] = self.written.pop(old)
            if heard:
                self.pipeline.heard([old, new], self.now)

    @rule(path=st.sampled_from(NAMES), heard=st.booleans())
    def remove(self, path: str, heard: bool) -> None:
        if self.disk.files.pop(path, None) and heard:
            self.pipeline.heard([path], self.now)

    # What readers say.

    @rule(
        names=st.sampled_from(SETS),
        verdict=st.sampled_from(["", "held", "broken", "refused", "unreadable"]),
    )
    def judge(self, names: tuple[str, ...], verdict: str) -> None:
        self.grouper.verdicts[names[0]] = verdict

    @rule()
    def ask(self) -> None:
        lot = self.pipeline.next_lot(self.now)
        if lot is not None:
            asked = [lot.user for lot, _ in self.lots]
            assert lot.user not in asked, "one user's files hold up nobody else's"
            self.lots.append((lot, self.grouper.group(lot.files)))

    @precondition(lambda self: self.lots)
    @rule(took=st.floats(0, 1))
    def answer(self, took: float) -> None:
        lot, grouping = self.lots.pop(0)
        before = {fileset.id for fileset in self.journal.select(State.QUEUED)}
        self.pipeline.grouped(lot, grouping, self.now, took)
        for fileset in self.journal.select(State.QUEUED):
            if fileset.id not in before:
                for met in fileset.files:
                    assert met.path not in self.pipeline.settler, "in its quiet period"

    @precondition(lambda self: self.lots)
    @rule()
    def answer_nothing(self) -> None:
        lot, _ = self.lots.pop(0)
        self.pipeline.not_grouped(lot, "waits until it can be grouped", self.now, 1.0)

    # What passes.

    @rule(seconds=st.floats(0, 15))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.real += seconds
        self.wall += seconds
        self.pipeline.step(self.now)

    @rule()
    def settle_and_ask(self) -> None:
        self.wait(QUIET)
        self.ask()

    @rule()
    def a_day_passes(self) -> None:
        self.wall += A_DAY
        self.pipeline.expire(A_DAY, A_DAY)
        self.pipeline.take_failed()

    @rule()
    def rescan(self) -> None:
        self.pipeline.scanned(self.disk.scan(), self.now)
        self.pipeline.revisit(self.now)

    @rule()
    def kill_and_restart(self) -> None:
        for fileset in self.journal.importing():
            self.journal.move(fileset.id, State.IMPORTING, State.QUEUED)
        self.journal.close()
        self.journal = Journal(self.url, clock=lambda: self.wall)
        self.now = 0.0  # another boot, another monotonic clock
        self.lots = []
        self.pipeline = build(self.journal, self.disk)
        self.pipeline.revisit(self.now)

    # What importers do.

    @precondition(lambda self: self.journal.queued_users())
    @rule(
        ends=st.sampled_from(["well", "well", "refused", "told", "killed", "killed and told"]),
        meanwhile=st.booleans(),
    )
    def import_one(self, ends: str, meanwhile: bool) -> None:
        fileset = self.journal.take(self.journal.queued_users()[0])
        assert fileset is not None
        if meanwhile:  # others go on
            self.settle_and_ask()
            if self.lots:
                self.answer(0.0)
        if self._was_told(fileset):
            return
        if any(self.disk.stat(met.path) != met.stat for met in fileset.files):
            self._changed(fileset)
            return
        contents = self._contents(fileset.files)
        for twin in self.journal.twins(fileset.user, contents[0]):
            if twin.sha1s == contents:
                for position, met in enumerate(fileset.files):
                    self.journal.moved(twin.id, position, met)
                self.journal.move(fileset.id, State.IMPORTING, State.SKIPPED, "the same files")
                return
        for met in fileset.files:
            assert self.real - self.written[met.path] >= QUIET, f"{met.path} was not quiet"
        names = tuple(met.path for met in fileset.files)
        assert names in SETS, f"imported in pieces: {names}"
        if ends == "killed":
            self.kill_and_restart()
            return
        # As `Duplicates` finds out: a file that was moved from another user is no mount's.
        apart = {other.id for other in self.journal.of_others(fileset)}
        assert self.journal.note_verified(fileset, contents, None, apart) is None
        if ends == "refused":
            self.refused.add(contents)
            self.journal.refused(fileset.id, State.FAILED, "OMERO refuses it")
            return
        if ends == "told":  # and a file has changed after that
            self._changed(fileset)
            return
        self.imports[contents] += 1
        number = self.imports.total()
        if ends == "killed and told":
            self.unseen.setdefault(names[0], []).append((contents, number))
            self.kill_and_restart()
            return
        self.journal.imported(fileset.id, number, [number], contents)

    def _was_told(self, fileset: Fileset) -> bool:
        """OMERO is asked for what a former attempt has left."""
        told = fileset.sha1s
        if not fileset.verified or not all(told):
            told = self._contents(fileset.files)
        for contents, number in self.unseen.get(fileset.path, []):
            if contents == told:
                self.journal.imported(fileset.id, number, [number], contents)
                self.unseen[fileset.path].remove((contents, number))
                return True
        return False

    def _changed(self, fileset: Fileset) -> None:
        self.journal.settle_anew(fileset.id, "changed")
        self.pipeline.heard([met.path for met in fileset.files], self.now)

    def _contents(self, found: Iterable[Found]) -> tuple[str, ...]:
        return tuple(
            f"{met.path.split('/')[2]}: {met.stat.inode} {met.stat.size} {met.stat.mtime_ns}"
            for met in found
        )

    # What always holds.

    @invariant()
    def nothing_twice(self) -> None:
        for contents, times in getattr(self, "imports", Counter()).items():
            assert times == 1, contents

    @invariant()
    def nothing_that_was_queued_disappears(self) -> None:
        if not hasattr(self, "journal"):
            return
        there = {fileset.id for fileset in self.journal.select()}
        assert self.queued <= there, "a fileset ends with a reason"
        self.queued |= {
            fileset.id for fileset in self.journal.select() if fileset.state is not State.WAITING
        }
        for fileset in self.journal.select(State.SKIPPED, State.FAILED):
            assert fileset.reason, fileset

    @invariant()
    def a_file_has_one_open_row(self) -> None:
        if not hasattr(self, "journal"):
            return
        for fileset in self.journal.select(State.WAITING):
            assert len(fileset.files) == 1, "a set waits file by file"

    def teardown(self) -> None:
        if not hasattr(self, "journal"):
            return
        self.grouper.verdicts = {}
        for _ in range(2):
            self._until_quiet()
            self.rescan()
        self._until_quiet()
        self._all_accounted_for()
        self.journal.close()
        self.directory.cleanup()

    def _until_quiet(self) -> None:
        for _ in range(12):
            self.wait(2 * QUIET)
            for _ in range(20):
                self.ask()
                if not self.lots:
                    break
                self.answer(0.0)
            while self.journal.queued_users():
                self.import_one("well", False)

    def _all_accounted_for(self) -> None:
        counts = self.journal.counts()
        assert (counts["queued"], counts["importing"], self.pipeline.pending()) == (0, 0, 0)
        known = self.journal.known(self.disk.scan())
        for path in self.disk.files:
            assert path in known, f"{path} is lost"
        for names in SETS:
            around = [other for other in SETS if set(names) < set(other)]
            if any(path in self.disk.files for other in around for path in other[:1]):
                continue  # it is imported with that one
            if all(path in self.disk.files for path in names):
                contents = self._contents(Found(p, self.disk.files[p]) for p in names)
                states = {known[path] for path in names}
                if contents in self.refused or states & {State.FAILED, State.SKIPPED}:
                    continue
                assert self.imports[contents] == 1, names
        incomplete = {
            path
            for names in SETS
            for path in names
            if not all(other in self.disk.files for other in names)
        }
        for fileset in self.journal.select(State.WAITING):
            assert fileset.path in incomplete, f"{fileset.path} waits for nothing"
            assert fileset.reason.startswith("waits for "), fileset
            assert fileset.path in self.pipeline.lots
        assert len(self.pipeline.lots) == self.journal.counts()["waiting"]


TestSetsExactlyOnce = SetsExactlyOnce.TestCase
TestSetsExactlyOnce.settings = settings(
    max_examples=examples(10),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# The corners, each by itself.


class Stage:
    """A pipeline whose sets are told by hand."""

    def __init__(self, directory: Path) -> None:
        self.wall = 1_000_000.0
        self.disk = Disk()
        self.journal = Journal(f"sqlite:///{directory}/journal.sqlite", clock=lambda: self.wall)
        self.pipeline = build(self.journal, self.disk)
        self.now = 0.0

    def drop(self, *names: str) -> list[str]:
        paths = [f"{AMY}/{name}" for name in names]
        for path in paths:
            self.disk.write(path, 1)
        self.pipeline.heard(paths, self.now)
        return paths

    def lot(self) -> Lot:
        lot = self.next_lot()
        assert lot is not None
        return lot

    def next_lot(self) -> Lot | None:
        self.now += QUIET
        self.pipeline.step(self.now)
        return self.pipeline.next_lot(self.now)

    def answer(self, lot: Lot, *candidates: Candidate, **unreadable: str) -> int:
        why = {f"{AMY}/{name}": text for name, text in unreadable.items()}
        return self.pipeline.grouped(lot, Grouping(candidates, why), self.now, 0.0)

    def rows(self, *states: State) -> dict[tuple[str, ...], str]:
        """Names of the files of each fileset in these states -> reason."""
        return {
            tuple(met.path.removeprefix(f"{AMY}/") for met in fileset.files): fileset.reason
            for fileset in self.journal.select(*states)
        }

    def failed_by_omero(self, fileset: int) -> None:
        taken = self.journal.take("amy")
        assert taken is not None
        assert taken.id == fileset
        self.journal.note_verified(taken, ["ab"] * len(taken.files))
        self.journal.refused(fileset, State.FAILED, "corrupt")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        stage = Stage(Path(directory))
        yield stage
        stage.journal.close()


def queued(stage: Stage, *names: str) -> Fileset:
    """A set of these files in the queue."""
    paths = stage.drop(*names)
    assert stage.answer(stage.lot(), Candidate(tuple(paths))) == 1
    return stage.journal.open_at([paths[0]])[paths[0]]


@pytest.mark.parametrize("largest_first", [True, False])
def test_planes_that_two_sets_claim_are_imported_once(stage: Stage, largest_first: bool) -> None:
    meta, p0, p1 = stage.drop("meta", "p0", "p1")
    candidates = [Candidate((meta, p0, p1)), Candidate((p0, p1))]
    stage.answer(stage.lot(), *(candidates if largest_first else reversed(candidates)))
    assert set(stage.rows(State.QUEUED)) == {("meta", "p0", "p1")}
    assert stage.rows(State.WAITING) == {}


def test_a_queued_set_ends_with_a_reason_when_a_later_one_has_its_files(stage: Stage) -> None:
    first = queued(stage, "p0", "p1")
    (meta,) = stage.drop("meta")
    stage.answer(stage.lot(), Candidate((meta, *(f"{AMY}/{name}" for name in ("p0", "p1")))))
    assert set(stage.rows(State.QUEUED)) == {("meta", "p0", "p1")}
    ended = stage.journal.get(first.id)
    assert ended is not None
    assert ended.state is State.SKIPPED
    assert f"are imported with {meta}" in ended.reason


@pytest.mark.parametrize("how", ["rescan", "revisit"])
def test_a_file_at_rest_that_was_touched_settles_anew(stage: Stage, how: str) -> None:
    """A write without an event, after which mtime was set back: only ctime shows it."""
    (path,) = stage.drop("p0")
    lot = stage.lot()
    stage.answer(lot, Candidate((path,), missing=(f"{AMY}/p1",)))
    was = stage.disk.files[path]
    stage.disk.files[path] = replace(was, ctime_ns=was.ctime_ns + 1)
    if how == "rescan":
        stage.pipeline.scanned(stage.disk.scan(), stage.now)
    else:
        stage.pipeline.revisit(stage.now)
    assert path in stage.pipeline.settler
    again = stage.lot()
    stage.answer(again, Candidate((path,), missing=(f"{AMY}/p1",)))
    assert again.stats[path].ctime_ns == was.ctime_ns + 1
    assert set(stage.journal.known(stage.disk.scan())) == {path}


@pytest.mark.parametrize("took", [0.0, 0.4, 60.0])
def test_what_cannot_be_read_now_is_asked_about_again_though_nothing_happens(
    stage: Stage, took: float
) -> None:
    """As when an access list, a squashed root or a quota is mended: nobody tells of that."""
    (path,) = stage.drop("p0")
    lot = stage.lot()
    grouping = Grouping((Candidate((path,), incomplete="Permission denied", not_now=True),))
    stage.pipeline.grouped(lot, grouping, stage.now, took)
    assert stage.pipeline.next_lot(stage.now + 4) is None, "not without a pause"
    again = stage.pipeline.next_lot(stage.now + (10 if took < 1 else 61))
    assert again is not None
    assert again.files == (path,)


def test_a_file_called_like_a_reason_waits_like_any_other(stage: Stage) -> None:
    """It is empty, and an event tells when it is not.  To ask meanwhile would be for nothing."""
    (path,) = stage.drop("cannot be read now: p0")
    lot = stage.lot()
    stage.answer(lot, Candidate((path,), incomplete=f"{path}: it is empty"))
    assert stage.pipeline.next_lot(stage.now + 3600) is None


def test_a_single_file_that_a_queued_set_has_is_none_of_its_own(stage: Stage) -> None:
    queued(stage, "meta", "p0")
    path = f"{AMY}/p0"
    stage.disk.chmod(path)
    stage.pipeline.heard([path], stage.now)
    assert stage.answer(stage.lot(), Candidate((path,))) == 1
    assert set(stage.rows(State.QUEUED)) == {("meta", "p0")}
    assert set(stage.rows(State.SKIPPED)) == {("p0",)}


def test_parts_that_come_one_by_one_cost_a_transaction_each_and_no_more(stage: Stage) -> None:
    names = [f"p{n:02}" for n in range(40)]
    costs = []
    for number, name in enumerate(names[:-1], 1):
        stage.drop(name)
        lot = stage.lot()
        there = tuple(f"{AMY}/{other}" for other in names[:number])
        missing = tuple(f"{AMY}/{other}" for other in names[number:])
        with counting(stage.journal) as cost:
            stage.answer(lot, Candidate(there, missing=missing))
        costs.append(cost.transactions)
    assert max(costs) <= 2
    assert len(set(stage.rows(State.WAITING).values())) == 1, "each tells what lacks now"
    assert len(stage.journal.events(1)) == 2, "a new reason to wait is no new event"


def test_many_that_are_deleted_cost_a_transaction(stage: Stage) -> None:
    paths = stage.drop(*(f"{n}" for n in range(300)))
    for path in paths:
        del stage.disk.files[path]
    with counting(stage.journal) as cost:
        stage.pipeline.heard(paths, stage.now)
    assert cost.transactions <= 2
    assert len(stage.rows(State.SKIPPED)) == 300


def test_a_file_that_the_journal_refuses_hurts_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = f"{AMY}/bad"
    wait = stage.journal.wait

    def refusing(user: str, root: str, found: Sequence[Found]) -> None:
        if any(met.path == bad for met in found):
            raise RecordRefused("the journal: UNIQUE constraint failed")
        wait(user, root, found)

    with monkeypatch.context() as patch:
        patch.setattr(stage.journal, "wait", refusing)
        stage.drop("a", "bad", "c")
        stage.disk.write(f"{ROOT}/zak/x", 1)
        stage.pipeline.scanned(stage.disk.scan(), stage.now)
        stage.pipeline.revisit(stage.now)
        waiting = {fileset.path for fileset in stage.journal.select(State.WAITING)}
        assert waiting == {f"{AMY}/a", f"{AMY}/c", f"{ROOT}/zak/x"}
        assert stage.pipeline.files.unrecorded, "so that it is met again before long"
        assert "UNIQUE" in stage.pipeline.files.left_alone[bad]
    stage.pipeline.scanned(stage.disk.scan(), stage.now)
    assert bad in {fileset.path for fileset in stage.journal.select(State.WAITING)}


def test_a_set_that_the_journal_refuses_hurts_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c, d = stage.drop("a", "b", "c", "d")
    form = stage.journal.form

    def refusing(formed: Formed) -> tuple[int | None, list[Found]]:
        if formed.found[0].path == a:
            raise RecordRefused("the journal: UNIQUE constraint failed")
        return form(formed)

    monkeypatch.setattr(stage.journal, "form", refusing)
    assert stage.answer(stage.lot(), Candidate((a, b)), Candidate((c, d))) == 1
    assert set(stage.rows(State.QUEUED)) == {("c", "d")}
    assert set(stage.rows(State.WAITING)) == {("a",), ("b",)}


def test_a_file_of_two_sets_is_in_both(stage: Stage) -> None:
    a, b, log = stage.drop("a", "b", "log")
    assert stage.answer(stage.lot(), Candidate((a, log)), Candidate((b, log))) == 2
    assert set(stage.rows(State.QUEUED)) == {("a", "log"), ("b", "log")}
    assert stage.rows(State.WAITING) == {}
    assert len(stage.pipeline.lots) == 0


def test_a_file_of_a_whole_set_and_one_that_lacks_something(stage: Stage) -> None:
    a, b, log = stage.drop("a", "b", "log")
    lacks = Candidate((b, log), missing=(f"{AMY}/c",))
    assert stage.answer(stage.lot(), lacks, Candidate((a, log))) == 1
    assert set(stage.rows(State.QUEUED)) == {("a", "log")}
    assert stage.rows(State.WAITING) == {("b",): f"waits for {AMY}/c"}


def test_a_file_of_a_refused_set_is_there_for_the_other(stage: Stage) -> None:
    a, b, log = stage.drop("a", "b", "log")
    refused = Candidate((b, log), refused="leads out")
    assert stage.answer(stage.lot(), refused, Candidate((a, log))) == 1
    assert set(stage.rows(State.QUEUED)) == {("a", "log")}
    assert stage.rows(State.FAILED) == {("b",): "leads out"}


def test_a_used_file_that_nobody_has_met_has_its_quiet_period_first(stage: Stage) -> None:
    (a,) = stage.drop("a")
    lot = stage.lot()
    late = f"{AMY}/late"
    stage.disk.write(late, 1)  # nothing was heard of it yet
    assert stage.answer(lot, Candidate((a, late))) == 0
    assert stage.rows()[("a",)] == f"waits for {late}, which is in its quiet period"
    assert stage.answer(stage.lot(), Candidate((a, late))) == 1


def test_a_set_waits_until_the_whole_tree_of_it_is_quiet(stage: Stage) -> None:
    """Nobody can know whether more is to come: a part that no reader names counts too."""
    (index,) = stage.drop("x.vsi")
    lot = stage.lot()
    tree = (Reach(f"{AMY}/_x_", 9),)
    (part,) = stage.drop("_x_/stack1/frame_t.ets")
    stage.drop("elsewhere")
    assert stage.answer(lot, Candidate((index,), trees=tree)) == 0
    assert stage.rows()[("x.vsi",)] == f"waits for {part}, which is in its quiet period"
    stage.now += QUIET
    stage.pipeline.step(stage.now)
    both = stage.pipeline.next_lot(stage.now)
    assert both is not None
    assert stage.answer(both, Candidate((index, part), trees=tree)) == 1


def test_what_people_are_told_of_a_set_is_told_once_it_is_imported(stage: Stage) -> None:
    """It holds nothing, and goes with the set: formed anew without a gap, it is not told."""
    paths = stage.drop("s1.dcm", "s2.dcm", "s4.dcm")
    assert stage.answer(stage.lot(), Candidate(tuple(paths), remark="slice 3 is not there")) == 1
    journal = stage.pipeline.journal
    taken = journal.take("amy")
    assert taken is not None and taken.reason == ""
    journal.imported(taken.id, 7, [1], ["a" * 40] * 3)
    (row,) = journal.load([taken.id])
    assert row.reason == "imported, but slice 3 is not there"
    assert journal.notes("remark ") == {}


def test_a_used_file_that_no_rule_is_for_is_watched_all_the_same(stage: Stage) -> None:
    stage.pipeline.places.apply(places_of(ROOT, dirImportWait=str(QUIET), blacklist="*.log").rules)
    (a,) = stage.drop("a")
    lot = stage.lot()
    log = f"{AMY}/a.log"
    stage.disk.write(log, 1)
    assert stage.answer(lot, Candidate((a, log))) == 0
    stage.disk.write(log, 2)
    lot = stage.lot()
    assert stage.answer(lot, Candidate((a, log))) == 0, "it has changed"
    assert stage.answer(stage.lot(), Candidate((a, log))) == 1


def test_a_set_that_omero_refused_is_formed_anew_when_it_is_mended(stage: Stage) -> None:
    first = queued(stage, "a", "b")
    stage.failed_by_omero(first.id)
    stage.drop("b")
    lot = stage.lot()
    assert lot.files == (f"{AMY}/b",)
    assert stage.answer(lot, Candidate((f"{AMY}/a", f"{AMY}/b"))) == 1
    assert list(stage.rows()) == [("a", "b")]


def test_the_first_file_of_a_failed_set_opens_the_others_too(stage: Stage) -> None:
    first = queued(stage, "a", "b")
    stage.failed_by_omero(first.id)
    stage.drop("a")
    assert set(stage.rows(State.WAITING)) == {("a",), ("b",)}


def test_of_one_in_doubt_the_end_is_waited_for(stage: Stage) -> None:
    first = queued(stage, "a", "b")
    taken = stage.journal.take("amy")
    assert taken is not None
    stage.drop("b")
    pair = Candidate((f"{AMY}/a", f"{AMY}/b"))
    assert stage.answer(stage.lot(), pair) == 0
    why = "waits for the end of an import of one of its files"
    assert stage.rows(State.WAITING) == {("b",): why}
    stage.journal.imported(first.id, 1, [1], ["ab", "cd"])
    assert stage.answer(stage.lot(), pair) == 1


def test_the_end_of_an_import_is_noticed_soon_however_long_an_answer_takes(stage: Stage) -> None:
    """Nobody tells the set that it can go on."""
    first = queued(stage, "a", "b")
    assert stage.journal.take("amy") is not None
    stage.drop("b")
    pair = Candidate((f"{AMY}/a", f"{AMY}/b"))
    assert stage.pipeline.grouped(stage.lot(), Grouping((pair,), {}), stage.now, 10.0) == 0
    stage.journal.imported(first.id, 1, [1], ["ab", "cd"])
    stage.now += 14.9
    assert stage.pipeline.next_lot(stage.now) is None
    stage.now += 0.1
    assert stage.answer(stage.lot(), pair) == 1


def test_what_a_larger_set_leaves_out_waits_by_itself(stage: Stage) -> None:
    queued(stage, "b", "c")
    (a,) = stage.drop("a")
    assert stage.answer(stage.lot(), Candidate((a, f"{AMY}/b"))) == 1
    assert set(stage.rows(State.QUEUED)) == {("a", "b")}
    assert set(stage.rows(State.WAITING)) == {("c",)}
    assert stage.lot().files == (f"{AMY}/c",)


def test_a_set_under_import_that_changed_is_taken_apart_at_once(stage: Stage) -> None:
    first = queued(stage, "a", "b")
    stage.journal.take("amy")
    assert stage.journal.settle_anew(first.id, "changed")
    assert stage.rows() == {("a",): "changed", ("b",): "changed"}
    now = stage.journal.get(first.id)
    assert now is not None
    assert now.attempts == 1, "what is known of attempts stays"


def test_only_a_set_that_waits_is_taken_apart(stage: Stage) -> None:
    first = queued(stage, "a", "b")
    stage.journal.dissolve(first.id)
    assert not stage.journal.settle_anew(first.id, "changed")
    assert stage.rows(State.QUEUED) == {("a", "b"): ""}


def test_an_answer_that_cannot_be_written_is_asked_for_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = stage.drop("a", "b")
    lot = stage.lot()
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise JournalError("the disk is full")

        patch.setattr(stage.journal, "form", full)
        with pytest.raises(JournalError):
            stage.answer(lot, Candidate((a, b)))
    assert stage.next_lot() == lot


def test_of_a_user_with_two_directories_one_lot_is_out(stage: Stage) -> None:
    stage.pipeline.places.apply(
        places_of(
            f'"{ROOT}";"/elsewhere"', importUsers="default;amy", dirImportWait=str(QUIET)
        ).rules
    )
    paths = [f"{AMY}/a", "/elsewhere/b", f"{ROOT}/zak/c"]
    for path in paths:
        stage.disk.write(path, 1)
    stage.pipeline.heard(paths, stage.now)
    lots = [stage.lot(), stage.lot()]
    assert sorted(lot.user for lot in lots) == ["amy", "zak"]
    assert stage.next_lot() is None


def test_the_parts_of_a_set_are_given_up_together(stage: Stage) -> None:
    (a,) = stage.drop("a")
    missing = (f"{AMY}/c",)
    stage.answer(stage.lot(), Candidate((a,), missing=missing))
    stage.pipeline.expire(8.0, 10.0)
    _, lot = stage.drop("b"), stage.lot()
    stage.answer(lot, Candidate((a, f"{AMY}/b"), missing=missing))
    stage.pipeline.expire(8.0, 10.0)
    assert stage.rows(State.FAILED) == {}, "the last of them came a moment ago"
    stage.pipeline.expire(2.0, 10.0)
    (failed,) = stage.pipeline.take_failed()
    assert [met.path for met in failed.files] == [a, f"{AMY}/b"], "as the one set that they are"
    assert stage.journal.notes("lacks ") == {f"lacks {failed.id}": f'["{AMY}/c"]'}


def test_how_long_it_has_waited_outlives_a_restart(stage: Stage) -> None:
    (a,) = stage.drop("a")
    lacks = Candidate((a,), missing=(f"{AMY}/b",))
    stage.answer(stage.lot(), lacks)
    stage.pipeline.expire(8.0, 10.0)
    stage.pipeline = build(stage.journal, stage.disk)
    stage.pipeline.revisit(stage.now)
    stage.answer(stage.lot(), lacks)
    stage.pipeline.expire(2.0, 10.0)
    assert stage.rows(State.FAILED) == {("a",): f"waits for {AMY}/b"}


def test_a_clock_that_is_set_makes_nobody_wait(stage: Stage) -> None:
    """A weekend's suspend does not count: nobody looked, so nobody could see the file come."""
    (a,) = stage.drop("a")
    stage.answer(stage.lot(), Candidate((a,), missing=(f"{AMY}/b",)))
    stage.wall += 3 * A_DAY
    stage.pipeline.expire(1.0, A_DAY)
    assert stage.rows(State.WAITING) == {("a",): f"waits for {AMY}/b"}


def test_what_comes_begins_the_wait_anew(stage: Stage) -> None:
    (a,) = stage.drop("a")
    stage.answer(stage.lot(), Candidate((a,), missing=(f"{AMY}/b", f"{AMY}/c")))
    stage.pipeline.expire(8.0, 10.0)
    _, lot = stage.drop("b"), stage.lot()
    stage.answer(lot, Candidate((a, f"{AMY}/b"), missing=(f"{AMY}/c",)))
    stage.pipeline.expire(8.0, 10.0)
    assert stage.rows(State.FAILED) == {}


def test_what_waits_for_its_set_is_known_as_it_is_now(stage: Stage) -> None:
    """A chmod that only a rescan met: else the journal takes the file for another."""
    (a,) = stage.drop("a")
    lacks = Candidate((a,), missing=(f"{AMY}/b",))
    stage.answer(stage.lot(), lacks)
    stage.disk.chmod(a)
    stage.pipeline.scanned(stage.disk.scan(), stage.now)
    stage.answer(stage.lot(), lacks)
    assert stage.journal.known(stage.disk.scan()) == {a: State.WAITING}
    assert len(stage.rows()) == 1


def test_what_is_held_is_not_given_up(stage: Stage) -> None:
    (a,) = stage.drop("a")
    stage.answer(stage.lot(), Candidate((a,), held="only Bio-Formats can tell"))
    stage.pipeline.expire(20.0, 10.0)
    assert stage.rows(State.WAITING) == {("a",): "only Bio-Formats can tell"}


def test_what_grew_after_it_was_met_has_failed_as_it_is(stage: Stage) -> None:
    (a,) = stage.drop("a")
    stage.disk.write(a, 1000)
    stage.pipeline.heard([a], stage.now)
    stage.answer(stage.lot(), a="nobody reads it")
    (row,) = stage.journal.select()
    assert row.files[0].stat == stage.disk.stat(a), "or every rescan would open it again"
    stage.pipeline.scanned(stage.disk.scan(), stage.now)
    assert stage.pipeline.pending() == 0


def test_what_went_while_it_was_read_has_not_failed(stage: Stage) -> None:
    a, b = stage.drop("a", "b")
    lot = stage.lot()
    was = stage.disk.files.pop(a)
    stage.answer(lot, Candidate((b,)), a="it is no longer there")
    assert stage.rows(State.SKIPPED) == {("a",): GONE}
    stage.disk.files[a] = was  # the share is back
    stage.pipeline.scanned(stage.disk.scan(), stage.now)
    assert stage.lot().files == (a,)


def test_of_what_nothing_was_said_it_is_told(stage: Stage) -> None:
    stage.drop("a")
    stage.answer(stage.lot())
    assert stage.rows(State.WAITING) == {
        ("a",): "waits: nothing was found out about it; see the log"
    }


def test_a_path_that_is_open_for_somebody_else_stops_nothing(stage: Stage) -> None:
    (a,) = stage.drop("a")
    stage.journal.give_to(stage.journal.open_at([a])[a].id, "zak", "/elsewhere")
    stage.drop("a", "b")
    stage.answer(stage.lot(), Candidate((a,)), Candidate((f"{AMY}/b",)))
    assert {fileset.user for fileset in stage.journal.select(State.QUEUED)} == {"amy"}


def test_a_user_whose_configuration_is_wrong_waits(stage: Stage) -> None:
    stage.pipeline.outside.held = lambda user: "readers: no such file"
    (a,) = stage.drop("a")
    stage.pipeline.places.apply(())
    assert stage.next_lot() is None
    assert stage.rows(State.WAITING) == {("a",): "readers: no such file"}
    stage.pipeline.places.apply(places_of(ROOT, dirImportWait=str(QUIET)).rules)
    stage.pipeline.revisit(stage.now)
    assert stage.lot().files == (a,)


def test_nothing_looks_at_the_disk_under_the_lock(stage: Stage) -> None:
    looked = []

    def stat(path: str) -> FileStat | None:
        assert not stage.pipeline.files.lock.locked()
        looked.append(path)
        return stage.disk.stat(path)

    def advice(root: str, directory: str) -> str:
        assert not stage.pipeline.files.lock.locked()
        return ""

    stage.pipeline.outside.stat, stage.pipeline.outside.advice = stat, advice
    queued(stage, "a", "b")
    assert looked
