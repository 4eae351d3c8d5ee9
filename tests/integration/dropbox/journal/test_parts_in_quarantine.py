"""A large failed set goes into quarantine while somebody wants its files: its files stay together.

Whoever wants them does something between any two transactions of the move, or the move is made
between two of theirs; on both databases.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from omero_fs_plugin.dropbox.journal.database import Database
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, HOME
from omero_fs_plugin.dropbox.journal.records import Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat
from tests.parts import in_parts_of

from .test_journal import journal, postgres, url

__all__ = ["journal", "postgres", "url"]  # fixtures

ROOT, VAULT = "/dropbox/amy/s.zarr", "/failed/amy/1"
FOUND = [Found(f"{ROOT}/{n}.tif", FileStat(1, 100 + n, 5, n, 1)) for n in range(7)]
MOVED = [Found(f"{VAULT}/{n}.tif", FileStat(2, 200 + n, 5, n, 1)) for n in range(7)]
EXTRA = Found(f"{ROOT}/extra.tif", FileStat(1, 900, 5, 1, 1))
SEVERAL = range(16)  # more transactions than any act has here


@pytest.fixture(autouse=True)
def small_parts() -> Iterator[None]:
    with in_parts_of(2):
        yield


class Set:
    """It has failed, and may go into quarantine."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        formed, _ = journal.form(Formed("amy", ROOT, FOUND))
        assert formed is not None
        self.id = formed
        journal.move(self.id, State.QUEUED, State.FAILED, "no image")
        self.went: bool | None = None

    def goes(self) -> None:
        (now,) = self.journal.load([self.id])
        noted = {f"{HOME}{self.id}": ROOT, f"{GOES}{self.id}": "/failed"}
        if len(now.files) != len(FOUND) or not self.journal.set_out(now, noted):
            return
        self.went = self.journal.put_elsewhere(self.id, VAULT, MOVED)

    def formed_anew(self) -> None:
        self.journal.form(Formed("amy", ROOT, [*FOUND, EXTRA]))

    def formed_with_another_first(self) -> None:
        self.journal.form(Formed("amy", ROOT, [EXTRA, *FOUND]))

    def met_again(self) -> None:
        self.journal.wait("amy", ROOT, FOUND)

    def handed_over(self) -> None:
        with suppress(ImportRefused):
            self.journal.hand_over("amy", ROOT, FOUND[0])

    def part_of_a_store(self) -> None:
        self.journal.absorb("amy", f"{ROOT}/")

    def assert_together(self) -> None:
        rows = self.journal.select()
        mine = [row for row in rows if row.id == self.id]
        others = [met.path for row in rows if row.id != self.id for met in row.files]
        assert not [path for path in others if path.startswith(VAULT)], rows
        assert not [row for row in rows if row.id != self.id and row.root == VAULT], rows
        if self.went:
            assert [met.path for met in mine[0].files] == [met.path for met in MOVED], rows
            assert (mine[0].state, mine[0].root) == (State.FAILED, VAULT)
        else:
            assert not [met for row in mine for met in row.files if met.path.startswith(VAULT)]
        # Nobody has lost one that is still at home.
        paths = [met.path for row in rows for met in row.files]
        assert self.went or {met.path for met in FOUND[:1]} <= set(paths)


ACTS = (
    Set.formed_anew,
    Set.formed_with_another_first,
    Set.met_again,
    Set.handed_over,
    Set.part_of_a_store,
)


@contextmanager
def before(patch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> Iterator[None]:
    """`act` is done before the transaction with this number."""
    numbers = itertools.count()
    both = {name: getattr(Database, name) for name in ("reading", "writing")}

    def of(name: str) -> Any:
        def called(self: Database, **options: Any) -> Any:
            if next(numbers) == number:
                with patch.context() as inner:
                    for one, real in both.items():
                        inner.setattr(Database, one, real)
                    act()
            return both[name](self, **options)

        return called

    with patch.context() as outer:
        for name in both:
            outer.setattr(Database, name, of(name))
        yield


@pytest.mark.parametrize("number", SEVERAL)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_it_goes_while_its_files_are_wanted(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, act: Callable[[Set], None], number: int
) -> None:
    failed = Set(journal)
    with before(monkeypatch, number, failed.goes):
        act(failed)
    failed.assert_together()


@pytest.mark.parametrize("number", SEVERAL)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_its_files_are_wanted_while_it_goes(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, act: Callable[[Set], None], number: int
) -> None:
    failed = Set(journal)
    with before(monkeypatch, number, lambda: act(failed)):
        failed.goes()
    failed.assert_together()


def test_one_file_of_it_is_not_handed_over_from_there(journal: Journal) -> None:
    one = Set(journal)
    one.goes()
    journal.note(f"{GOES}{one.id}", "")
    with pytest.raises(ImportRefused, match=f"lies in quarantine.*--retry {one.id}"):
        journal.hand_over("amy", VAULT, MOVED[0])
    one.assert_together()
