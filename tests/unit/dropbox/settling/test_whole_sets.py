"""Whole sets, of a reader that takes all files of a directory for its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.settling.groupers import group_whole

SET = ("Index.idx.xml", "r01.tiff", "r02.tiff", "notes.txt")
# DropBox's own, and what file managers and servers put beside files.
NONE_OF_IT = ("omero-fs.toml", "Index.idx.xml.not-imported.txt", "Thumbs.db", ".DS_Store", "._r01")


class Greedy:
    """As Bio-Formats is with a plate of Harmony."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []

    def group(
        self, root: str, files: Sequence[str], readers: Sequence[str] | None = None
    ) -> Grouping:
        self.asked.append(files)
        every = sorted(Path(root).iterdir(), key=lambda path: (path.name not in SET, path.name))
        return Grouping((Candidate(tuple(map(str, every))),))

    def stores(self, root: str, stores: Sequence[str]) -> Grouping:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    for name in (*SET, *NONE_OF_IT):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_what_is_no_data_of_anybody_is_in_no_set(plate: Path) -> None:
    """With a transfer that moves files, the sidecar of all others would be gone with the set."""
    greedy = Greedy()
    (found,) = group_whole(greedy, str(plate), [str(plate / "r01.tiff")], None).candidates
    assert sorted(Path(path).name for path in found.files) == sorted(SET)
    named = {Path(path).name for files in greedy.asked for path in files}
    assert named.isdisjoint(NONE_OF_IT)


def test_what_was_asked_about_is_told_of(plate: Path) -> None:
    asked = [str(plate / name) for name in ("r01.tiff", "Thumbs.db")]
    (found,) = group_whole(Greedy(), str(plate), asked, None).candidates
    assert set(asked) <= set(found.files)


def test_the_first_file_of_a_set_stays(plate: Path) -> None:
    for name in SET:
        (plate / name).unlink()
    (found,) = group_whole(Greedy(), str(plate), [str(plate / "r01.tiff")], None).candidates
    assert [Path(path).name for path in found.files] == [".DS_Store"]
