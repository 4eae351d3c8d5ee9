"""Databases that nobody else may read: whoever made them, and whatever mode a backup had."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.private import BESIDE, keep_private


@pytest.fixture(autouse=True)
def _permissive() -> Iterator[None]:
    """The account's umask lets everybody read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(file: Path) -> dict[str, int]:
    """Of the database and what lies beside it."""
    beside = file.parent.glob(f"{file.name}*")
    return {path.name: path.stat().st_mode & 0o777 for path in beside}


def test_a_journal_is_private_from_the_first_byte_on(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    journal = Journal(f"sqlite:///{file}")
    journal.note("monitor", "one")
    reader = sqlite3.connect(file)
    reader.execute("SELECT count(*) FROM meta").fetchall()
    assert modes(file) == {f"journal.sqlite{suffix}": 0o600 for suffix in ("", "-wal", "-shm")}
    reader.close()
    journal.close()


@pytest.mark.parametrize("make", [True, False])
def test_a_backup_that_is_put_back_is_private_once_it_is_opened(tmp_path: Path, make: bool) -> None:
    file = tmp_path / "journal.sqlite"
    Journal(f"sqlite:///{file}").close()
    for suffix in ("", "-wal", "-shm"):
        path = Path(f"{file}{suffix}")
        path.touch()
        path.chmod(0o644)
    Journal(f"sqlite:///{file}", make=make).close()
    assert set(modes(file).values()) == {0o600}


def test_what_lies_beside_is_private_too(tmp_path: Path) -> None:
    file = tmp_path / "any.sqlite"
    for suffix in ("", *BESIDE):
        Path(f"{file}{suffix}").touch()
    keep_private(file)
    assert set(modes(file).values()) == {0o600}
    assert len(modes(file)) == 1 + len(BESIDE)


def test_it_ends_no_lock_that_this_process_has(tmp_path: Path) -> None:
    file = tmp_path / "any.sqlite"
    first = sqlite3.connect(file, isolation_level=None)
    first.execute("CREATE TABLE one (two)")
    first.execute("BEGIN EXCLUSIVE")
    before = [line for line in Path("/proc/locks").read_text().splitlines() if _is_of(line, file)]
    keep_private(file)
    after = [line for line in Path("/proc/locks").read_text().splitlines() if _is_of(line, file)]
    assert before
    assert len(after) == len(before)
    first.close()


def _is_of(line: str, file: Path) -> bool:
    return f":{file.stat().st_ino} " in line
