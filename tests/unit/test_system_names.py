"""The hidden names of stores on their way to another disk."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.stores import HIDDEN
from omero_fs_plugin.system_names import (
    BESIDE,
    BESIDE_DIRECTORIES,
    DIRECTORIES,
    FILES,
    SystemName,
    any_of,
    coming_of,
    is_beside,
    is_on_its_way,
    leaving_of,
)

# What the patterns are made of, and lines that a name may have.
PARTS = st.sampled_from(
    [*"~#$_.a0\n", "..", ".tmp", ".part", "_.gstmp", ".sb-1f-a", ".tif.6ece1dba", "thumbs.db"]
)


@pytest.mark.parametrize("table", [FILES, DIRECTORIES], ids=["files", "directories"])
@given(parts=st.lists(PARTS, max_size=4))
def test_all_patterns_in_one_are_those_patterns(
    table: tuple[SystemName, ...], parts: list[str]
) -> None:
    name = "".join(parts)
    alone = any(re.fullmatch(one.pattern, name, re.DOTALL) for one in table)
    assert (any_of(table).match(name) is not None) == alone


@pytest.mark.parametrize("table", [BESIDE, BESIDE_DIRECTORIES], ids=["files", "directories"])
def test_what_is_beside_the_files_of_a_store(table: tuple[SystemName, ...]) -> None:
    directory = table is BESIDE_DIRECTORIES
    for name in [name for one in table for name in one.examples]:
        for spelled in (name, name.upper(), name.lower()):
            assert is_beside(spelled, directory=directory)
        assert not is_beside(name, directory=not directory)
        assert not is_beside(f"{name}\n", directory=directory) or name.startswith("._")


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize(
    "name",
    [*HIDDEN, "zarr.json", "0", "0.0", "c", ".hidden", "trash", "Recycled", "lost+found", "d.db"],
)
def test_what_may_be_a_part_of_a_store_is(name: str, directory: bool) -> None:
    assert not is_beside(name, directory=directory)


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
