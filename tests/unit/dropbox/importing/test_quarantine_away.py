"""A quarantine whose disk does not answer: nobody waits, and the user's disk is not blamed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.disks.calls import CALLS, HUNG_S
from omero_fs_plugin.dropbox.importing import moving
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import HOME
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from tests.clocks import Ahead
from tests.rules import places_of


def in_quarantine(journal: Journal, root: Path, vault: Path) -> Fileset:
    """A fileset that has failed and lies in `vault`."""
    at = vault / "zak" / "1" / "a.tif"
    for directory in (root, at.parent):
        directory.mkdir(parents=True)
    at.write_bytes(b"rubbish")
    stat = FileStat.of(at.stat())
    journal.hand_over("zak", str(root), Found(str(root / "a.tif"), stat))
    fileset = journal.take("zak")
    assert fileset is not None
    journal.move(fileset.id, State.IMPORTING, State.FAILED, "no image")
    journal.note(f"{HOME}{fileset.id}", str(root))
    journal.put_elsewhere(fileset.id, str(at.parent), [Found(str(at), stat)])
    (fileset,) = journal.load([fileset.id])
    return fileset


def test_nothing_is_brought_back_from_it_until_it_answers(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ahead()
    monkeypatch.setattr(CALLS, "clock", clock)
    root, vault = tmp_path / "DropBox" / "zak", tmp_path / "bad"
    fileset = in_quarantine(journal, root, vault)
    quarantine = Quarantine(vault, places_of(tmp_path / "DropBox"), journal)
    hangs, go = threading.Event(), threading.Event()

    def hang() -> None:
        with CALLS.at(str(vault)):
            hangs.set()
            assert go.wait(20)

    thread = threading.Thread(target=hang)
    thread.start()
    assert hangs.wait(20)
    clock.ahead += HUNG_S
    with monkeypatch.context() as patch:
        asked: list[Path] = []
        patch.setattr(Path, "exists", lambda path: bool(asked.append(path)))
        assert quarantine.bring_back(fileset) == []
        assert asked == [], "a disk that does not answer is not asked"
    assert CALLS.answers(str(root))
    go.set()
    thread.join(20)
    assert quarantine.bring_back(fileset) == [str(root / "a.tif")]


@pytest.mark.parametrize("way", ["there", "home"])
def test_of_a_disk_that_hangs_at_the_end_of_a_move_nothing_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Else nobody could unmount it."""
    clock = Ahead()
    monkeypatch.setattr(CALLS, "clock", clock)
    root, vault = tmp_path / "zak", tmp_path / "bad"
    for directory in (root, vault):
        directory.mkdir()
    hangs, go = threading.Event(), threading.Event()

    def hang() -> None:
        with CALLS.at(str(vault)):
            hangs.set()
            assert go.wait(20)

    def moved(*arguments: object) -> bool:
        thread.start()
        assert hangs.wait(20)
        clock.ahead += HUNG_S
        return True

    thread = threading.Thread(target=hang)
    monkeypatch.setattr(moving, "_move_out" if way == "there" else "_move_back", moved)
    if way == "there":
        met = Found(str(root / "a.tif"), FileStat(1, 2, 3, 4))
        assert moving.move_out(str(root), met, vault / "a.tif", str(vault))
    else:
        moving.move_back(vault / "a.tif", str(root), str(root / "a.tif"), str(vault))
    held = [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]
    assert str(vault) not in held
    go.set()
    thread.join(20)
