"""Sets over a disk in memory: every set as a whole and exactly once, whatever happens to it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omero_fs_plugin.dropbox.assembly import Lot
from omero_fs_plugin.dropbox.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal import Journal
from omero_fs_plugin.dropbox.pipeline import Pipeline
from omero_fs_plugin.dropbox.records import Fileset, Found
from omero_fs_plugin.dropbox.settle import Settler
from omero_fs_plugin.dropbox.states import State

from ..rules import places_of
from .test_pipeline import QUIET, ROOT, Disk

AMY = f"{ROOT}/amy"
# Sets by the names of their files, the first first; two of them share a file.
SETS = [
    tuple(f"{AMY}/{name}" for name in names)
    for names in (("s0", "s1", "d/s2"), ("u0", "log"), ("v0", "log"), ("x",))
]
SETS.append((f"{ROOT}/zak/x",))
NAMES = sorted({path for names in SETS for path in names})
A_DAY = 86_400.0


def build(journal: Journal, disk: Disk) -> Pipeline:
    return Pipeline(
        journal,
        places_of(ROOT, dirImportWait=str(QUIET)),
        Settler(QUIET),
        disk.stat,
        {"amy", "zak"}.__contains__,
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
        self.directory = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{self.directory.name}/journal.sqlite"
        self.wall = 1_000_000.0
        self.disk = Disk()
        self.grouper = Members(self.disk)
        self.now = 0.0
        self.real = 0.0  # as `now`, over restarts
        self.written: dict[str, float] = {}  # path -> when
        self.imports: Counter[tuple[str, ...]] = Counter()
        self.refused: set[tuple[str, ...]] = set()
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
        self.pipeline.expire(self.wall - A_DAY)
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
        assert self.journal.note_verified(fileset, contents) is None
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
        return tuple(f"{s.inode} {s.size} {s.mtime_ns}" for s in (met.stat for met in found))

    # What always holds.

    @invariant()
    def nothing_twice(self) -> None:
        for contents, times in getattr(self, "imports", Counter()).items():
            assert times == 1, contents

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
            assert fileset.path in self.pipeline.assembly
        assert len(self.pipeline.assembly) == self.journal.counts()["waiting"]


TestSetsExactlyOnce = SetsExactlyOnce.TestCase
TestSetsExactlyOnce.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
