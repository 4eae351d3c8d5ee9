"""The connections to a SQLite journal are kept, and never for another journal or after an error."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from omero_fs_plugin.dropbox.journal.database import JournalAway
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.events import FileStat


def met(number: int) -> Found:
    return Found(f"/dropbox/amy/{number}.tif", FileStat(1, 100 + number, 5, 5, 5))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(file: Path) -> Iterator[Journal]:
    with closing(Journal(f"sqlite:///{file}")) as journal:
        yield journal


@pytest.fixture
def opened(journal: Journal) -> list[Any]:
    """Each connection that is opened from now on."""
    found: list[Any] = []
    engine = journal.database._engine
    event.listen(engine, "connect", lambda connection, _: found.append(connection))
    return found


def test_many_uses_are_one_connection(journal: Journal, opened: list[Any]) -> None:
    """Each costs more than most statements.  Before: one for each transaction and each look."""
    for number in range(20):
        journal.wait("amy", "/dropbox/amy", [met(number)])
        journal.counts()
        journal.known([met(number)])
    assert len(opened) <= 1


def test_threads_share_none_at_a_time_and_no_thread_waits(
    journal: Journal, opened: list[Any]
) -> None:
    all_there = threading.Barrier(20, timeout=30)

    def look() -> None:
        with journal.database.reading():
            all_there.wait()

    threads = [threading.Thread(target=look) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 19 <= len({id(connection) for connection in opened}) <= 20


def test_another_journal_in_its_place_is_seen_at_once(
    file: Path, journal: Journal, tmp_path: Path
) -> None:
    """As a backup that is put back: who writes into the former one loses it all."""
    journal.wait("amy", "/dropbox/amy", [met(1)])
    other = tmp_path / "other.sqlite"
    with closing(Journal(f"sqlite:///{other}")) as made:
        made.wait("amy", "/dropbox/amy", [met(2)])
        made.wait("amy", "/dropbox/amy", [met(3)])
    for name in ("-wal", "-shm"):
        file.with_name(f"{file.name}{name}").unlink(missing_ok=True)
    other.rename(file)
    assert journal.counts()["waiting"] == 2
    journal.wait("amy", "/dropbox/amy", [met(4)])
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM fileset").fetchone() == (3,)


def _exchange(file: Path, tmp_path: Path) -> None:
    """Another journal, with one fileset, is in the place of `file`."""
    other = tmp_path / "other.sqlite"
    with closing(Journal(f"sqlite:///{other}")) as made:
        made.wait("amy", "/dropbox/amy", [met(2)])
    _remove(file)
    other.rename(file)


def _remove(file: Path) -> None:
    for name in ("", "-wal", "-shm"):
        file.with_name(f"{file.name}{name}").unlink(missing_ok=True)


@pytest.mark.parametrize("when", ["while it is used", "while it is opened"])
def test_another_journal_comes_in_its_place(
    file: Path, journal: Journal, tmp_path: Path, opened: list[Any], when: str
) -> None:
    """A connection that was in use then is of the former journal, and is not used again."""
    if when == "while it is used":
        with journal.database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO meta VALUES ('former', '')")
            _exchange(file, tmp_path)
    else:
        exchanged = False

        def exchange(*_: Any) -> None:
            nonlocal exchanged
            if not exchanged:
                exchanged = True
                _exchange(file, tmp_path)

        event.listen(journal.database._engine, "connect", exchange)
        with journal.database.reading(), journal.database.reading():
            assert exchanged
    assert journal.counts()["waiting"] == 1
    journal.wait("amy", "/dropbox/amy", [met(4)])
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM fileset").fetchone() == (2,)


def test_a_journal_that_is_removed_while_it_is_used_is_not_used_again(
    file: Path, journal: Journal
) -> None:
    with journal.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('former', '')")
        _remove(file)
    for _ in range(2):
        with pytest.raises(JournalAway, match="unable to open"):
            journal.wait("amy", "/dropbox/amy", [met(1)])


def test_after_an_error_the_next_use_opens_anew(
    file: Path, journal: Journal, opened: list[Any]
) -> None:
    """What an error leaves behind in a connection, nobody knows."""
    journal.counts()
    before = len(opened)
    with pytest.raises(JournalAway), journal.database.reading() as connection:
        connection.exec_driver_sql("SELECT * FROM nothing_of_this_name")
    journal.counts()
    assert len(opened) == before + 1


def test_a_refused_row_is_no_such_error(journal: Journal, opened: list[Any]) -> None:
    journal.counts()
    before = len(opened)
    with pytest.raises(JournalError), journal.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('version', '1')")
    assert journal.counts()["waiting"] == 0
    assert len(opened) == before


def test_a_child_process_uses_none_of_its_parent(
    journal: Journal, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite: "Do not open an SQLite database connection, then fork, then use it" there."""
    journal.counts()
    before = len(opened)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    journal.counts()
    assert len(opened) == before + 1


def test_no_look_stays_behind_in_a_kept_connection(file: Path, journal: Journal) -> None:
    """A statement that is not read to its end keeps the WAL from being used again."""
    for number in range(5):
        journal.wait("amy", "/dropbox/amy", [met(number)])
    (fileset, *_) = journal.select(State.WAITING)
    looks = (
        lambda: journal.known([met(1)]),
        lambda: journal.has_twin(fileset),
        lambda: journal.same_content("amy", ["a" * 40]),
        lambda: journal.open_at([met(1).path]),
        lambda: next(iter(journal.waiting())),
        journal.queued_users,
        journal.counts,
        lambda: journal.events(fileset.id),
        lambda: journal.under_another_path([met(1)]),
    )
    for look in looks:
        look()
        with closing(sqlite3.connect(file, timeout=0)) as connection:
            (busy, *_), *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert not busy, look
        journal.note("something", "else")


def test_on_a_share_each_use_opens_it(tmp_path: Path) -> None:
    """A handle there may go stale."""
    with closing(Journal(f"sqlite:///{tmp_path}/on_share.sqlite", share="nfs4")) as journal:
        found: list[Any] = []
        event.listen(
            journal.database._engine, "connect", lambda connection, _: found.append(connection)
        )
        journal.counts()
        journal.counts()
    assert len(found) == 2
    shutil.rmtree(tmp_path)


def test_a_write_that_fails_holds_no_lock(journal: Journal, file: Path) -> None:
    """Also while its error is known, and with it the statement that failed."""
    kept: list[JournalError] = []

    def full(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.execute("PRAGMA max_page_count=1")  # as many as there are

    event.listen(journal.database._engine, "checkout", full)
    for number in range(0, 10_000, 100):
        try:
            journal.wait("amy", "/dropbox/amy", [met(number + one) for one in range(100)])
        except JournalError as error:
            assert "full" in str(error)
            kept.append(error)
            break
    assert kept
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
