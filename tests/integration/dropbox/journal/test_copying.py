"""A journal is carried from one database to another: all of it, the same, and it goes on there."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from omero_fs_plugin.dropbox.journal import copying, rules, schema
from omero_fs_plugin.dropbox.journal.copying import copy
from omero_fs_plugin.dropbox.journal.fates import Ended, Fate
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import Lease
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import JournalError

from .postgres import Postgres
from .test_journal import found, postgres

__all__ = ["postgres"]  # a fixture

_NUMBERS = itertools.count()


@pytest.fixture(params=["sqlite to postgresql", "postgresql to sqlite", "sqlite to sqlite"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Journal, Journal]]:
    """A journal with something of every kind, and an empty one."""
    journals = []
    for number, kind in enumerate(request.param.split(" to ")):
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path}/{number}.sqlite"
        else:
            server: Postgres = request.getfixturevalue("postgres")
            url = server.url(f"copying{next(_NUMBERS)}")
        journals.append(Journal(url, who="a test"))
    fill(journals[0])
    yield journals[0], journals[1]
    for journal in journals:
        journal.close()


def fill(journal: Journal) -> None:
    for number in range(30):
        met = found(f"{number} ä \\ ' % .tif", inode=2**64 - 1 - number)
        fileset = journal.hand_over("amy", "/dropbox/amy", met)
        if number % 3 == 0:
            journal.move(fileset.id, State.QUEUED, State.FAILED, "no reader takes it")
        elif number % 3 == 1:
            taken = journal.take("amy")
            assert taken is not None
            journal.imported(taken.id, 100 + number, [number], ["0a" * 20])
            ended = Ended(Fate.LEFT, 12.5, why="it has changed")
            journal.afterwards.end(taken.id, ended)
    journal.note("a note", "with a value")
    journal.outbox.begin()
    journal.outbox.put("amy", "digest", "{}")


def rows(journal: Journal) -> dict[str, list[tuple[object, ...]]]:
    with journal.database.reading() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in schema.metadata.sorted_tables
            if table.name not in ("lease", "claim", "node", "turn")
        }


def test_all_of_it_is_the_same(two: tuple[Journal, Journal]) -> None:
    source, target = two
    before = rows(source)
    number = copy(source, target, time.monotonic)
    assert rows(target) == before == rows(source)
    assert number == {name: len(some) for name, some in before.items()}
    assert number["event"] > number["fileset"] == 30


def test_it_goes_on_there(two: tuple[Journal, Journal]) -> None:
    source, target = two
    copy(source, target, time.monotonic)
    fileset = target.hand_over("amy", "/dropbox/amy", found("later.tif"))
    assert fileset.id == 31
    assert target.last_event() == source.last_event() + 1
    assert Lease(target).hold(time.monotonic()), "nobody holds it any more"
    assert Lease(source).hold(time.monotonic())


def test_the_rules_hold_there(two: tuple[Journal, Journal]) -> None:
    source, target = two
    copy(source, target, time.monotonic)
    imported = target.select(State.IMPORTED)[0]
    with (
        pytest.raises(JournalError, match=rules.ILLEGAL),
        target.database.writing() as connection,
    ):
        connection.execute(
            text("UPDATE fileset SET state = 'queued' WHERE id = :id"), {"id": imported.id}
        )


def test_one_that_is_in_use_is_refused(two: tuple[Journal, Journal]) -> None:
    source, target = two
    holder = Lease(source)
    assert holder.hold(time.monotonic())
    # This very process lives; a lease of its own is another's.
    with pytest.raises(JournalError, match="is in use by DropBox, process"):
        copy(source, target, time.monotonic)
    assert rows(target)["fileset"] == []
    holder.release()
    copy(source, target, time.monotonic)


def test_one_that_is_not_empty_is_refused(two: tuple[Journal, Journal]) -> None:
    source, target = two
    copy(source, target, time.monotonic)
    before = rows(target)
    with pytest.raises(JournalError, match="is not empty"):
        copy(source, target, time.monotonic)
    assert rows(target) == before


def test_a_lease_that_is_lost_meanwhile_copies_nothing(
    two: tuple[Journal, Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = two
    refer = copying._refer

    def taken(*of: object) -> None:
        refer(*of)  # type: ignore[arg-type]
        with source.database.writing(fenced=False) as connection:
            connection.execute(text("UPDATE lease SET holder = 'a b c 1 d e', epoch = epoch + 1"))

    monkeypatch.setattr(copying, "_refer", taken)
    with pytest.raises(JournalError, match="was taken by another DropBox"):
        copy(source, target, time.monotonic)
    assert rows(target)["fileset"] == []


def test_a_copy_that_differs_does_not_count(
    two: tuple[Journal, Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = two
    count_on = copying._count_on

    def lossy(old: object, new: object) -> None:
        count_on(old, new)  # type: ignore[arg-type]
        new.execute(text("DELETE FROM file WHERE fileset = 5"))  # type: ignore[attr-defined]

    monkeypatch.setattr(copying, "_count_on", lossy)
    with pytest.raises(JournalError, match="the copy of file differs"):
        copy(source, target, time.monotonic)
    assert rows(target)["fileset"] == []


def test_no_number_is_given_again(two: tuple[Journal, Journal]) -> None:
    """Notes name rows by their number: to whom what was told, and what was uploaded."""
    source, target = two
    source.wait("amy", "/dropbox/amy", [found("s.zarr/0", 7), found("s.zarr/1", 8)])
    last = source.last_event()
    ids = [fileset.id for fileset in source.select(State.WAITING)]
    assert source.absorb("amy", "/dropbox/amy/s.zarr/") == 2
    assert source.last_event() < last, "they are gone, and their numbers are free"
    copy(source, target, time.monotonic)
    target.wait("amy", "/dropbox/amy", [found("new.tif", 9)])
    (new,) = target.select(State.WAITING)
    assert new.id > max(ids)
    assert target.last_event() > last
