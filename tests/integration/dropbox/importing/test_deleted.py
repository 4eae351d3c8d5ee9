"""A fileset that was deleted in OMERO is imported again if it is dropped or handed over again."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.importing.importers.answers import delete_filesets
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat

from .attempts import World, world

__all__ = ["world"]


@pytest.fixture
def deleted(world: World) -> Path:
    """A file that was imported, and its fileset deleted in OMERO by the user."""
    path = world.drop("a.tif", seed=1)
    world.meet(path)
    assert world.attempt() is State.IMPORTED
    done = world.row(path)
    assert done.server_fileset is not None
    delete_filesets(world.omero.session_for(world.omero.user("amy")), [done.server_fileset])
    assert world.in_omero(path) == []
    return path


def drop_again(path: Path, name: str = "") -> Path:
    content = path.read_bytes()
    if not name:
        path.unlink()
    again = path.with_name(name or path.name)
    again.write_bytes(content)
    return again


@pytest.mark.parametrize("name", ["", "copy.tif"], ids=["same name", "another name"])
def test_dropped_again_it_is_imported_again(world: World, deleted: Path, name: str) -> None:
    again = drop_again(deleted, name)
    world.meet(again)
    assert world.attempt() is State.IMPORTED
    newest = max(world.journal.select(State.IMPORTED), key=lambda row: row.id)
    assert newest.path == str(again)
    assert world.in_omero(again) == [newest.images]
    assert newest.revision_of is None, "its content is the same"


def test_a_third_time_it_is_a_copy_of_what_is_there(world: World, deleted: Path) -> None:
    world.meet(drop_again(deleted))
    world.attempt()
    third = drop_again(deleted, "third.tif")
    world.meet(third)
    assert world.attempt() is State.SKIPPED
    (images,) = world.in_omero(deleted)
    assert f"Image:{images[0]}" in world.row(third).reason


@pytest.mark.parametrize("change", ["chmod", "rename"])
def test_a_file_that_nobody_dropped_again_stays_deleted(
    world: World, deleted: Path, change: str
) -> None:
    now = deleted
    if change == "chmod":
        deleted.chmod(0o600)
    else:
        now = deleted.rename(deleted.with_name("b.tif"))
    world.meet(now)
    assert world.attempt() is State.SKIPPED
    (skipped,) = world.journal.select(State.SKIPPED)
    assert "which was deleted there since; `omero fs import` imports it again" in skipped.reason
    assert world.in_omero(now) == []


def test_handed_over_it_is_imported_again(world: World, deleted: Path) -> None:
    found = Found(str(deleted), FileStat.of(deleted.lstat()))
    known = world.journal.hand_over("amy", str(world.root), found)
    assert known.state is State.IMPORTED
    assert world.journal.hand_over("amy", str(world.root), found, again=True).id != known.id
    assert world.attempt() is State.IMPORTED
    assert len(world.in_omero(deleted)) == 1
    assert world.journal.hand_over("amy", str(world.root), found).id != known.id, "the newest"
