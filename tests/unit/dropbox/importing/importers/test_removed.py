"""Originals on a disk that was mounted again, under another device number, since their import."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers import sources
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat

BYTES = b"the bytes of an image"
SHA1 = hashlib.sha1(BYTES, usedforsecurity=False).hexdigest()


def imported(path: Path, **changed: int) -> Any:
    """A fileset of `path` as it was when it was imported: on a device with another number."""
    path.write_bytes(BYTES)
    now = FileStat.of(path.stat())
    was = replace(now, **{"device": now.device + 1, **changed})
    return SimpleNamespace(id=1, root=str(path.parent), files=[Found(str(path), was)])


def test_it_is_read_again_and_removed(tmp_path: Path) -> None:
    fileset = imported(tmp_path / "a.tif")
    assert sources.remove(fileset, [SHA1], linked=False) == ""
    assert not (tmp_path / "a.tif").exists()


@pytest.mark.parametrize("sha1", ["0" * 40, ""], ids=["other bytes", "bytes nobody knows"])
def test_it_stays_if_it_may_be_another(tmp_path: Path, sha1: str) -> None:
    assert sources.remove(imported(tmp_path / "a.tif"), [sha1], linked=False) == ""
    assert (tmp_path / "a.tif").exists()


@pytest.mark.parametrize("changed", [{"inode": 1}, {"size": 1}, {"mtime_ns": 1}], ids=str)
def test_it_stays_if_more_than_the_device_is_another(
    tmp_path: Path, changed: dict[str, int]
) -> None:
    sources.remove(imported(tmp_path / "a.tif", **changed), [SHA1], linked=False)
    assert (tmp_path / "a.tif").exists()


def test_one_that_was_linked_stays(tmp_path: Path) -> None:
    """A link does not lead from one disk to another: that is not the same file."""
    sources.remove(imported(tmp_path / "a.tif"), [SHA1], linked=True)
    assert (tmp_path / "a.tif").exists()
