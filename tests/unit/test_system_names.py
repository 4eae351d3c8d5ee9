"""The hidden names of stores on their way to another disk."""

from __future__ import annotations

import os

import pytest

from omero_fs_plugin.system_names import DIRECTORIES, any_of, coming_of, is_on_its_way, leaving_of


@pytest.mark.parametrize(
    "name", ["a.zarr", "a", "n" * 255, "\u00e9" * 127, "\u20ac" * 85, os.fsdecode(b"\xff\xfe.zarr")]
)
@pytest.mark.parametrize("named", [coming_of, leaving_of])
def test_each_store_has_one(name: str, named: type[str]) -> None:
    made = named(name)
    assert len(os.fsencode(made)) <= 255
    assert is_on_its_way(made) and not is_on_its_way(name)
    assert any_of(DIRECTORIES).match(made.casefold())
    assert coming_of(name) != leaving_of(name)
