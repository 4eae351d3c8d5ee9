"""What becomes of a user's wish for a fileset that lies in quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.publishing.answers import Answers
from omero_fs_plugin.errors import NotDeletedError
from omero_fs_plugin.events import FileStat
from tests.rules import places_of
from tests.steps import before_each


class Omero:
    """Amy asks for this, once."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(enumerate(texts))

    def requests(self) -> dict[str, list[tuple[int, str]]]:
        return {"amy": self.texts}

    def unpublish(self, identifiers: list[int]) -> None:
        self.texts = []


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield journal
    journal.close()


@pytest.mark.parametrize("away", [True, False], ids=["in quarantine", "back by hand"])
def test_it_stays_in_quarantine_whatever_the_property_names_by_now(
    journal: Journal, tmp_path: Path, away: bool
) -> None:
    """The journal knows where it lies; the property may name another directory, or none."""
    home = tmp_path / "DropBox" / "amy"
    home.mkdir(parents=True)
    path = home / "a.tif"
    path.write_bytes(b"no image")
    stat = FileStat.of(path.lstat())
    journal.wait("amy", str(home), [Found(str(path), stat)])
    (met,) = journal.select()
    fileset = met.id
    journal.move(fileset, State.WAITING, State.FAILED, "no image")
    if away:
        quarantine = Quarantine(tmp_path / "failed", places_of(home.parent), journal)
        quarantine.take(journal.load([fileset])[0])
        assert not path.exists()
    omero: Any = Omero(f"try again {fileset}")
    answers = Answers(journal, omero)
    answers.look()
    (row,) = journal.load([fileset])
    if away:
        assert answers.of("amy")[fileset].startswith("its files are in quarantine")
        assert row.state is State.FAILED
    else:
        assert answers.of("amy")[fileset] == "it is tried again"
        assert row.state is State.QUEUED


@pytest.mark.parametrize("wish", ["try again", "forget"])
def test_who_asks_twice_keeps_the_answer(journal: Journal, tmp_path: Path, wish: str) -> None:
    """A double click, or a page that is sent again: the second request may come a look later."""
    path = tmp_path / "a.tif"
    path.write_bytes(b"no image")
    journal.wait("amy", str(tmp_path), [Found(str(path), FileStat.of(path.lstat()))])
    (met,) = journal.select()
    journal.move(met.id, State.WAITING, State.FAILED, "no image")
    omero: Any = Omero(f"{wish} {met.id}")
    answers = Answers(journal, omero)
    answers.look()
    told = dict(answers.of("amy"))
    assert "tried again" in told[met.id] or "set aside" in told[met.id]
    (state,) = (one.state for one in journal.load([met.id]))
    for _ in range(2):
        omero.texts = list(enumerate([f"{wish} {met.id}"] * 2))
        answers.look()
        assert answers.of("amy") == told and omero.texts == []
        assert [one.state for one in journal.load([met.id])] == [state]


@pytest.mark.parametrize("wish", ["try again", "forget"])
def test_an_own_one_that_goes_on_by_itself_is_told_from_none(
    journal: Journal, tmp_path: Path, wish: str
) -> None:
    """Its user has mended it, and the page still shows the buttons of before."""
    for number, user in enumerate(("amy", "zak")):
        path = tmp_path / f"{number}.tif"
        path.write_bytes(b"mended")
        journal.wait(user, str(tmp_path), [Found(str(path), FileStat.of(path.lstat()))])
    amys, zaks = sorted(journal.select(), key=lambda one: one.user)
    omero: Any = Omero(f"{wish} {amys.id}", f"{wish} {zaks.id}", f"{wish} 4711")
    answers = Answers(journal, omero)
    answers.look()
    none = "you have no failed drop of this number"
    told = {amys.id: "it had not failed any more", zaks.id: none, 4711: none}
    assert answers.of("amy") == told
    assert {one.state for one in journal.select()} == {State.WAITING}


def test_an_answer_of_before_does_not_hide_the_next_one(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"no image")
    journal.wait("amy", str(tmp_path), [Found(str(path), FileStat.of(path.lstat()))])
    (met,) = journal.select()
    journal.move(met.id, State.WAITING, State.FAILED, "no image")
    omero: Any = Omero("forget 777", f"try again {met.id}")
    answers = Answers(journal, omero)
    answers.look()
    assert answers.of("amy") == {
        777: "you have no failed drop of this number",
        met.id: "it is tried again",
    }
    journal.move(met.id, State.QUEUED, State.FAILED, "no image")
    omero.texts = [(1, f"forget {met.id}")]
    answers.look()
    assert answers.of("amy")[met.id] == "it is set aside"


def test_what_omero_does_not_delete_is_done_once_and_holds_up_nobody(journal: Journal) -> None:
    class Refusing:
        def __init__(self) -> None:
            self.deleted: list[int] = []

        def requests(self) -> dict[str, list[tuple[int, str]]]:
            left = {"amy": [(1, "forget 7"), (2, "forget 8")], "zak": [(3, "forget 9")]}
            return {user: some for user, some in left.items() if some[0][0] not in self.deleted}

        def unpublish(self, identifiers: list[int]) -> None:
            if 1 in identifiers:
                raise NotDeletedError("something of amy's hangs on it")
            self.deleted.extend(identifiers)

    omero: Any = Refusing()
    answers = Answers(journal, omero)
    answers.look()
    assert set(answers.of("amy")) == {7, 8} and set(answers.of("zak")) == {9}
    assert omero.deleted == [3] and answers.news() == {"amy", "zak"}
    answers.look()
    assert answers.news() == set()


def test_it_stays_in_quarantine_if_it_goes_there_while_it_is_asked_for(
    journal: Journal, tmp_path: Path
) -> None:
    home = tmp_path / "DropBox" / "amy"
    home.mkdir(parents=True)
    path = home / "a.tif"
    path.write_bytes(b"no image")
    journal.wait("amy", str(home), [Found(str(path), FileStat.of(path.lstat()))])
    (met,) = journal.select()
    journal.move(met.id, State.WAITING, State.FAILED, "no image")
    quarantine = Quarantine(tmp_path / "failed", places_of(home.parent), journal)
    omero: Any = Omero(f"try again {met.id}")
    answers = Answers(journal, omero)
    with before_each([(journal, "retry")], lambda: quarantine.take(journal.load([met.id])[0])):
        answers.look()
    assert answers.of("amy")[met.id] == "its files are being moved just now: ask again later"
    (now,) = journal.load([met.id])
    assert now.state is State.FAILED and not path.exists()
