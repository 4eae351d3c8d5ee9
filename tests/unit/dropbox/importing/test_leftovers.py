"""What OMERO may still make of a fileset: it is looked for until nothing can come any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing import leftovers
from omero_fs_plugin.dropbox.importing.activity import LATE_S, Watch
from omero_fs_plugin.dropbox.importing.leftovers import Leftovers, note_leftover
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.nodes import LEFTOVER
from omero_fs_plugin.dropbox.journal.states import State

from .building import queue


class World:
    """A fileset that has failed, and OMERO, which has nothing of it."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0  # s
        self.meanwhile: Callable[[], None] = lambda: None  # while OMERO is asked
        self.journal = journal
        (self.fileset,) = queue(journal, "a.tif")
        journal.move(self.fileset, State.QUEUED, State.FAILED, "no")
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now)
        monkeypatch.setattr(leftovers, "time", clock)
        monkeypatch.setattr(leftovers, "Earlier", lambda *of: self)
        note_leftover(journal, self.fileset)
        pool: Any = self
        omero: Any = None
        self.leftovers = Leftovers(journal, omero, pool, Watch(), lambda fileset: "")

    @contextmanager
    def session(self, user: str, group: str) -> Iterator[None]:
        yield None

    def clear(self) -> bool:
        return False

    def strangers(self) -> dict[int, bool]:
        self.meanwhile()
        return {}

    def tried_again(self) -> None:
        """A person tries it again, and the end of that attempt is not seen either."""
        self.journal.retry(self.fileset)
        self.journal.take("amy")
        note_leftover(self.journal, self.fileset)
        self.journal.move(self.fileset, State.IMPORTING, State.FAILED, "no")

    @property
    def noted(self) -> str:
        return self.journal.noted(f"{LEFTOVER}{self.fileset}")

    def sweep(self, after: float) -> None:
        self.now += after
        self.leftovers.sweep()


@pytest.fixture
def world(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(journal, monkeypatch)


def test_what_cannot_come_any_more_is_forgotten(world: World) -> None:
    world.sweep(after=0)
    assert world.noted
    world.sweep(after=LATE_S + 1)
    assert not world.noted


def test_what_a_later_attempt_may_leave_is_not_forgotten_with_it(world: World) -> None:
    """It is noted while OMERO is asked, of the former attempt."""
    world.sweep(after=0)
    world.meanwhile = world.tried_again
    world.sweep(after=LATE_S + 1)
    assert world.noted == f"{world.now:.0f}"


def test_the_time_for_a_later_attempt_begins_with_it(world: World) -> None:
    world.sweep(after=0)
    world.now += LATE_S - 1
    world.tried_again()
    world.sweep(after=10)
    assert world.noted, "OMERO may carry out a call of that attempt for as long again"
    world.sweep(after=LATE_S + 1)
    assert not world.noted
