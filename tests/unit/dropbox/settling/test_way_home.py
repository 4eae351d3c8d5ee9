"""A set on its way home from quarantine, while others meet, settle, group and import its files.

The disk and the journal are real.  Before each step of the way home others do something, or the
process is killed.  Each content comes into OMERO once, as one set, and nothing is left over.
"""

from __future__ import annotations

import errno
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.importing import returning
from omero_fs_plugin.dropbox.importing.alone import Busy
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.by_hand import Moving
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import RETURNING, Way
from omero_fs_plugin.dropbox.journal.records import GONE, Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.events import FileStat, regular_stat
from tests.conftest import examples
from tests.memory import MEMORY
from tests.rules import places_of
from tests.steps import before_each

QUIET = 10.0
NAMES = ("a", "b", "c")  # of the set; c comes last
OUT = ("move_back", "remove_source", "stat_of", "lies_at", "told_at")
NOTHING = FileStat(1, 1, 1, 1, 1)
STEPS = 16  # more than a way home has


class Killed(BaseException):
    """Nothing of ours may handle it."""


class Facility:
    """One user's directory, a journal, and a DropBox that can be killed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.home = place / "DropBox" / "amy"
        self.home.mkdir(parents=True)
        self.journal = Journal(f"sqlite:///{place}/journal.sqlite")
        self.now = 0.0
        self.imports: Counter[tuple[str, ...]] = Counter()
        self.recognised = 0  # imports that were not made only because OMERO had the content
        self.start()

    def start(self) -> None:
        self.places = places_of(self.place / "DropBox", dirImportWait=str(QUIET))
        self.quarantine = Quarantine(self.place / "failed", self.places, self.journal)
        outside = Outside(
            regular_stat, {"amy"}.__contains__, coming=lambda paths: self.quarantine.coming(paths)
        )
        self.pipeline = Pipeline(self.journal, self.places, Settler(QUIET), outside)

    def path(self, name: str) -> str:
        return str(self.home / name)

    def write(self, name: str) -> None:
        (self.home / name).write_text(name)

    def give_up(self, *, opened_again: bool = False) -> Fileset:
        """a and b lacked c for too long, and lie in quarantine.

        `opened_again`: the set has the newer row of the two, and the other is told of since long.
        """
        met = []
        for name in NAMES[1::-1] if opened_again else NAMES[:2]:
            self.write(name)
            if opened_again and name == "a":
                self.journal.skip("amy", str(self.home), Found(self.path("a"), NOTHING), GONE)
            met.append(Found(self.path(name), FileStat.of((self.home / name).lstat())))
        self.journal.wait("amy", str(self.home), met)
        ids = [self.journal.open_at([one.path])[one.path].id for one in met]
        failed = self.journal.give_up(ids, "waits for c", [self.path("c")])
        assert failed is not None
        self.quarantine.take(self.journal.load([failed])[0])
        assert not any(self.home.iterdir())
        return self.journal.load([failed])[0]

    def hear(self) -> None:
        self.pipeline.heard([self.path(name) for name in NAMES], self.now)

    def rescan(self) -> None:
        there = [Found(str(p), FileStat.of(p.lstat())) for p in self.home.iterdir()]
        self.pipeline.scanned(there, self.now)
        self.pipeline.revisit(self.now)

    def rest(self) -> None:
        self.now += QUIET
        self.pipeline.step(self.now)

    def group(self) -> list[str]:
        """Forms what is whole.  Returns what the others lack."""
        lacking: list[str] = []
        while (lot := self.pipeline.next_lot(self.now)) is not None:
            there = tuple(self.path(n) for n in NAMES if (self.home / n).exists())
            missing = tuple(self.path(n) for n in NAMES if not (self.home / n).exists())
            gone = {path: "it is gone" for path in lot.files if path in missing}
            sets = (Candidate(there, missing=missing),) if there else ()
            self.pipeline.grouped(lot, Grouping(sets, gone), self.now, 0.0)
            lacking += missing
        return lacking

    def take_in(self) -> None:
        """Imports what is queued, as an importer: it knows what has changed, and what OMERO has."""
        while users := self.journal.queued_users():
            fileset = self.journal.take(users[0])
            assert fileset is not None
            if any(regular_stat(met.path) != met.stat for met in fileset.files):
                self.journal.dissolve(fileset.id)
                self.pipeline.heard([met.path for met in fileset.files], self.now)
                continue
            content = tuple(Path(met.path).read_text() for met in fileset.files)
            if self.journal.same_content("amy", content):
                self.recognised += 1
                self.journal.move(fileset.id, State.IMPORTING, State.SKIPPED, "is in OMERO")
                continue
            self.imports[content] += 1
            number = self.imports.total()
            self.journal.imported(fileset.id, number, [number], content)

    def all_of_it(self) -> None:
        self.hear()
        self.rest()
        self.group()
        self.take_in()

    def bring_back_too(self) -> None:
        """As `omero fs import --retry` in another process."""
        other = Quarantine(self.place / "failed", self.places, self.journal)
        for failed in self.journal.select(State.FAILED):
            with suppress(Busy):
                other.bring_back(failed)

    def until_nothing_is_left(self) -> None:
        """Left alone long enough, with a rescan."""
        for identifier in self.quarantine.returning():
            self.pipeline.heard(self.quarantine.finish(identifier), self.now)
        self.rescan()
        for _ in range(30):
            self.rest()
            if lacking := self.group():
                self.pipeline.heard(self.quarantine.bring_what_lacks("amy", lacking), self.now)
            self.take_in()
            self.now += 60.0


def between_the_steps(facility: Facility, step: Callable[[], None]) -> AbstractContextManager[None]:
    """`step` is called before each step of a way home, also before those of the journal."""
    owners: list[tuple[Any, str]] = [(returning, name) for name in OUT]
    owners += [(facility.journal, name) for name in ("set_out", "bring_home", "note")]
    return before_each(owners, step)


@contextmanager
def a_facility() -> Iterator[Facility]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        facility = Facility(Path(directory))
        try:
            yield facility
        finally:
            facility.journal.close()


def way_home(actions: Sequence[str], *, held: bool, opened_again: bool = False) -> None:
    """`held`: it does not take so long that DropBox stops waiting for its end."""
    with a_facility() as facility, pytest.MonkeyPatch.context() as patch:
        given_up = facility.give_up(opened_again=opened_again)
        facility.write("c")
        if not held:
            patch.setattr(returning, "_COMING_S", -1.0)
        left = iter(actions)
        within = False

        def step() -> None:
            nonlocal within
            action = next(left, "nothing")
            if within or action == "nothing":
                return
            if action == "kill":
                raise Killed
            within = True  # what others ask the journal is no step of the way home
            try:
                getattr(facility, action)()
            finally:
                within = False

        with between_the_steps(facility, step):
            try:
                facility.quarantine.bring_back(given_up)
            except Killed:
                facility.start()
        patch.undo()
        facility.until_nothing_is_left()
        counts = facility.journal.counts()
        assert facility.imports == {NAMES: 1}
        # With omero.fs.duplicates=import it would have come twice.
        assert facility.recognised == 0
        assert [counts[state] for state in (State.WAITING, State.QUEUED, State.FAILED)] == [0, 0, 0]
        assert facility.quarantine.returning() == {}
        assert facility.journal.notes("quarantined ") == {}
        assert sorted(path.name for path in facility.home.iterdir()) == list(NAMES)
        assert [path for path in (facility.place / "failed").rglob("*") if path.is_file()] == []


ACTIONS = [
    *("nothing", "hear", "rescan", "rest", "group", "take_in", "all_of_it"),
    "bring_back_too",
]


@settings(max_examples=examples(60), deadline=None)
@given(
    actions=st.lists(st.sampled_from([*ACTIONS, "kill"]), max_size=STEPS),
    held=st.booleans(),
    opened_again=st.booleans(),
)
@example(actions=["all_of_it"] * STEPS, held=True, opened_again=False)
@example(actions=["all_of_it"] * STEPS, held=False, opened_again=False)
@example(actions=["all_of_it"] * STEPS, held=False, opened_again=True)
def test_each_content_comes_once_and_as_one_set(
    actions: list[str], held: bool, opened_again: bool
) -> None:
    way_home(actions, held=held, opened_again=opened_again)


@pytest.mark.parametrize("held", [True, False], ids=["in time", "too late"])
@pytest.mark.parametrize("action", ["all_of_it", "hear", "kill", "bring_back_too"])
@pytest.mark.parametrize("step", range(STEPS))
def test_at_each_step(step: int, action: str, held: bool) -> None:
    way_home(["nothing"] * step + [action], held=held)


@pytest.mark.parametrize("late", [False, True])
def test_what_is_on_its_way_is_not_handed_over(late: bool) -> None:
    with a_facility() as facility:
        given_up = facility.give_up()
        facility.write("a")
        met = Found(facility.path("a"), FileStat.of((facility.home / "a").lstat()))
        until = facility.journal.now() + (-1.0 if late else 60.0)
        way = Way(str(facility.home), given_up.root, (), until)
        assert facility.journal.set_out(given_up, {f"{RETURNING}{given_up.id}": str(way)})
        with nullcontext() if late else pytest.raises(Moving):
            facility.journal.hand_over("amy", str(facility.home), met)


def test_what_is_wanted_while_another_moves_it_comes_after_that() -> None:
    with a_facility() as facility:
        given_up = facility.give_up()
        facility.write("c")
        quarantine, lacking = facility.quarantine, [facility.path("c")]
        with quarantine._alone(given_up.id, Path(given_up.root), str(quarantine.directory)):
            assert quarantine.bring_what_lacks("amy", lacking) == []
            assert quarantine.wanted() == {given_up.id: str(facility.home)}
            assert quarantine.bring_wanted(given_up.id) == []
            assert quarantine.wanted()
        back = quarantine.bring_wanted(given_up.id)
        assert sorted(back) == [facility.path("a"), facility.path("b")]
        assert quarantine.wanted() == {}
        facility.pipeline.heard(back, facility.now)
        facility.until_nothing_is_left()
        assert facility.imports == {NAMES: 1}


def test_a_second_way_home_has_goals_of_its_own() -> None:
    with a_facility() as facility:
        given_up = facility.give_up()
        key, coming = f"{RETURNING}{given_up.id}", facility.quarantine.coming
        paths = [facility.path(name) for name in NAMES]
        until = facility.journal.now() + 60.0
        # The journal has it at home already, and the note is still there.
        facility.journal.note(key, str(Way(str(facility.home), "/elsewhere", (), until, 1.0)))
        assert coming(paths) == set()
        facility.journal.note(key, str(Way(str(facility.home), given_up.root, (), until, 1.0)))
        assert coming(paths) == set(paths[:2])
        others = [replace(met, path=met.path + ".new") for met in given_up.files]
        assert facility.journal.put_elsewhere(given_up.id, given_up.root, others)
        assert coming(paths) == set(paths[:2])
        facility.journal.note(key, str(Way(str(facility.home), given_up.root, (), until, 2.0)))
        assert coming(paths) == set()
        assert coming([f"{path}.new" for path in paths]) == {f"{path}.new" for path in paths[:2]}


def test_one_that_cannot_come_home_lets_the_others_settle() -> None:
    """What of it is back has a row then, and people see what it waits for."""
    with a_facility() as facility:
        given_up = facility.give_up()
        moves = iter((False, True))

        def full(*arguments: Any) -> None:
            if next(moves):
                raise OSError(errno.ENOSPC, "No space left on device")
            move_back(*arguments)

        move_back = returning.move_back
        facility.write("c")
        with mock.patch.object(returning, "move_back", full):
            assert facility.quarantine.bring_back(given_up) == []
        facility.hear()
        assert {row.path for row in facility.journal.select(State.WAITING)} == {
            facility.path(name) for name in "ac"
        }
        facility.until_nothing_is_left()
        assert facility.imports == {NAMES: 1}


def test_what_is_on_its_way_has_no_row_of_its_own() -> None:
    home: list[set[str]] = []  # the files of rows, at each step before the journal has it at home
    with a_facility() as facility:
        given_up = facility.give_up()

        def step() -> None:
            facility.hear()
            facility.rest()
            rows = facility.journal.select()
            if facility.journal.load([given_up.id])[0].state is State.FAILED:
                home.append({row.path for row in rows} - {given_up.path})

        facility.write("c")
        with between_the_steps(facility, step):
            facility.quarantine.bring_back(given_up)
        facility.until_nothing_is_left()
        assert facility.imports == {NAMES: 1}
    assert len(home) > len(OUT)
    assert {path for paths in home for path in paths} == {facility.path("c")}
