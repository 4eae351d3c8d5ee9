"""A fileset whose directory becomes another one while a lane is at its note, or hangs there.

In any order: in the end there is one note, beside the failed file, and the journal knows it.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.letters import notes
from omero_fs_plugin.dropbox.letters.notes import Notes, beside
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.system_names import NOTE
from tests.conftest import examples
from tests.memory import MEMORY
from tests.rules import settings_of
from tests.steps import before_each

ROOTS = ("one", "two", "three")
OUT = ("write", "remove", "stat_of", "glance")


class Lanes:
    """A lane for each root.  While one is at a job, or hangs in it, the others may go on."""

    def __init__(self) -> None:
        self.jobs: dict[str, deque[tuple[Callable[[], None], Callable[[], None]]]] = {}
        self.at: dict[str, Callable[[], None]] = {}  # root -> to be called if it is given up

    def do(
        self,
        root: str,
        job: Callable[[], None],
        *,
        key: Any = None,
        beside: str = "",
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.jobs.setdefault(root, deque()).append((job, lost))

    def run(self, root: str) -> None:
        if root in self.at or not self.jobs.get(root):
            return
        job, self.at[root] = self.jobs[root].popleft()
        lost = self.at[root]
        try:
            job()
        finally:
            if self.at.get(root) is lost:
                del self.at[root]

    def give_up(self, root: str) -> None:
        """What it is at never comes back; or does so after all, and nobody waits for it."""
        lost = self.at.pop(root, None)
        if lost is not None:
            lost()


class Site:
    """A file that has failed, in one of three directories."""

    def __init__(self, place: Path) -> None:
        self.place, self.looking = place, False
        for root in ROOTS:
            (place / root).mkdir()
        url = f"sqlite:///{place}/journal.sqlite"
        self.journal = Journal(url)
        (place / "one" / "a.tif").write_text("a")
        fileset = self.journal.hand_over("amy", str(place / "one"), self._found("one"))
        self.id = fileset.id
        self.journal.move(self.id, State.QUEUED, State.FAILED, "no image")
        wanted = settings_of(notes="on", watchDir=str(place), journal=url)
        self.lanes = Lanes()
        self.notes = Notes(self.journal, self.lanes, lambda: wanted)  # type: ignore[arg-type]

    def _found(self, root: str) -> Found:
        path = self.place / root / "a.tif"
        return Found(str(path), FileStat.of(path.lstat()))

    @property
    def row(self) -> Fileset:
        (row,) = self.journal.load([self.id])
        return row

    def look(self, *_: str) -> None:
        self.looking = True  # what it asks the journal is no step of a lane
        try:
            self.notes.look(self.journal.now())
        finally:
            self.looking = False

    def goes_to(self, root: str) -> None:
        """It lies there, and fails there."""
        now = self.row
        if now.state is State.FAILED and now.root != str(self.place / root):
            Path(now.path).rename(self.place / root / "a.tif")
            assert self.journal.put_elsewhere(self.id, str(self.place / root), [self._found(root)])
            self.again()
            self.again()

    def run(self, root: str) -> None:
        self.lanes.run(str(self.place / root))

    def give_up(self, root: str) -> None:
        self.lanes.give_up(str(self.place / root))

    def again(self, *_: str) -> None:
        """It is tried again, or fails again."""
        if not self.journal.move(self.id, State.QUEUED, State.FAILED, "still no image"):
            self.journal.retry(self.id)

    def until_nothing_is_left(self) -> None:
        for number in range(1, 20):
            self.notes.look(self.journal.now() + 1000.0 * number)
            for root in ROOTS:
                while self.lanes.jobs.get(str(self.place / root)):
                    self.run(root)

    def assert_one_note(self) -> None:
        row = self.row
        failed = row.state is State.FAILED
        wanted = {beside(row.path)} if failed else set()
        assert {str(path) for path in self.place.rglob(f"*{NOTE}")} == wanted
        noted = self.journal.notes("note of ")
        assert [*noted] == ([f"note of {row.id}"] if failed else [])


def between_the_steps(site: Site, step: Callable[[], None]) -> AbstractContextManager[None]:
    owners: list[tuple[Any, str]] = [(notes, name) for name in OUT]
    owners += [(site.journal, name) for name in ("note", "noted")]
    return before_each(owners, step)


ACTS = [
    *(("look", ""), ("again", "")),
    *((act, root) for act in ("goes_to", "run", "give_up") for root in ROOTS),
]
Acts = Sequence[tuple[str, str]]


def in_order(acts: Acts) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        site = Site(Path(directory))
        try:
            left = iter(acts)

            def step() -> None:
                if site.looking or not site.lanes.at:
                    return
                for act, root in left:
                    if act == "step":
                        return
                    getattr(site, act)(root)

            with between_the_steps(site, step):
                for act, root in left:
                    if act != "step":
                        getattr(site, act)(root)
            site.until_nothing_is_left()
            site.assert_one_note()
        finally:
            site.journal.close()


HANGS = [  # the first lane hangs before it notes; the second one is asked meanwhile
    *(("look", ""), ("run", "one")),
    *[("step", "")] * 5,
    *(("goes_to", "two"), ("look", ""), ("run", "two"), *[("step", "")] * 8, ("look", "")),
]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.sampled_from([*ACTS, *[("step", "")] * len(ACTS)]), max_size=60))
@example(HANGS)
def test_there_is_one_note_in_the_end(acts: Acts) -> None:
    in_order(acts)


@pytest.mark.parametrize("after", range(14))
@pytest.mark.parametrize("before", range(10))
def test_it_goes_elsewhere_at_any_step(before: int, after: int) -> None:
    step = ("step", "")
    meanwhile = [("goes_to", "two"), ("look", ""), ("run", "two"), *[step] * after, ("look", "")]
    in_order([("look", ""), ("run", "one"), *[step] * before, *meanwhile])
