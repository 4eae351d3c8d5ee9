"""Who has something queued: the database is asked only where something was written."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.journal.database import Database
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(file: Path) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{file}")
    yield journal
    journal.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An entry for each connection that was opened to look."""
    opened: list[str] = []
    real = Database.reading

    def reading(self: Database) -> AbstractContextManager[Any]:
        opened.append(self.shown)
        return real(self)

    monkeypatch.setattr(Database, "reading", reading)
    return opened


def age(file: Path, seconds: float = 10.0) -> None:
    """It was last written so long ago."""
    then = time.time() - seconds
    for path in file.parent.glob(f"{file.name}*"):
        os.utime(path, (then, then))


def hand_over(journal: Journal, user: str) -> None:
    path = f"/{user}/{time.monotonic_ns()}.tif"
    journal.hand_over(user, f"/{user}", Found(path, FileStat(1, time.monotonic_ns(), 3, 4)))


def test_nobody_is_asked_while_nothing_is_written(
    journal: Journal, file: Path, asked: list[str]
) -> None:
    hand_over(journal, "amy")
    age(file)
    asked.clear()
    for _ in range(5):
        assert journal.queued_users() == ["amy"]
    assert len(asked) == 1


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_what_another_process_writes_is_seen_at_once(
    journal: Journal, file: Path, seconds: float
) -> None:
    other = Journal(f"sqlite:///{file}", make=False)
    users = []
    for number in range(20):
        age(file, seconds)
        assert journal.queued_users() == users
        users.append(f"user-{number:02}")
        hand_over(other, users[-1])
        assert journal.queued_users() == users
    other.close()


def test_what_was_written_just_now_may_be_written_again_within_a_tick(
    journal: Journal, file: Path, asked: list[str]
) -> None:
    hand_over(journal, "amy")
    asked.clear()
    for _ in range(3):
        assert journal.queued_users() == ["amy"]
    assert len(asked) == 3


def test_a_reader_beside_changes_nothing(journal: Journal, file: Path, asked: list[str]) -> None:
    hand_over(journal, "amy")
    age(file)
    assert journal.queued_users() == ["amy"]
    beside = Journal(f"sqlite:///{file}", make=False)
    assert beside.counts()["queued"] == 1
    beside.close()
    asked.clear()
    assert journal.queued_users() == ["amy"]
    assert asked == []


def test_on_a_share_it_is_always_asked(file: Path, asked: list[str]) -> None:
    journal = Journal(f"sqlite:///{file}", share="nfs4")
    age(file)
    asked.clear()
    for _ in range(3):
        assert journal.queued_users() == []
    assert len(asked) == 3
    journal.close()


def test_of_no_path_nobody_is_asked(journal: Journal, asked: list[str]) -> None:
    asked.clear()
    assert journal.open_at([]) == {}
    assert asked == []
