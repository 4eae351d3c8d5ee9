"""Where NetCDF ends, of which MINC is made: its header says where each variable lies.

Source: Unidata's NetCDF Classic Format Specification, for CDF-1 and CDF-2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .reading import Enough, Pieces

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8}  # of a value of each type
_MOST = 10_000  # dimensions, attributes or variables; images have some tens
_STREAMED = 0xFFFFFFFF  # a number of records that nobody has written


def netcdf(pieces: Pieces) -> None:
    """Each variable must lie within the file, and each record of those that have records."""
    _Header(pieces).follow()


class _Header:
    """The header of one file, field by field."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._wide = pieces.byte(3) == 2  # offsets of 64 bits
        self._at = 4

    def follow(self) -> None:
        records = self._number()
        lengths = []
        for _ in range(self._count()):
            self._name()
            lengths.append(self._number())
        self._attributes()
        of_records: list[tuple[int, int, int]] = []  # begin, bytes, bytes with their padding
        for _ in range(self._count()):
            begin, size, padded, recorded = self._variable(lengths)
            if recorded:
                of_records.append((begin, size, padded))
            else:
                self._pieces.reaches(begin, size, "a variable")
        if records and records != _STREAMED:
            alone = len(of_records) == 1
            each = sum(size if alone else padded for _, size, padded in of_records)
            for begin, size, _ in of_records:
                self._pieces.reaches(begin, (records - 1) * each + size, "the last record")

    def _variable(self, lengths: Sequence[int]) -> tuple[int, int, int, bool]:
        self._name()
        axes = [self._number() for _ in range(self._bounded(self._number()))]
        self._attributes()
        size = _BYTES.get(self._number(), 0)
        padded = self._number()
        begin = self._number(8 if self._wide else 4)
        shape = [lengths[axis] if axis < len(lengths) else 0 for axis in axes]
        recorded = bool(shape) and shape[0] == 0
        return begin, math.prod(shape[recorded:]) * size, padded, recorded

    def _attributes(self) -> None:
        for _ in range(self._count()):
            self._name()
            size = _BYTES.get(self._number(), 0)
            self._skip(size * self._number())

    def _count(self) -> int:
        """How many entries a list has; its tag comes first."""
        self._number()
        return self._bounded(self._number())

    def _bounded(self, count: int) -> int:
        if count > _MOST:
            raise Enough
        return count

    def _name(self) -> None:
        self._skip(self._number())

    def _skip(self, length: int) -> None:
        length += -length % 4
        self._pieces.reaches(self._at, length, "its header")
        self._at += length

    def _number(self, length: int = 4) -> int:
        value = 0
        for at in range(self._at, self._at + length):
            value = value << 8 | self._pieces.byte(at)
        self._at += length
        return value
