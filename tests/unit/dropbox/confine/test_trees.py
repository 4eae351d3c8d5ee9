"""A store as a whole: what shows that it has changed, and what it has."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.confine import trees
from omero_fs_plugin.dropbox.confine.roots import RootMissing
from omero_fs_plugin.dropbox.confine.trees import (
    store_around,
    store_stat,
    tree_files,
    tree_stat,
)
from omero_fs_plugin.dropbox.watching.rescan import store_over, walk
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import MARKERS
from tests.stores import Store, image


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = image(tmp_path / "amy" / "a.zarr", levels=2)
    store.write()
    return store


def stat_of(store: Store) -> FileStat:
    found = tree_stat(str(store.top.parent), str(store.path))
    assert found is not None
    return found


def replaced(path: Path) -> None:
    """By another file with the same size and times."""
    was = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"\1" * was.st_size)
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "0" / "1.1").write_bytes(b"\2" * 16),
        lambda top: (top / "0" / "9.9").write_bytes(b""),
        lambda top: (top / ".hidden").write_bytes(b""),
        lambda top: (top / "0" / "1.1").unlink(),
        lambda top: (top / "0" / "1.1").rename(top / "0" / "2.2"),
        lambda top: (top / "0").rename(top / "7"),
        lambda top: replaced(top / "0" / "1.1"),
        lambda top: os.utime(top / "0" / "1.1", ns=(1, 1)),
    ],
    ids=["written", "added", "hidden", "removed", "renamed", "moved", "replaced", "touched"],
)
def test_each_change_below_it_shows(store: Store, change: Callable[[Path], object]) -> None:
    before = stat_of(store)
    assert stat_of(store) == before
    change(store.top)
    assert stat_of(store) != before


def test_what_others_put_beside_its_files_is_no_part_of_it(store: Store) -> None:
    """A file manager does it when somebody looks at a store: that is no revision."""
    root = str(store.top.parent)
    before = stat_of(store)
    for name in (".DS_Store", "0/._0.0", "0/Thumbs.db", "@eaDir/a/b", "0/.nfs0000000000a1b2c3"):
        (store.top / name).parent.mkdir(parents=True, exist_ok=True)
        (store.top / name).write_bytes(b"x")
    assert stat_of(store) == before
    assert {name for name, _ in tree_files(root, str(store.path))} == set(store.files)
    (store.top / "trash").mkdir()
    (store.top / "trash" / "0.0").touch()
    assert stat_of(store) != before


def test_a_write_whose_time_is_set_back_shows_in_the_ctime(store: Store) -> None:
    before, chunk = stat_of(store), store.top / "0" / "1.1"
    was = chunk.stat()
    chunk.write_bytes(b"\3" * was.st_size)
    os.utime(chunk, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert stat_of(store) == before
    assert stat_of(store).ctime_ns > before.ctime_ns


def test_a_renamed_store_is_the_same(store: Store) -> None:
    before = stat_of(store)
    moved = Store(store.top.with_name("b.zarr"))
    store.top.rename(moved.top)
    assert stat_of(moved) == before
    assert tree_stat(str(store.top.parent), str(store.path)) is None


def test_its_size_is_that_of_all_files(store: Store) -> None:
    assert stat_of(store).size == sum(map(len, store.files.values()))
    assert {
        name: stat.size for name, stat in tree_files(str(store.top.parent), str(store.path))
    } == {name: len(data) for name, data in store.files.items()}


def test_a_file_is_no_store(store: Store) -> None:
    (store.top.parent / "b.zarr").write_bytes(b"zip")
    assert tree_stat(str(store.top.parent), f"{store.top.parent}/b.zarr/") is None


def test_it_is_not_reached_through_a_link(store: Store, tmp_path: Path) -> None:
    (store.top.parent / "link.zarr").symlink_to(store.top)
    assert tree_stat(str(store.top.parent), f"{store.top.parent}/link.zarr/") is None


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_is_no_file_in_it_is_refused(store: Store, kind: str) -> None:
    odd = store.top / "0" / "odd"
    if kind == "link":
        odd.symlink_to("/etc/passwd")
    else:
        os.mkfifo(odd)
    with pytest.raises(ImportRefused, match="not a regular file"):
        list(tree_files(str(store.top.parent), str(store.path)))


def test_many_chunks_take_no_memory_while_it_is_looked_at(store: Store) -> None:
    for number in range(3_000):
        (store.top / "0" / f"{number}.0").touch()
    stat_of(store)
    tracemalloc.start()
    try:
        stat_of(store)
        assert tracemalloc.get_traced_memory()[1] < 3_000 * 100 / 4
    finally:
        tracemalloc.stop()


class TestTheOutermost:
    def test_metadata_makes_a_directory_a_store(self, tmp_path: Path) -> None:
        store = image(tmp_path / "plain", 3, levels=2)
        store.write()
        root = str(tmp_path)
        assert store_around(root, f"{store.top}/0/zarr.json") == f"{store.top}/"
        (store.top / "zarr.json").unlink()
        assert store_around(root, f"{store.top}/0/zarr.json") == f"{store.top}/0/"
        assert store_around(root, f"{store.top}/x.tif") == ""

    def test_a_users_directory_is_none(self, tmp_path: Path) -> None:
        image(tmp_path / "amy").write()
        assert store_around(str(tmp_path / "amy"), f"{tmp_path}/amy/.zattrs") == ""

    def test_a_rescan_meets_each_as_one(self, tmp_path: Path) -> None:
        root = tmp_path / "amy"
        for name, zarr in (("a.zarr", 2), ("sub/plain", 3), ("sub/B.ZARR", 3)):
            image(root / name, zarr).write()
        (root / "empty.zarr").mkdir()
        (root / "sub" / "a.tif").write_bytes(b"a")
        found = {met.path: met.stat for met in walk(str(root))}
        names = ("a.zarr/", "empty.zarr/", "sub/B.ZARR/", "sub/a.tif", "sub/plain/")
        assert sorted(found) == [f"{root}/{name}" for name in names]
        met = store_over(str(root), f"{root}/sub/plain/0/c")
        assert met is not None
        assert found[met.path] == met.stat
        assert store_over(str(root), f"{root}/sub/a.tif") is None


def test_more_files_than_omero_takes_at_once_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, path = str(store.top.parent), str(store.path)
    monkeypatch.setattr(trees, "MOST_FILES", len(store.files))
    assert len(list(tree_files(root, path))) == len(store.files)
    monkeypatch.setattr(trees, "MOST_FILES", len(store.files) - 1)
    with pytest.raises(ImportRefused, match="larger chunks") as refused:
        list(tree_files(root, path))
    assert refused.value.final


def test_without_metadata_it_is_a_store_only_by_its_name(tmp_path: Path) -> None:
    for name, whole in (("a.zarr", True), ("plain", False)):
        store = image(tmp_path / name, levels=2)
        store.write()
        root, path = str(tmp_path), str(store.path)
        assert store_stat(root, path) == tree_stat(root, path)
        for marker in MARKERS:
            (store.top / marker).unlink(missing_ok=True)
        assert (store_stat(root, path) is not None) == whole
        shutil.rmtree(store.top)
        assert store_stat(root, path) is None
        store.top.write_bytes(b"")
        assert store_stat(root, path) is None


def test_nobody_knows_what_is_in_a_root_that_is_not_there(tmp_path: Path) -> None:
    """So nothing ends because of that."""
    root = tmp_path / "amy"
    with pytest.raises(RootMissing):
        store_around(str(root), f"{root}/plain/any")
    root.mkdir()
    assert store_around(str(root), f"{root}/plain/any") == ""
