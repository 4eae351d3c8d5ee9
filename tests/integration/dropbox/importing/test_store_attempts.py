"""Attempts to import a store: killed at any step it is imported once, and its content is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.importing.attempts import Attempt
from omero_fs_plugin.dropbox.importing.importers import native, streams
from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from tests.stores import image

from .attempts import Killed, no_patience, until
from .stored import Stored
from .test_attempts import _killing


@pytest.fixture
def stored(tmp_path: Path, seeded_once: Path) -> Iterator[Stored]:
    world = Stored(tmp_path, seeded_once)
    yield world
    world.close()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Attempt, "_earlier"),
        (NativeImport, "_settings"),
        (NativeImport, "_description"),
        (Journal, "note_verified"),
        (NativeImport, "_verify"),
        (NativeImport, "_await"),
        (Omero, "filesets_of_images"),
        (Journal, "imported"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_killed_at_any_step_it_is_imported_once(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, after: bool
) -> None:
    no_patience(monkeypatch)
    store = image(stored.root / "a.zarr", levels=2)
    store.write()
    stored.queue_store(store)
    _killing(monkeypatch, owner, name, after=after)
    with pytest.raises(Killed):
        stored.attempt()
    stored.restart()
    if (name, after) in {("_verify", True), ("_await", False)}:
        until(lambda: stored.images_of(store) != [()])
    if stored.journal.queued_users():
        assert stored.attempt() is State.IMPORTED
    row = stored.row_of(store)
    assert row.state is State.IMPORTED
    assert stored.images_of(store) == [row.images], "one fileset, with images, and none without"
    assert row.sha1s[0] and len(row.files) == 1


@pytest.mark.parametrize("change", ["removed", "another chunk"])
def test_what_omero_was_told_to_import_is_known_by_its_digest(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Also if the store is not what it was, by the time that we look."""
    store = image(stored.root / "a.zarr")
    store.write()
    stored.queue_store(store)
    _killing(monkeypatch, NativeImport, "_await", after=True)
    with pytest.raises(Killed):
        stored.attempt()
    if change == "removed":
        store.top.rename(stored.root.parent / "elsewhere")
    else:
        store.files["0/9.9"] = b"more"
        store.write("0/9.9")
    stored.restart()
    assert stored.attempt() is State.IMPORTED
    assert stored.images_of(store) == [stored.row_of(store).images]


@pytest.mark.parametrize("recovers", [False, True])
def test_a_lost_journal_imports_nothing_twice(
    stored: Stored, tmp_path: Path, recovers: bool
) -> None:
    store = image(stored.root / "a.zarr", 3, levels=2)
    store.write()
    stored.queue_store(store)
    stored.attempt()
    images = stored.row_of(store).images
    stored.journal.close()
    stored.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
    if recovers:
        stored.recover()
        assert [row.path for row in stored.journal.select()] == [str(store.path)]
    stored.queue_store(store)
    stored.attempt()
    assert stored.images_of(store) == [images]
    assert {row.path for row in stored.journal.select()} == {str(store.path)}


def test_a_chunk_that_changed_since_it_settled_lets_it_settle_again(stored: Stored) -> None:
    store = image(stored.root / "a.zarr")
    store.write()
    stored.queue_store(store)
    (row,) = stored.journal.select()
    store.files["0/0.0"] = b"other"
    store.write("0/0.0")
    assert stored.attempt() in (State.WAITING, State.FAILED)
    assert "changed after it had come to rest" in stored.row_of(store).reason
    assert stored.images_of(store) == []
    assert row.id == stored.row_of(store).id


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_what_changes_in_the_tree_meanwhile_is_seen_before_omero_imports(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Also where no file that is read has changed: a chunk more, or one that was read before."""
    store = image(stored.root / "a.zarr", levels=2)
    store.write()
    stored.queue_store(store)
    real = native.upload

    def meanwhile(process: Any, position: int, *rest: Any) -> str:
        sha1 = real(process, position, *rest)
        if position == len(store.files) - 1:
            if change == "added":
                (store.top / "0" / "9.9").write_bytes(b"late")
            elif change == "removed":
                (store.top / ".zattrs").unlink()
            else:
                (store.top / "0" / "1.1").rename(store.top / "0" / "1.9")
        return sha1

    monkeypatch.setattr(native, "upload", meanwhile)
    monkeypatch.setattr(streams, "AT_ONCE", 1)
    monkeypatch.setattr(streams, "MORE_AT_ONCE", 0)
    assert stored.attempt() in (State.WAITING, State.FAILED)
    assert "changed after it had come to rest" in stored.row_of(store).reason
    assert not any(stored.images_of(store))


@pytest.mark.parametrize(
    ("odd", "why"),
    [("0/a:b", "OMERO would call it"), ("0/CON", "OMERO would call it"), ("link", "not a regular")],
)
def test_what_would_not_be_the_same_in_omero_has_failed(stored: Stored, odd: str, why: str) -> None:
    store = image(stored.root / "a.zarr")
    store.write()
    if odd == "link":
        (store.top / "0" / "link").symlink_to("/etc/passwd")
    else:
        (store.top / odd).write_bytes(b"x")
    stored.queue_store(store)
    assert stored.attempt() is State.FAILED
    assert why in stored.row_of(store).reason
    assert stored.images_of(store) == []


def test_a_cut_array_in_omero_has_failed_with_its_reason(stored: Stored) -> None:
    """The server reads the store anew: what it refuses has failed."""
    store = image(stored.root / "a.zarr")
    store.files["0/.zarray"] = b"{"
    store.write()
    stored.queue_store(store)
    for _ in range(3):
        state = stored.attempt()
    assert state is State.FAILED
    assert stored.images_of(store) == []
