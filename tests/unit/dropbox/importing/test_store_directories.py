"""The directories of a store whose files were removed, and what others put into them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.importing.stores import _remove_empty

BESIDE = (".DS_Store", ".AppleDouble/late", "0/._late", "0/@eaDir/late/thumbnail", "0/0/Thumbs.db")


@pytest.fixture
def above(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def _write(top: Path, *names: str) -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()


def _files(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


def test_with_nothing_but_what_lies_beside_files_they_go(tmp_path: Path, above: int) -> None:
    _write(tmp_path / "a.zarr", *BESIDE)
    _remove_empty("a.zarr", above)
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("late", ["late", "0/late", "0/0/late"])
def test_what_lies_beside_a_file_that_stays_or_above_it_stays(
    tmp_path: Path, above: int, late: str
) -> None:
    """It may be a part of that file: a resource fork."""
    top = tmp_path / "a.zarr"
    _write(top, *BESIDE, late)
    with pytest.raises(OSError, match="not empty"):
        _remove_empty("a.zarr", above)
    own = Path(late).parent
    kept = {one for one in BESIDE if Path(one).parent == own or one.startswith(".")}
    assert _files(top) >= {late, *kept}
