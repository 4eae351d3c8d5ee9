"""Where DICOM ends: its elements follow each other up to the pixels (PS3.5, PS3.10)."""

from __future__ import annotations

from .reading import Cut, Enough, Pieces

_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN"))
_LONG_TOO = frozenset((b"UR", b"UT", b"UV"))
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_ROWS = 0x00280010
_TRANSFER_SYNTAX = 0x00020010
_IMPLICIT, _BIG_ENDIAN = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.2"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_DEEPEST = 32


def dicom(pieces: Pieces) -> None:
    """Raises Cut if an element does not lie within the file, or a sequence has no end."""
    _Elements(pieces).follow()


class _Elements:
    """The elements of one file."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._at = 132 if pieces.size >= 132 and pieces.at(128, 4) == b"DICM" else 0
        self._order, self._implicit = "<", False

    def follow(self) -> None:
        """Goes on to the end of the file."""
        syntax = self._meta()
        if syntax == _DEFLATED:
            return
        self._implicit = syntax == _IMPLICIT
        self._order = ">" if syntax == _BIG_ENDIAN else "<"
        if not syntax:  # without a preamble: letters of a type, or a length
            kind = self._pieces.at(self._at + 4, 2)
            self._implicit = not (kind.isalpha() and kind.isupper())
        rows, tag = False, 0
        while self._at < self._pieces.size:
            if self._pieces.size - self._at < 8 and not self._pieces.at(
                self._at, self._pieces.size - self._at
            ).strip(b"\0"):
                break  # zeros at the end
            tag = self._element(0)
            if tag in _PIXELS:
                return  # what follows is no image
            rows = rows or tag == _ROWS
        # What has further groups, but no rows, is no image, but a report or a plan.
        if rows or tag <= _ROWS:
            raise Cut("its pixels are not there")

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
        self._at = start
        if length != _UNDEFINED:
            self._pieces.reaches(start, length, "an element")
            self._at = start + length
            return tag
        end = _ITEM_END if tag == _ITEM else _SEQUENCE_END
        while True:
            if self._element(depth + 1) == end:
                return tag
