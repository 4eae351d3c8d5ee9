"""A rescan passes over what has ended, by one question for many files; on both databases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal import statements
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import GONE, Found
from omero_fs_plugin.dropbox.journal.rows import CHUNK
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from omero_fs_plugin.events import FileStat

from .test_journal import bring_to, journal, postgres, url

__all__ = ["journal", "postgres", "url"]  # fixtures

Look = tuple[str, os.stat_result]


def look(path: Path) -> Look:
    return str(path), path.lstat()


def found(one: Look) -> Found:
    return Found(one[0], FileStat.of(one[1]))


def drop(journal: Journal, directory: Path, name: str, state: State) -> Look:
    path = directory / name
    path.touch()
    return met(journal, directory, look(path), state)


def met(journal: Journal, directory: Path, one: Look, state: State) -> Look:
    journal.wait("amy", str(directory), [found(one)])
    bring_to(journal, journal.open_at([one[0]])[one[0]].id, state)
    return one


def test_what_has_ended_is_known_and_what_is_open_is_asked_about(
    journal: Journal, tmp_path: Path
) -> None:
    every = {state: drop(journal, tmp_path, f"{state}.tif", state) for state in State}
    new = tmp_path / "new.tif"
    new.touch()
    looks = [*every.values(), look(new)]
    ended = journal.ended(looks)
    assert ended == {path for state, (path, _) in every.items() if state not in OPEN}
    known = journal.known([found(one) for one in looks])
    assert {known[path] for path in ended} == {State.IMPORTED, State.SKIPPED, State.FAILED}
    assert not ended & set(journal.under_another_path([found(one) for one in looks]))


def test_a_file_that_was_touched_is_asked_about(journal: Journal, tmp_path: Path) -> None:
    path, stat = drop(journal, tmp_path, "a.tif", State.IMPORTED)
    Path(path).chmod(0o600 if stat.st_mode & 0o077 else 0o644)
    assert journal.ended([look(Path(path))]) == set()


def test_what_was_skipped_because_it_was_gone_is_asked_about(
    journal: Journal, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    path.touch()
    one = look(path)
    journal.wait("amy", str(tmp_path), [found(one)])
    fileset = journal.open_at([one[0]])[one[0]]
    assert journal.move(fileset.id, State.WAITING, State.SKIPPED, GONE)
    assert journal.ended([one]) == set() == set(journal.known([found(one)]))


@pytest.mark.parametrize("few", [0, 1_000])
def test_a_file_that_is_open_under_another_path_is_asked_about(
    journal: Journal, tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where so many are open that they are looked for one by one."""
    monkeypatch.setattr(statements, "_FEW", few)
    one = drop(journal, tmp_path, "a.tif", State.IMPORTED)
    other = drop(journal, tmp_path, "b.tif", State.IMPORTED)
    met(journal, tmp_path, (f"{tmp_path}/link.tif", one[1]), State.WAITING)
    assert journal.ended([one, other]) == {other[0]}


def test_a_name_that_is_no_text_is_asked_about(journal: Journal, tmp_path: Path) -> None:
    """No database takes it."""
    one = drop(journal, tmp_path, "ä.tif", State.IMPORTED)
    odd = tmp_path / os.fsdecode(b"\xe4.tif")
    assert journal.ended([one, (str(odd), one[1])]) == {one[0]}


def test_more_files_than_one_question_takes(journal: Journal, tmp_path: Path) -> None:
    one = drop(journal, tmp_path, "a.tif", State.IMPORTED)
    other = drop(journal, tmp_path, "b.tif", State.FAILED)
    between = [(f"{tmp_path}/{number}.tif", one[1]) for number in range(CHUNK)]
    assert journal.ended([one, *between, other]) == {one[0], other[0]}
    assert journal.ended([]) == set()
