"""A share that lies about sizes: bytes without end, or an end that comes too early."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

import pytest

from omero_fs_plugin.dropbox.importing.importers import FileChanged
from omero_fs_plugin.dropbox.importing.importers.sources import BLOCK, blocks
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat


class Endless(io.RawIOBase):
    """As /dev/zero; it counts what was read."""

    given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        assert self.given < 20 * BLOCK, "it would be read for ever"
        return bytes(size)


def _met(size: int) -> Found:
    return Found("/in/amy/a.tif", FileStat(1, 2, size, 4, 5))


@pytest.mark.parametrize("size", [0, 1, 3 * BLOCK])
def test_bytes_without_end_are_not_read_for_ever(size: int) -> None:
    source = Endless()
    with pytest.raises(FileChanged, match="more bytes than its size says"):
        list(blocks("/in/amy", cast(BinaryIO, source), _met(size), lambda: False))
    assert source.given <= size + 2 * BLOCK


def test_an_end_that_comes_too_early_is_no_end() -> None:
    source = io.BytesIO(bytes(BLOCK + 10))
    with pytest.raises(FileChanged, match="ends 90 bytes before its size"):
        list(blocks("/in/amy", source, _met(BLOCK + 100), lambda: False))


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1])
def test_a_file_of_its_size_is_read_whole(size: int) -> None:
    read = blocks("/in/amy", io.BytesIO(b"x" * size), _met(size), lambda: False)
    assert b"".join(read) == b"x" * size
