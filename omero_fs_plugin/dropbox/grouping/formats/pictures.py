"""Where pictures end: PNG, JPEG, GIF, BMP and JPEG 2000.

Sources: PNG (W3C), JPEG (ITU-T T.81), GIF89a (CompuServe), JPEG 2000 (ITU-T T.800 Annex I),
and Microsoft's description of BITMAPFILEHEADER and BITMAPINFOHEADER.
"""

from __future__ import annotations

from .reading import Cut, Pieces

_TAIL = 1 << 16  # bytes at the end in which the mark of the end is looked for first
_FARTHEST = 48 << 20  # ... and at most; some cameras append a film
_END_OF_IMAGE = b"\xff\xd9"
# Markers without a length: TEM, RST0 to RST7, SOI, EOI.
_BARE = frozenset((0x01, *range(0xD0, 0xDA)))
_START_OF_SCAN = 0xDA


def png(pieces: Pieces) -> None:
    """Chunks follow each other up to IEND."""
    at = 8
    while True:
        length, kind = pieces.unpack(">I4s", at)
        if not kind.isalpha():
            raise Cut(f"no chunk of PNG begins at byte {at}")
        pieces.reaches(at + 8, length + 4, "a chunk")
        if kind == b"IEND":
            return
        at += length + 12


def jpeg(pieces: Pieces) -> None:
    """Segments up to the first scan, and the mark of the end after it."""
    at = 2
    while True:
        mark, kind = pieces.unpack(">BB", at)
        if mark != 0xFF:
            raise Cut(f"no segment of JPEG begins at byte {at}")
        if kind == 0xFF:  # a fill byte
            at += 1
        elif kind in _BARE:
            at += 2
        else:
            at += 2 + pieces.number(">H", at + 2)
            if kind == _START_OF_SCAN:
                break
    _ends_with(pieces, at, _END_OF_IMAGE, "the mark of the end of a JPEG is not there")


def _ends_with(pieces: Pieces, first: int, mark: bytes, what: str) -> None:
    """Raises Cut if `mark` is not in the last bytes, after `first`.

    In the pixels of JPEG it cannot be.
    """
    end, length = pieces.size, _TAIL
    while end > first and pieces.size - end < _FARTHEST:
        start = max(first, end - length)
        overlap = min(pieces.size, end + len(mark) - 1)
        if mark in pieces.at(start, overlap - start):
            return
        end, length = start, min(4 * length, 1 << 20)
    raise Cut(what)


def gif(pieces: Pieces) -> None:
    """An empty block and the trailer are the last of it; some programs fill the rest with zeros."""
    length = min(pieces.size, 1 << 12)
    tail = pieces.at(pieces.size - length, length).rstrip(b"\0\r\n ")
    if not tail.endswith(b"\x3b"):
        raise Cut("the trailer of a GIF is not there")


def bmp(pieces: Pieces) -> None:
    """The pixels have a length that follows from width, height and bits, or that is written."""
    offset, header = pieces.unpack("<II", 10)
    if header < 40:  # of OS/2
        width, height, _, bits = pieces.unpack("<HHHH", 18)
        compression, written = 0, 0
    else:
        width, height, _, bits, compression, written = pieces.unpack("<iiHHII", 18)
    if compression in (0, 3, 6):
        written = (abs(width) * bits + 31) // 32 * 4 * abs(height)
    pieces.reaches(offset, written, "the pixels")


def jp2(pieces: Pieces) -> None:
    """Boxes follow each other; the codestream ends with its mark."""
    at = 0
    while at < pieces.size:
        length, kind = pieces.unpack(">I4s", at)
        head = 8
        if length == 1:
            length, head = pieces.number(">Q", at + 8), 16
        if length == 0:
            length = pieces.size - at
        if length < head:
            raise Cut(f"no box of JPEG 2000 begins at byte {at}")
        pieces.reaches(at, length, "a box")
        if kind == b"jp2c":
            _codestream(pieces, at + length)
            return
        at += length
    raise Cut("the codestream of JPEG 2000 is not there")


def j2k(pieces: Pieces) -> None:
    """A codestream alone."""
    _codestream(pieces, pieces.size)


def _codestream(pieces: Pieces, end: int) -> None:
    if pieces.at(end - 2, 2) != _END_OF_IMAGE:
        raise Cut("the mark of the end of the codestream is not there")
