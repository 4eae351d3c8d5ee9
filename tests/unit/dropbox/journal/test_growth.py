"""What the database does for one set grows with the set, and not with the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, event, update

from omero_fs_plugin.dropbox.journal import schema
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat

HOME = "/dropbox/amy"
OTHER = FileStat(1, 1, 987_654_321, 1, 1)  # of a size that no other file has
Act = Callable[[Journal, list[Found]], None]
EVERY = 100  # instructions of SQLite's machine


@contextmanager
def instructions(journal: Journal) -> Iterator[list[int]]:
    """How many instructions SQLite has executed, in one figure."""
    done = [0]

    def some() -> int:
        done[0] += EVERY
        return 0

    def out(connection: Any, *_: Any) -> None:
        connection.set_progress_handler(some, EVERY)

    def back(connection: Any, *_: Any) -> None:
        if connection is not None:
            connection.set_progress_handler(None, EVERY)

    pool = journal._database._engine.pool
    event.listen(pool, "checkout", out)
    event.listen(pool, "checkin", back)
    try:
        yield done
    finally:
        event.remove(pool, "checkout", out)
        event.remove(pool, "checkin", back)


def _found(directory: str, number: int, first: int) -> list[Found]:
    return [
        Found(f"{HOME}/{directory}/{n:05}.tif", FileStat(1, first + n, 1, n, n))
        for n in range(number)
    ]


def _journal(directory: Path, beside: int) -> Journal:
    """With so many filesets of the user that wait, and as many that are imported."""
    directory.mkdir()
    journal = Journal(f"sqlite:///{directory}/journal.sqlite")
    if beside:
        journal.wait("amy", HOME, _found("imported", beside, 1_000_000))
        with journal._database.writing() as connection:
            for state in (State.QUEUED, State.IMPORTING, State.IMPORTED):
                connection.execute(update(schema.fileset).values(state=state))
            connection.execute(update(schema.file).values(sha1=schema.file.c.path))
        journal.wait("amy", HOME, _found("beside", beside, 2_000_000))
    return journal


def _form(journal: Journal, found: list[Found]) -> None:
    assert journal.form(Formed("amy", HOME, tuple(found)))[0] is not None


def _ids(journal: Journal, found: list[Found]) -> list[int]:
    return [one.id for one in journal.open_at([met.path for met in found]).values()]


def _tell(journal: Journal, found: list[Found]) -> None:
    journal.tell(dict.fromkeys(_ids(journal, found), "waits for Bio-Formats"))


def _waited(journal: Journal, found: list[Found]) -> None:
    journal.waited(_ids(journal, found), 1.0)


def _end(journal: Journal, found: list[Found]) -> None:
    assert len(journal.end_waiting(dict.fromkeys(_ids(journal, found), "gone"), State.SKIPPED))


def _import(journal: Journal, found: list[Found]) -> None:
    """From rest to the end of the import, as an importer asks and writes it."""
    journal.settled({one.id: one.files[0].stat for one in _open(journal, found[:20])})
    for number in range(20):
        fileset = journal.take("amy")
        assert fileset is not None
        sha1s = [f"{number:040x}"]
        assert not journal.has_twin(replace(fileset, files=(replace(found[0], stat=OTHER),)))
        assert journal.same_content("amy", sha1s) == []
        assert journal.under_way(fileset, sha1s[0]) is None
        assert journal.note_verified(fileset, sha1s, known=()) is None
        journal.imported(fileset.id, number + 1, [number], sha1s)


def _open(journal: Journal, found: list[Found]) -> list[Fileset]:
    return list(journal.open_at([met.path for met in found]).values())


def _known(journal: Journal, found: list[Found]) -> None:
    assert len(journal.known(found)) == len(found)


def _cost(directory: Path, act: Act, number: int, beside: int) -> int:
    """What an act costs that so many files have part in, which have waited."""
    journal = _journal(directory, beside)
    found = _found("set", number, 1)
    journal.wait("amy", HOME, found)
    with instructions(journal) as done:
        act(journal, found)
    journal.close()
    return done[0]


@pytest.mark.parametrize("act", [_form, _tell, _waited, _end, _known])
def test_twice_as_many_parts_take_twice_as_much(act: Act, tmp_path: Path) -> None:
    fewer, more = (_cost(tmp_path / f"{parts}", act, parts, 0) for parts in (1_000, 2_000))
    assert more < 2.3 * fewer


@pytest.mark.parametrize("act", [_form, _tell, _waited, _end, _known, _import])
def test_a_large_journal_makes_none_slow(act: Act, tmp_path: Path) -> None:
    small, large = (_cost(tmp_path / f"{beside}", act, 200, beside) for beside in (300, 3_000))
    assert large < 1.2 * small


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=lambda table: table.name)
def test_each_reference_has_an_index(table: Table) -> None:
    """Otherwise each row that goes makes the database look through the whole table."""
    first = {next(iter(index.columns)).name for index in table.indexes}
    key = list(table.primary_key.columns)
    first |= {key[0].name} if key else set()
    references = {column.name for column in table.columns if column.foreign_keys}
    assert references <= first
