"""The journal under everything that is done to it, in any order.

Sets are met again after every end, and share files with others.  No fileset is
without an end, no path is open twice, no file and no row is lost.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import GONE, Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat

# No disk is waited for: thousands of transactions are made.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
ROOT = "/dropbox/amy"
NAMES = ("meta", "p0", "p1", "p2")
names = st.sampled_from(NAMES)
some = st.lists(names, min_size=1, max_size=4, unique=True)
several = st.lists(names, min_size=2, max_size=4, unique=True)
HELD = (State.QUEUED, State.IMPORTING)


class JournalMachine(RuleBasedStateMachine):
    """What DropBox and the command line do with a journal, without a disk and without OMERO."""

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY)
        self.journal = Journal(f"sqlite:///{self.directory.name}/journal.sqlite")
        self.ticks = itertools.count(2)
        self.numbers = itertools.count(1)
        self.disk = {name: FileStat(1, n, 1, 1, 1) for n, name in enumerate(NAMES, 10)}
        self.met: set[str] = set()  # paths
        self.seen: set[int] = set()  # filesets that were more than a file that waits

    def now(self, name: str) -> Found:
        return Found(f"{ROOT}/{name}", self.disk[name])

    def files(self, chosen: list[str]) -> list[Found]:
        return [self.now(name) for name in chosen]

    def note(self, chosen: list[str]) -> None:
        """They are recorded from now on."""
        self.met.update(f"{ROOT}/{name}" for name in chosen)

    # What people do with files.

    @rule(name=names)
    def write(self, name: str) -> None:
        tick = next(self.ticks)
        self.disk[name] = FileStat(1, self.disk[name].inode, tick, tick, tick)

    @rule(name=names)
    def chmod(self, name: str) -> None:
        was = self.disk[name]
        self.disk[name] = FileStat(1, was.inode, was.size, was.mtime_ns, next(self.ticks))

    # What DropBox makes of them.

    @rule(chosen=some)
    def meet(self, chosen: list[str]) -> None:
        self.journal.wait("amy", ROOT, self.files(chosen))
        self.note(chosen)

    @rule(chosen=some)
    def somebody_elses(self, chosen: list[str]) -> None:
        self.journal.wait("zak", "/dropbox", self.files(chosen))
        self.note(chosen)

    @rule(chosen=several)
    def form(self, chosen: list[str]) -> None:
        found = self.files(chosen)
        identifier, _ = self.journal.form(Formed("amy", ROOT, found))
        if identifier is not None:
            formed = self.journal.load([identifier])[0]
            assert {one.path for one in found} <= {one.path for one in formed.files}
            assert formed.state in (*HELD, State.IMPORTED)
            self.note(chosen)

    @rule(user=st.sampled_from(["amy", "zak"]), chosen=some)
    def hand_over(self, user: str, chosen: list[str]) -> None:
        first, *others = self.files(chosen)
        try:
            handed = self.journal.hand_over(user, ROOT, first, *others)
        except ImportRefused as refusal:
            assert str(refusal).startswith(f"{ROOT}/")
        else:
            assert handed.state in (*HELD, State.IMPORTED)
            self.note(chosen)

    @rule(name=names)
    def settle(self, name: str) -> None:
        for fileset in self.journal.open_at([f"{ROOT}/{name}"]).values():
            if fileset.state is State.WAITING and len(fileset.files) == 1:
                self.journal.settled({fileset.id: self.disk[name]})

    @rule(chosen=some)
    def go(self, chosen: list[str]) -> None:
        opened = self.journal.open_at([f"{ROOT}/{name}" for name in chosen])
        self.journal.end_waiting({one.id: GONE for one in opened.values()}, State.SKIPPED)

    @rule()
    def revisit(self) -> None:
        for fileset in self.journal.select(State.WAITING):
            self.journal.dissolve(fileset.id)

    # What importers do.

    @rule(
        user=st.sampled_from(["amy", "zak"]),
        told=st.booleans(),
        end=st.sampled_from(["imported", "failed", "skipped", "given back", "changed", "killed"]),
    )
    def attempt(self, user: str, told: bool, end: str) -> None:
        fileset = self.journal.take(user)
        if fileset is None:
            return
        sha1s = [f"{next(self.numbers):040}" for _ in fileset.files]
        if told:
            self.journal.note_verified(fileset, sha1s)
        if end == "imported":
            number = next(self.numbers)
            self.journal.imported(fileset.id, number, [number], sha1s)
        elif end == "failed":
            self.journal.refused(fileset.id, State.FAILED, "OMERO refuses it")
        elif end == "skipped":
            self.journal.move(fileset.id, State.IMPORTING, State.SKIPPED, "the same file")
        elif end == "given back":
            self.journal.move(fileset.id, State.IMPORTING, State.QUEUED, "OMERO is away")
        elif end == "changed":
            self.journal.settle_anew(fileset.id, "changed")

    @precondition(lambda self: self.journal.importing())
    @rule()
    def restart(self) -> None:
        for fileset in self.journal.importing():
            self.journal.move(fileset.id, State.IMPORTING, State.QUEUED, "interrupted")

    @rule()
    def retry(self) -> None:
        for fileset in self.journal.select(State.FAILED):
            try:
                self.journal.retry(fileset.id)
            except ImportRefused as refusal:
                assert str(refusal).startswith(f"{ROOT}/")

    # What always holds.

    @invariant()
    def every_fileset_has_an_end_or_is_on_its_way(self) -> None:
        if not hasattr(self, "journal"):
            return
        there = {fileset.id: fileset for fileset in self.journal.select()}
        assert self.seen <= set(there), "a fileset never disappears"
        for fileset in there.values():
            assert fileset.files, fileset
            assert fileset.files[0].path == fileset.path, fileset
            if fileset.state in (State.SKIPPED, State.FAILED):
                assert fileset.reason, fileset
            if fileset.state is not State.WAITING:
                self.seen.add(fileset.id)

    @invariant()
    def no_file_is_lost(self) -> None:
        if hasattr(self, "journal"):
            recorded = {one.path for fileset in self.journal.select() for one in fileset.files}
            assert self.met <= recorded

    @invariant()
    def no_path_is_open_twice(self) -> None:
        if hasattr(self, "journal"):
            opened = [fileset.path for fileset in self.journal.select(*OPEN)]
            assert len(opened) == len(set(opened))

    @invariant()
    def no_set_lies_in_another(self) -> None:
        if not hasattr(self, "journal"):
            return
        sets = [one for one in self.journal.select(*HELD) if len(one.files) > 1]
        for one, other in itertools.permutations(sets, 2):
            if one.user == other.user:
                assert not _lies_in(one, other), (one, other)

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.directory.cleanup()


def _lies_in(one: Fileset, other: Fileset) -> bool:
    there = {met.path: met.stat for met in other.files}
    return all(there.get(met.path) == met.stat for met in one.files)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
