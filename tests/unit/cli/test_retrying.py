"""`omero fs import --retry`: what becomes of each fileset is said, whatever others do meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.cli import retrying
from omero_fs_plugin.cli.retrying import retry
from omero_fs_plugin.dropbox.importing.alone import Busy
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.by_hand import Moving
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, RETURNING
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.handover import Left
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.events import FileStat
from tests.rules import places_of, settings_of
from tests.steps import before_each


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield journal
    journal.close()


def failed(journal: Journal, *paths: Path) -> Fileset:
    """A fileset that was handed over and has failed."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    found = [Found(str(path), FileStat.of(path.lstat())) for path in paths]
    fileset = journal.hand_over("amy", str(paths[0].parent), *found)
    journal.take("amy")
    journal.move(fileset.id, State.IMPORTING, State.FAILED, "no")
    return journal.load([fileset.id])[0]


@pytest.mark.parametrize("state", list(State))
def test_in_every_state_it_is_said_why_not_or_it_is_queued(
    journal: Journal, tmp_path: Path, state: State
) -> None:
    """The state is another one than when the failed filesets were looked for."""
    fileset = failed(journal, tmp_path / "DropBox" / "amy" / "a.tif")
    moved: dict[State, list[State]] = {
        State.FAILED: [],
        State.QUEUED: [State.QUEUED],
        State.IMPORTING: [State.QUEUED, State.IMPORTING],
        State.WAITING: [State.QUEUED, State.IMPORTING, State.WAITING],
        State.SKIPPED: [State.QUEUED, State.IMPORTING, State.SKIPPED],
        State.IMPORTED: [State.QUEUED, State.IMPORTING, State.IMPORTED],
    }

    def sort(given: list[Any]) -> list[Formed]:
        before = State.FAILED
        for after in moved[state]:
            assert journal.move(fileset.id, before, after, "meanwhile")
            before = after
        return [Formed(one.user, one.root, [one.found]) for one in given]

    left: list[Left] = []
    settings = settings_of(watchDir=str(tmp_path / "DropBox"))
    again = retry(journal, [fileset.id], settings, sort, left)
    (now,) = journal.load([fileset.id])
    if state is State.FAILED:
        assert [one.id for one in again.filesets] == [fileset.id]
        assert (now.state, left) == (State.QUEUED, [])
    else:
        assert again.filesets == []
        assert now.state is state
        assert len(left) == 1
        assert left[0].files == (fileset.path,)
        assert str(state) in left[0].why
    if now.state is not State.FAILED:
        with pytest.raises(ConfigurationError, match=f"fileset {fileset.id} is {now.state}"):
            retry(journal, [fileset.id], settings, sort, left)


def test_a_set_on_an_ill_disk_is_not_queued_as_it_was(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queued with the files of then, it would fail again when the disk is well."""
    amy = tmp_path / "DropBox" / "amy"
    fileset = failed(journal, amy / "a.tif", amy / "b.tif")

    def ill(path: str) -> FileStat | None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(retrying, "regular_stat", ill)
    left: list[Left] = []
    settings = settings_of(watchDir=str(tmp_path / "DropBox"))
    again = retry(journal, None, settings, lambda given: [], left)
    assert again.filesets == []
    assert [one.why for one in left] == ["cannot be looked at: Input/output error"]
    assert journal.load([fileset.id])[0].state is State.FAILED


def test_what_another_process_is_moving_is_not_queued(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fileset = failed(journal, tmp_path / "DropBox" / "amy" / "a.tif")

    def busy(quarantine: Quarantine, fileset: Fileset) -> list[str]:
        raise Busy("another process is moving it: try again later")

    monkeypatch.setattr(Quarantine, "bring_back", busy)
    left: list[Left] = []
    settings = settings_of(watchDir=str(tmp_path / "DropBox"))
    assert retry(journal, None, settings, lambda given: [], left).filesets == []
    assert left == [Left((fileset.path,), "another process is moving it: try again later")]
    assert journal.load([fileset.id])[0].state is State.FAILED


@pytest.mark.parametrize("note", [GOES, RETURNING], ids=["goes", "returns"])
def test_nobody_decides_while_its_files_are_being_moved(
    journal: Journal, tmp_path: Path, note: str
) -> None:
    fileset = failed(journal, tmp_path / "DropBox" / "amy" / "a.tif")
    journal.note(f"{note}{fileset.id}", "so")
    left: list[Left] = []
    settings = settings_of(watchDir=str(tmp_path / "DropBox"))

    def sort(given: list[Any]) -> list[Formed]:
        return [Formed(one.user, one.root, [one.found]) for one in given]

    assert retry(journal, None, settings, sort, left).filesets == []
    assert [one.files for one in left] == [(fileset.path,)]
    assert "being moved into quarantine or back: try again after that" in left[0].why
    with pytest.raises(Moving, match="being moved"):
        journal.forget(fileset.id, "enough")
    assert journal.load([fileset.id])[0].state is State.FAILED
    journal.note(f"{note}{fileset.id}", "")
    assert journal.forget(fileset.id, "enough")


def test_what_goes_into_quarantine_meanwhile_is_not_imported_from_there(
    journal: Journal, tmp_path: Path
) -> None:
    """DropBox moves it between the look for it and the write.  The next try brings it home."""
    watch_dir, failures = tmp_path / "DropBox", tmp_path / "failed"
    fileset = failed(journal, watch_dir / "amy" / "a.tif")
    settings = settings_of(watchDir=str(watch_dir), quarantine=str(failures))
    dropbox = Quarantine(failures, places_of(watch_dir), journal)

    def sort(given: list[Any]) -> list[Formed]:
        return [Formed(one.user, one.root, [one.found]) for one in given]

    left: list[Left] = []
    with before_each([(journal, "retry")], lambda: dropbox.take(fileset)):
        assert retry(journal, None, settings, sort, left).filesets == []
    assert [one.files for one in left] == [(fileset.path,)]
    assert "being moved into quarantine or back: try again after that" in left[0].why
    (now,) = journal.load([fileset.id])
    assert now.state is State.FAILED and now.path.startswith(f"{failures}/")
    (home,) = retry(journal, None, settings, sort, left).filesets
    assert home.path == fileset.path and Path(fileset.path).exists()
