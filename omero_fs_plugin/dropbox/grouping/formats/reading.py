"""Reads pieces of a file, as many as a real file needs and no more."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

_MOST_READS = 1 << 18  # pieces of one file
_MOST_BYTES = 64 << 20  # of all pieces of one file
_MOST_STEPS = 1 << 22  # single bytes of one file; a GIF of 32 MiB needs a tenth of them
_MOST_SLICES = 1 << 16  # what is read forwards from; each is copied
_BLOCK = 1 << 16  # bytes that are read at once, forwards
_FARTHEST = 1 << 62  # no file is longer


class Cut(Exception):
    """The file ends before something that it must have.  The text is for people."""


class Enough(Exception):
    """More pieces than any real file has: the reader decides on the rest."""


class Pieces:
    """Pieces of one file.

    Rule: what lies beyond the end of the file raises Cut, and too many pieces raise Enough.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        """`size`: bytes of the file."""
        self._file = file
        self.size = size
        self._reads = 0
        self._bytes = 0
        self._steps = self._slices = 0
        self._block, self._from = b"", 0  # what was read forwards last, and where it begins

    def at(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`.  Raises Cut and Enough."""
        self.reaches(offset, length)
        self._reads += 1
        self._bytes += length
        if self._reads > _MOST_READS or self._bytes > _MOST_BYTES:
            raise Enough
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise Cut("it becomes shorter while it is read")
        return data

    def head(self, length: int) -> bytes:
        """The first bytes, at most `length`."""
        return self.at(0, min(length, self.size))

    def unpack(self, code: str, offset: int) -> tuple[Any, ...]:
        """Numbers at `offset`, by a code of struct."""
        return struct.unpack(code, self.at(offset, struct.calcsize(code)))

    def number(self, code: str, offset: int) -> int:
        """One whole number at `offset`."""
        return int(self.unpack(code, offset)[0])

    def onwards(self, offset: int, length: int = 1) -> bytes:
        """What follows at `offset`, at least `length` bytes of it: for who reads forwards.

        Raises Cut and Enough.
        """
        self._slices += 1
        if self._slices > _MOST_SLICES:
            raise Enough
        if not self._from <= offset or offset + length > self._from + len(self._block):
            self.reaches(offset, length)
            self._block = self.at(offset, min(max(length, _BLOCK), self.size - offset))
            self._from = offset
        return self._block[offset - self._from :]

    def byte(self, offset: int) -> int:
        """One byte, for who reads forwards.  Raises Cut and Enough."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise Enough
        place = offset - self._from
        if not 0 <= place < len(self._block):
            return self.onwards(offset)[0]
        return self._block[place]

    def reaches(self, offset: int, length: int = 0, what: str = "a part of it") -> None:
        """Raises Cut if the file ends before `offset` + `length`."""
        end = offset + length
        if not 0 <= offset <= _FARTHEST or not 0 <= length <= _FARTHEST:
            raise Cut(f"{what} would lie at byte {offset}, where none can lie")
        if end > self.size:
            raise Cut(f"{what} would end at byte {end}, and the file has {self.size} bytes")
