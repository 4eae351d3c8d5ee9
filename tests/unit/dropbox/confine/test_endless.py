"""A store in which a directory lists names for ever."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.confine import trees


def test_a_store_with_too_many_names_in_one_directory_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "MOST_NAMES", 3)
    store = tmp_path / "a.zarr"
    store.mkdir()
    for number in range(3):
        (store / str(number)).touch()
    assert trees.tree_stat(str(tmp_path), f"{store}/") is not None
    (store / "3").touch()
    with pytest.raises(OSError, match="more than 3 names") as told:
        trees.tree_stat(str(tmp_path), f"{store}/")
    assert told.value.errno == errno.EOVERFLOW
