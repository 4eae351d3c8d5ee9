"""One set comes home from quarantine several times, each time with other files.

It fails again in between, and at any step of a way home, or of the way back into quarantine, others
do something or the process is killed.  In the end each content came into OMERO once, and as one
set.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.importing import lying, quarantine, returning, undoing
from omero_fs_plugin.dropbox.importing.alone import Busy
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from tests.conftest import examples
from tests.memory import MEMORY
from tests.steps import before_each

from .test_way_home import OUT, Facility, Killed

OUT_OF_HOME = ("move_out", "stat_of", "lies_at", "moved_before", "make_directory", "_tell")
ASKED = ("set_out", "put_elsewhere", "bring_home", "note", "end_way")
LAST = "c"  # that the set lacks, until the end


class Site(Facility):
    """As a Facility, with a set whose files change."""

    def __init__(self, place: Path) -> None:
        self.names = ["a", "b"]
        self.versions: dict[str, int] = {}
        super().__init__(place)

    def content(self, name: str) -> str:
        return f"{name}{self.versions.get(name, 0)}"

    def write(self, name: str) -> None:
        (self.home / name).write_text(self.content(name))

    def start(self) -> None:
        super().start()
        for identifier in self.quarantine.returning():
            self.pipeline.heard(self.quarantine.finish(identifier), self.now)
        for fileset, act in self.quarantine.due():
            act(fileset)
        self.rescan()

    def hear(self) -> None:
        self.pipeline.heard([self.path(name) for name in (*self.names, LAST)], self.now)

    def group(self) -> list[str]:
        lacking: list[str] = []
        wanted = [*self.names, LAST]
        while (lot := self.pipeline.next_lot(self.now)) is not None:
            there = tuple(self.path(n) for n in wanted if (self.home / n).exists())
            missing = tuple(self.path(n) for n in wanted if not (self.home / n).exists())
            gone = {path: "it is gone" for path in lot.files if path in missing}
            sets = (Candidate(there, missing=missing),) if there else ()
            self.pipeline.grouped(lot, Grouping(sets, gone), self.now, 0.0)
            lacking += missing
        return lacking

    # -- what may happen between two ways home ---------------------------------

    def at_home_alone(self, name: str) -> bool:
        """It is at home, and nothing of it in quarantine."""
        failed = (self.place / "failed").rglob(name)
        return (self.home / name).exists() and not any(path.is_file() for path in failed)

    def one_goes(self) -> None:
        if len(self.names) > 1 and self.at_home_alone(self.names[-1]):
            (self.home / self.names.pop()).unlink()

    def one_changes(self) -> None:
        if self.at_home_alone(self.names[0]):
            name = self.names[0]
            self.versions[name] = self.versions.get(name, 0) + 1
            (self.home / name).unlink()
            self.write(name)

    def one_comes(self) -> None:
        name = f"n{len(self.names)}"
        if name not in self.names:
            self.names.append(name)
            self.write(name)

    def nothing(self) -> None:
        """It is as it was."""

    CHANGES = (nothing, one_goes, one_changes, one_comes)

    def fails_again(self) -> Fileset | None:
        """What is at home, and waits there, has waited for long enough."""
        self.rescan()
        self.rest()
        self.group()
        paths = [self.path(name) for name in self.names]
        waiting = [
            one
            for one in self.journal.open_at(paths).values()
            if one.state is State.WAITING and len(one.files) == 1
        ]
        if not waiting:
            return None
        ids = [one.id for one in sorted(waiting, key=lambda one: one.path)]
        reason = f"waits for {self.path(LAST)}"
        failed = self.journal.give_up(ids, reason, [self.path(LAST)])
        return self.journal.load([failed])[0] if failed is not None else None

    def all_failed(self) -> list[Fileset]:
        return sorted(self.journal.select(State.FAILED), key=lambda one: one.id)

    def nobody_goes_on(self) -> None:
        """It is finished by itself."""
        for identifier in self.quarantine.forsaken(self.now):
            self.pipeline.heard(self.quarantine.finish(identifier), self.now)


def between_the_steps(site: Site, step: Callable[[], None]) -> AbstractContextManager[None]:
    owners: list[tuple[Any, str]] = [(returning, name) for name in OUT]
    owners += [(quarantine, name) for name in OUT_OF_HOME]
    owners += [(module, name) for module in (lying, undoing) for name in ("stat_of", "lies_at")]
    owners += [(site.journal, name) for name in ASKED]
    return before_each(owners, step)


def several(rounds: Sequence[tuple[Sequence[str], str]], *, held: bool) -> None:
    """Each round: what others do at the steps, and what has changed before it fails again."""
    with (
        tempfile.TemporaryDirectory(dir=MEMORY) as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        site = Site(Path(directory))
        try:
            if not held:
                patch.setattr(returning, "_COMING_S", -1.0)
            site.give_up()
            for actions, change in rounds:
                left, within = iter(actions), False

                def step(left: Iterator[str] = left) -> None:
                    nonlocal within
                    action = next(left, "nothing")
                    if within or action == "nothing":
                        return
                    if action == "kill":
                        raise Killed
                    within = True
                    try:
                        getattr(site, action)()
                    finally:
                        within = False

                with between_the_steps(site, step):
                    try:
                        for one in site.all_failed():
                            with suppress(Busy):
                                site.pipeline.heard(site.quarantine.bring_back(one), site.now)
                        within = True
                        getattr(site, change)()
                        again = site.fails_again()
                        within = False
                        if again is not None:
                            site.quarantine.take(again)
                    except Killed:
                        within = True
                        site.start()
            patch.undo()
            site.start()
            site.write(LAST)
            site.until_nothing_is_left()
            site.nobody_goes_on()
            site.until_nothing_is_left()
            check(site)
        finally:
            site.journal.close()


def check(site: Site) -> None:
    counts = site.journal.counts()
    contents = tuple(site.content(name) for name in [*site.names, LAST])
    rows = site.journal.select()
    assert site.imports == {contents: 1}, rows
    assert site.recognised == 0
    assert [counts[state] for state in (State.WAITING, State.QUEUED, State.FAILED)] == [0, 0, 0]
    for prefix in ("returning ", "quarantined ", "quarantine under way "):
        assert site.journal.notes(prefix) == {}
    assert sorted(path.name for path in site.home.iterdir()) == sorted([*site.names, LAST])
    assert [path for path in (site.place / "failed").rglob("*") if is_left(path)] == []


def is_left(path: Path) -> bool:
    """Texts and locks may be left by a kill."""
    return path.is_file() and path.suffix not in (".txt", ".lock")


ACTIONS = ["nothing", "nothing", "hear", "rescan", "rest", "group", "all_of_it"]
ROUND = st.tuples(
    st.lists(st.sampled_from([*ACTIONS, "bring_back_too", "nobody_goes_on", "kill"]), max_size=24),
    st.sampled_from([change.__name__ for change in Site.CHANGES]),
)


@settings(max_examples=examples(40), deadline=None)
@given(rounds=st.lists(ROUND, min_size=2, max_size=4), held=st.booleans())
@example(rounds=[(["all_of_it"] * 24, "one_comes")] * 3, held=False)
@example(  # what was moved, and not recorded yet, was met as a renamed file
    rounds=[
        (["nobody_goes_on", "nothing", "group", "rest"], "one_goes"),
        (
            [
                *("nobody_goes_on", "hear", "nobody_goes_on", "hear", "nobody_goes_on"),
                *("rescan", "rest", "rescan"),
            ],
            "one_changes",
        ),
        (["nobody_goes_on", "rest", "hear", "group", "hear", "group"], "one_changes"),
        (
            [
                *("bring_back_too", "all_of_it", "all_of_it", "rescan", "group", "nobody_goes_on"),
                *("rescan", "hear", "kill", "rescan", "nobody_goes_on", "hear"),
                *("all_of_it", "all_of_it"),
            ],
            "nothing",
        ),
    ],
    held=False,
)
def test_in_any_order(rounds: list[tuple[list[str], str]], held: bool) -> None:
    several(rounds, held=held)


@pytest.mark.parametrize("held", [True, False], ids=["in time", "too late"])
@pytest.mark.parametrize("change", [change.__name__ for change in Site.CHANGES])
@pytest.mark.parametrize("step", range(28))
def test_a_kill_at_each_step_of_the_first_way(step: int, change: str, held: bool) -> None:
    several([(["nothing"] * step + ["kill"], change), ([], change), ([], "nothing")], held=held)
