"""Where DICOM ends: its elements follow each other up to the pixels (PS3.5, PS3.10).

And which slices of its series are not there, as far as their numbers tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

from . import deflated
from .reading import Cut, Enough, Pieces

_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN"))
_LONG_TOO = frozenset((b"UR", b"UT", b"UV"))
_TYPES = _LONG | _LONG_TOO | frozenset((b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD"))
_TYPES |= frozenset((b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI"))
_TYPES |= frozenset((b"UL", b"US"))
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_ROWS = 0x00280010
_RECORDS = 0x00041220  # DirectoryRecordSequence, the last element of a DICOMDIR
_SERIES, _NUMBER = 0x0020000E, 0x00200013  # SeriesInstanceUID, InstanceNumber
_LONGEST = 64  # bytes of these values (PS3.5, 6.2)
_MOST_TOLD = 10  # numbers of slices in one message
_TRANSFER_SYNTAX = 0x00020010
_IMPLICIT, _BIG_ENDIAN = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.2"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_DEEPEST = 32


def dicom(pieces: Pieces) -> None:
    """Raises Cut if an element does not lie within the file, or a sequence has no end."""
    _Elements(pieces).follow()


def slice_of(pieces: Pieces) -> tuple[str, int] | None:
    """The series of a file and its number in that; None if it does not say so."""
    try:
        said = _Elements(pieces).values({_SERIES, _NUMBER})
        series = said[_SERIES].rstrip(b"\0 ").decode("ascii")
        return series, int(said[_NUMBER].strip(b"\0 "))
    except (Cut, Enough, KeyError, ValueError):
        return None


def gaps(numbers: Collection[int]) -> str:
    """What is not there of a series that has these numbers, for people; empty: nothing.

    The smallest distance of two is that of all, so two slices tell nothing.  Nobody knows what
    comes before the first and after the last.
    """
    there = sorted(set(numbers))
    pairs = list(itertools.pairwise(there))
    if len(pairs) < 2:
        return ""
    step = min(after - before for before, after in pairs)
    missing: list[str] = []
    for before, after in pairs:
        if after - before > step:
            first, last = before + step, before + (after - before - 1) // step * step
            missing.append(str(first) if first == last else f"{first} to {last}")
    if len(missing) > _MOST_TOLD:
        missing[_MOST_TOLD:] = [f"{len(missing) - _MOST_TOLD} more gaps"]
    if len(missing) == 1 and " " not in missing[0]:
        return f"slice {missing[0]} is not there"
    return f"slices {', '.join(missing)} are not there" if missing else ""


class _Elements:
    """The elements of one file."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._at = 132 if pieces.size >= 132 and pieces.at(128, 4) == b"DICM" else 0
        self._order, self._implicit = "<", False

    def follow(self) -> None:
        """Goes on to the end of the file."""
        if not self._begin():
            deflated.ends_bare(self._pieces, self._at)
            return
        rows, tag = False, 0
        while self._at < self._pieces.size:
            if self._pieces.size - self._at < 8 and not self._pieces.at(
                self._at, self._pieces.size - self._at
            ).strip(b"\0"):
                break  # zeros at the end
            tag = self._element(0)
            if tag in _PIXELS or tag == _RECORDS:
                return  # what follows is no image
            rows = rows or tag == _ROWS
        # What has further groups, but no rows, is no image, but a report or a plan.
        if rows or tag <= _ROWS:
            raise Cut("its pixels are not there")

    def values(self, tags: Collection[int]) -> dict[int, bytes]:
        """The values of these elements, as far as they are there.  Elements are in order."""
        found: dict[int, bytes] = {}
        if not self._begin():
            return found
        while len(found) < len(tags) and self._at + 8 <= self._pieces.size:
            tag, start, length = self._head()
            if tag > max(tags):
                break
            if tag in tags and length <= _LONGEST:
                found[tag] = self._pieces.at(start, length)
            self._element(0)
        return found

    def _begin(self) -> bool:
        """Whether what follows the head can be read."""
        syntax = self._meta()
        if syntax == _DEFLATED:
            return False
        self._order = ">" if syntax == _BIG_ENDIAN else "<"
        # Letters of a type, or a length.  Some programs write the other one than they say.
        self._implicit = syntax == _IMPLICIT
        if self._pieces.size - self._at >= 8:
            self._implicit = self._pieces.at(self._at + 4, 2) not in _TYPES
        return True

    def _meta(self) -> bytes:
        """Follows the group 0002, which is always explicit.  Returns the transfer syntax."""
        syntax = b""
        while self._at + 8 <= self._pieces.size and self._pieces.at(self._at, 2) == b"\2\0":
            tag, start, length = self._head()
            if tag == _TRANSFER_SYNTAX and length < 128:
                syntax = self._pieces.at(start, length).rstrip(b"\0 ")
            self._pieces.reaches(start, length)
            self._at = start + length
        return syntax

    def _head(self) -> tuple[int, int, int]:
        """Tag, where the value begins, and its length."""
        group, element = self._pieces.unpack(self._order + "HH", self._at)
        tag = group << 16 | element
        if group == 0xFFFE or self._implicit:
            length = self._pieces.number(self._order + "I", self._at + 4)
            return tag, self._at + 8, length
        kind = self._pieces.at(self._at + 4, 2)
        if kind in _LONG or kind in _LONG_TOO:
            length = self._pieces.number(self._order + "I", self._at + 8)
            return tag, self._at + 12, length
        if not kind.isalpha():
            raise Cut(f"no element of DICOM begins at byte {self._at}")
        return tag, self._at + 8, self._pieces.number(self._order + "H", self._at + 6)

    def _element(self, depth: int) -> int:
        """Follows one element, and returns its tag."""
        if depth > _DEEPEST:
            raise Enough
        tag, start, length = self._head()
        unknown = not self._implicit and self._pieces.at(self._at + 4, 2) == b"UN"
        self._at = start
        if length != _UNDEFINED:
            self._pieces.reaches(start, length, "an element")
            self._at = start + length
            return tag
        end = _ITEM_END if tag == _ITEM else _SEQUENCE_END
        # What lies in an element of an unknown type is implicit (PS3.5, 6.2.2).
        before = self._implicit, self._order
        if unknown and tag != _ITEM:
            self._implicit, self._order = True, "<"
        while True:
            if self._element(depth + 1) == end:
                self._implicit, self._order = before
                return tag
