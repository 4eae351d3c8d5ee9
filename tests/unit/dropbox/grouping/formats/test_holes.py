"""Bytes of a file that nobody has written yet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.grouping.formats import holes
from omero_fs_plugin.dropbox.grouping.formats.holes import Holes, holes_of

BLOCK = 4096


@given(st.sets(st.integers(0, 30)), st.integers(0, 31), st.integers(0, 31))
def test_any_holes_and_any_bytes(empty: set[int], start: int, end: int) -> None:
    """Byte by byte, as the list of holes has it."""
    found = Holes((byte, byte + 1) for byte in sorted(empty))
    assert found.meet(start, end) == any(byte in empty for byte in range(start, end))
    assert bool(found) == bool(empty)


@given(st.sets(st.integers(0, 7)))
def test_of_a_file(tmp_path_factory: pytest.TempPathFactory, written: set[int]) -> None:
    path = tmp_path_factory.mktemp("holes") / "a"
    with path.open("wb") as file:
        for block in written:
            os.pwrite(file.fileno(), b"x" * BLOCK, block * BLOCK)
        file.truncate(8 * BLOCK)
    with path.open("rb") as file:
        found = holes_of(file, 8 * BLOCK)
    for block in range(8):
        assert found.meet(block * BLOCK, (block + 1) * BLOCK) == (block not in written)


def test_the_file_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * 64)
    with path.open("rb", buffering=256) as file:
        file.read(100)
        holes_of(file, path.stat().st_size)
        assert file.read(1000) == (bytes(range(256)) * 5)[100:1100]


def test_where_the_file_system_cannot_tell_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holes, "_TELLING", frozenset())
    path = tmp_path / "a"
    path.touch()
    os.truncate(path, 1 << 16)
    with path.open("rb") as file:
        assert not holes_of(file, 1 << 16)
