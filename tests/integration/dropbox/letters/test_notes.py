"""Notes beside what failed: on real directories, by a whole DropBox and by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.letters.notes import beside, remove, write
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.system_names import NOTE
from tests.integration.whole import Whole

OURS = "OMERO.fs has not imported this file: a.tif\n"


@pytest.fixture
def note(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    return tmp_path / "sub" / f"a.tif{NOTE}"


def test_it_is_written_anew_and_removed(tmp_path: Path, note: Path) -> None:
    write(str(tmp_path), str(note), OURS)
    write(str(tmp_path), str(note), OURS + "why\n")
    assert note.read_text(encoding="utf-8") == OURS + "why\n"
    remove(str(tmp_path), str(note))
    remove(str(tmp_path), str(note))
    assert not note.exists()


def test_one_that_was_cut_short_is_ours(tmp_path: Path, note: Path) -> None:
    for length in (0, 5):
        note.write_text(OURS[:length], encoding="utf-8")
        write(str(tmp_path), str(note), OURS)
        assert note.read_text(encoding="utf-8") == OURS


def test_what_somebody_else_wrote_stays(tmp_path: Path, note: Path) -> None:
    note.write_text("my own words", encoding="utf-8")
    write(str(tmp_path), str(note), OURS)
    remove(str(tmp_path), str(note))
    assert note.read_text(encoding="utf-8") == "my own words"


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory"])
def test_nothing_odd_is_followed_or_removed(tmp_path: Path, note: Path, kind: str) -> None:
    target = tmp_path / "target"
    if kind == "link":
        target.write_text(OURS, encoding="utf-8")
    if kind in ("link", "dangling"):
        note.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(note)
    else:
        note.mkdir()
    write(str(tmp_path), str(note), OURS + "more")
    remove(str(tmp_path), str(note))
    assert os.path.lexists(note)
    assert target.exists() == (kind == "link")
    if kind == "link":
        assert target.read_text(encoding="utf-8") == OURS


def test_no_link_leads_there(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "sub").symlink_to(tmp_path / "elsewhere")
    for act in (lambda p: write(str(root), p, OURS), lambda p: remove(str(root), p)):
        with pytest.raises(ImportRefused):
            act(f"{root}/sub/a.tif{NOTE}")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["a.tif", "x" * 255, "\u00e9" * 127])
def test_its_name_fits(tmp_path: Path, name: str) -> None:
    path = Path(beside(f"{tmp_path}/{name}"))
    write(str(tmp_path), str(path), OURS)
    assert path.name.endswith(NOTE) and path.exists()


def fail(whole: Whole, path: Path) -> Path:
    """Drops a file that fails; returns where its note is."""
    path.write_text("no image", encoding="ascii")

    def failed() -> bool:
        whole.clock.pass_by(1)
        found = whole.journal.select(State.FAILED)
        return any(one.path == str(path) for one in found)

    whole.until("it has failed", failed)
    whole.dropbox.parts.postman.wake()
    return path.with_name(path.name + NOTE)


def test_a_note_comes_and_goes(make_whole: Callable[..., Whole]) -> None:
    """Also without ignoreSysFiles it is not met as data."""
    whole = make_whole(notes="on", ignoreSysFiles="False")
    bad = whole.watch_dir / "amy" / "bad.tif"
    note = fail(whole, bad)

    def look(there: bool) -> Callable[[], bool]:
        def done() -> bool:
            whole.dropbox.parts.postman.wake()
            return note.exists() is there and (not there or bool(note.read_bytes()))

        return done

    whole.until("the note is there", look(True))
    text = note.read_text(encoding="utf-8")
    (row,) = whole.journal.select(State.FAILED)
    assert "has not imported this file: bad.tif" in text
    assert f"omero fs import --retry {row.id}" in " ".join(text.split())
    # Mended: a good file takes its place.
    whole.drop("bad.tif")
    whole.until_known(bad)
    whole.until("the note is gone", look(False))
    whole.until_settled()
    everything = [one.path for one in whole.journal.select()]
    assert not [path for path in everything if path.endswith(NOTE)]


def test_a_restart_finds_what_there_is_to_write_and_to_remove(
    make_whole: Callable[..., Whole],
) -> None:
    whole = make_whole(notes="off")
    note = fail(whole, whole.watch_dir / "amy" / "bad.tif")
    assert not note.exists()
    whole.stop_dropbox()
    whole.start_dropbox(notes="on")
    whole.until("the note is there", note.exists)
    whole.stop_dropbox()
    (row,) = whole.journal.select(State.FAILED)
    assert whole.journal.forget(row.id, "set aside")
    whole.start_dropbox()
    whole.until("the note is gone", lambda: not note.exists())
