from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omero_fs_plugin.dropbox.grouping.bioformats.walk import Walk, in_order
from omero_fs_plugin.dropbox.grouping.completeness import Findings
from omero_fs_plugin.dropbox.grouping.completeness import check as check_one
from omero_fs_plugin.dropbox.grouping.filesets import Grouping


def check(root: str, sets: Sequence[Sequence[str]]) -> list[Findings]:
    """As Confined has it, in this process."""
    return [check_one(root, files) for files in sets]


def group(root: Path, sets: Mapping[str, Any], asked: Sequence[str] | None = None) -> Grouping:
    """Walks as BioFormats does, over answers instead of readers: what opens with each name."""
    names = sorted(sets) if asked is None else asked
    for name in {*names, *(file for files in sets.values() for file in files)}:
        if not name.startswith(".."):
            (root / name).touch()
    walk = Walk(str(root), check)
    for path in in_order(str(root / name) for name in names):
        if path not in walk.users and walk.fit(path) is not None:
            files = sets[Path(path).name]
            walk.take(
                path,
                {"files": [str(root / file) for file in files], "reader": "R", "plate": False}
                if isinstance(files, list)
                else files,
            )
    return walk.grouping([str(root / name) for name in names])


def names(root: Path, grouping: Grouping) -> list[list[str]]:
    return [[os.path.relpath(path, root) for path in c.files] for c in grouping.candidates]


def test_files_of_a_directory_come_before_those_below_it() -> None:
    paths = ["/r/b/z", "/r/a/c/x", "/r/y", "/r/a/x", "/r/b.tif", "/r/y"]
    assert in_order(paths) == ["/r/b.tif", "/r/y", "/r/a/x", "/r/a/c/x", "/r/b/z"]


def test_what_a_set_uses_is_passed_over(tmp_path: Path) -> None:
    grouping = group(tmp_path, {"a": ["a", "b"], "b": ["b"], "c": ["c"]})
    assert names(tmp_path, grouping) == [["a", "b"], ["c"]]
    assert not grouping.unreadable


def test_a_file_that_a_later_set_uses_is_not_imported_by_itself(tmp_path: Path) -> None:
    grouping = group(tmp_path, {"a": ["a"], "b": ["b"], "z": ["z", "a", "b"]})
    assert names(tmp_path, grouping) == [["z", "a", "b"]]


def test_the_first_file_is_what_the_reader_says(tmp_path: Path) -> None:
    grouping = group(tmp_path, {"a": ["key", "a"], "key": ["key", "a"]})
    assert names(tmp_path, grouping) == [["key", "a"]]


def test_two_ways_into_one_fileset_make_one(tmp_path: Path) -> None:
    grouping = group(tmp_path, {"a": ["key", "a"], "b": ["key", "b"]})
    assert names(tmp_path, grouping) == [["key", "a", "b"]]


def test_a_file_that_two_sets_share_is_in_both(tmp_path: Path) -> None:
    grouping = group(tmp_path, {"a": ["a", "log"], "b": ["b", "log"], "log": ["log"]})
    assert names(tmp_path, grouping) == [["a", "log"], ["b", "log"]]


def test_none_is_forgotten(tmp_path: Path) -> None:
    """Each is used by the other: by the importer's rule both would be left out."""
    sets = {"a": ["a"], "b": ["b", "a", "c"], "c": ["c", "a", "b"], ".hidden": []}
    grouping = group(tmp_path, {**sets, "x": ["c"]}, ["a", "b", "x"])
    covered = {path for candidate in grouping.candidates for path in candidate.files}
    assert covered | set(grouping.unreadable) >= {str(tmp_path / n) for n in "abx"}


def test_what_was_not_opened_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.tif")
    (tmp_path / "link.tif").symlink_to(tmp_path / "fifo.tif")
    walk = Walk(str(tmp_path), check)
    odd = os.fsdecode(b"\xff.tif")
    asked = [str(tmp_path / name) for name in ("fifo.tif", "link.tif", "gone.tif", odd, ".hid")]
    for path in asked[:-1]:
        assert walk.fit(path) is None
    told = walk.grouping(asked).unreadable
    assert "not a regular file" in told[asked[0]]
    assert "symbolic link" in told[asked[1]]
    assert "no longer there" in told[asked[2]]
    assert "not UTF-8" in told[asked[3]]
    assert "hidden" in told[asked[4]]


def test_a_used_file_outside_is_refused_and_not_listed(tmp_path: Path) -> None:
    root = tmp_path / "amy"
    root.mkdir()
    (tmp_path / "secret").touch()
    (candidate,) = group(root, {"a": ["a", "../secret"]}).candidates
    assert candidate.files == (str(root / "a"),)
    assert candidate.refused == f"{tmp_path}/secret: not below {root}"


def test_a_used_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    walk = Walk(str(tmp_path), check)
    walk.take(str(tmp_path / "a"), {"files": [f"{tmp_path}/a", "b"], "reader": "R", "plate": True})
    (candidate,) = walk.grouping([str(tmp_path / "a")]).candidates
    assert (candidate.files, candidate.plate) == ((str(tmp_path / "a"),), True)
    assert candidate.missing == (str(tmp_path / "b"),)


def test_what_its_reader_fails_on_waits(tmp_path: Path) -> None:
    grouping = group(tmp_path, {"a": {"error": "IOException: x"}, "b": {"unknown": "y"}})
    (candidate,) = grouping.candidates
    assert not candidate.complete and candidate.broken == "its reader: IOException: x"
    assert grouping.unreadable == {str(tmp_path / "b"): "no reader takes it: y"}


def test_a_root_that_is_reached_over_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    root = tmp_path / "link"
    walk = Walk(str(root), check)
    path = str(root / "a")
    assert walk.fit(path) is not None
    assert walk.inside(path) == str(tmp_path / "real" / "a")
    walk.take(path, {"files": [walk.inside(path)], "reader": "R", "plate": False})
    (candidate,) = walk.grouping([path]).candidates
    assert candidate.files == (path,) and not candidate.refused
