"""Where pictures end: PNG, MNG, JPEG, GIF, BMP, JPEG 2000 and the family of PGM.

Sources: PNG (W3C), MNG and JNG (libpng.org), JPEG (ITU-T T.81), GIF89a (CompuServe), JPEG 2000
(ITU-T T.800, Annexes A and I), Netpbm's descriptions, and Microsoft's description of
BITMAPFILEHEADER and BITMAPINFOHEADER.

What follows the end of a picture is no fault, unless it is another one of its kind.
"""

from __future__ import annotations

import re

from .reading import Cut, Pieces

_TAIL = 1 << 16  # bytes at the end in which the mark of the end is looked for first
_FARTHEST = 48 << 20  # ... and at most; some cameras append a film
_FORWARDS = 32 << 20  # bytes of a picture that is read from its start to its end
_END_OF_IMAGE = b"\xff\xd9"
# Markers without a length: TEM, RST0 to RST7, SOI, EOI.
_BARE = frozenset((0x01, *range(0xD0, 0xDA)))
_START_OF_IMAGE, _END, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
# What may follow pixels: tables, the number of lines, comments, a further scan, the end.
_AFTER_SCAN = re.compile(rb"\xff[\xc4\xcc\xd9-\xdd\xe0-\xef\xfe]")
_NO_END = "the mark of the end of a JPEG is not there"
_NO_END_OF_STREAM = "the mark of the end of the codestream is not there"
_START_OF_TILE = b"\xff\x90"
_PNM_SUFFIXES = ("pgm", "ppm", "pbm", "pnm", "pam")
_GAP = rb"(?:\s|#[^\n]*\n)+"
_PBM = re.compile(rb"P4%s(\d{1,9})%s(\d{1,9})\s" % (_GAP, _GAP))
_PNM = re.compile(rb"P([56])%s(\d{1,9})%s(\d{1,9})%s(\d{1,5})\s" % (_GAP, _GAP, _GAP))
_PAM = re.compile(rb"P7\s(?:[^\n]*\n){1,100}?ENDHDR\s*?\n")
_PAM_WORDS = (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")
_PAM_LINE = re.compile(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d{1,9})", re.MULTILINE)


def png(pieces: Pieces) -> None:
    """Chunks follow each other up to IEND, or MEND."""
    at, last = 8, b"MEND" if pieces.at(1, 3) == b"MNG" else b"IEND"
    while True:
        length, kind = pieces.unpack(">I4s", at)
        if not kind.isalpha():
            raise Cut(f"no chunk of PNG begins at byte {at}")
        pieces.reaches(at + 8, length + 4, "a chunk")
        if kind == last:
            return
        at += length + 12


def jpeg(pieces: Pieces) -> None:
    """Segments and scans up to the mark of the end; several images may follow each other.

    Of a very large one, the segments up to the first scan, and the mark of the end after it.
    """
    at = _first_scan(pieces, 2)
    if pieces.size > _FORWARDS:
        _ends_with(pieces, at, _END_OF_IMAGE, _NO_END)
        return
    while True:
        at = _end_of_scans(pieces, at)
        if at == pieces.size:
            return
        rest = pieces.onwards(at)
        following = rest.lstrip(b"\0")
        if not following.startswith(b"\xff\xd8\xff"):
            return
        at = _first_scan(pieces, at + len(rest) - len(following) + 2)


def _first_scan(pieces: Pieces, at: int) -> int:
    """Where the pixels of an image begin, of which a segment begins at `at`."""
    while True:
        mark, kind = pieces.byte(at), pieces.byte(at + 1)
        if mark != 0xFF:  # as readers do: to the next marker
            at = _next(pieces, at)
        elif kind == 0xFF:  # a fill byte
            at += 1
        elif kind in _BARE:
            at += 2
        else:
            at = _after_segment(pieces, at)
            if kind == _START_OF_SCAN:
                return at


def _next(pieces: Pieces, at: int) -> int:
    """Where the next byte lies that may begin a marker."""
    while (found := pieces.onwards(at).find(b"\xff")) < 0:
        at += len(pieces.onwards(at))
    return at + found


def _after_segment(pieces: Pieces, at: int) -> int:
    length = pieces.byte(at + 2) << 8 | pieces.byte(at + 3)
    pieces.reaches(at + 2, length, "a segment")
    return at + 2 + max(length, 2)


def _end_of_scans(pieces: Pieces, at: int) -> int:
    """Where an image ends whose first pixels begin at `at`."""
    while True:
        try:
            data = pieces.onwards(at, 2)
        except Cut:
            raise Cut(_NO_END) from None
        found = _AFTER_SCAN.search(data)
        if found is None:
            at += len(data) - 1  # a marker may begin with the last byte
        elif data[found.start() + 1] == _END:
            return at + found.end()
        else:
            at = _after_segment(pieces, at + found.start())


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
    """Blocks follow each other up to the trailer; some programs fill the rest with zeros.

    Of a very large one, and of one with unknown blocks, only the last bytes are looked at.
    """
    at: int | None = 0
    while at is not None and pieces.size <= _FORWARDS:
        at = _end_of_gif(pieces, at)
        if at is not None and (at == pieces.size or pieces.onwards(at)[:4] != b"GIF8"):
            return
    length = min(pieces.size, 1 << 12)
    tail = pieces.at(pieces.size - length, length).rstrip(b"\0\r\n ")
    if not tail.endswith(b"\x3b"):
        raise Cut("the trailer of a GIF is not there")


def _end_of_gif(pieces: Pieces, at: int) -> int | None:
    """Where the GIF at `at` ends; None if it has a block of no known kind."""
    at += 13 + _colours(pieces.byte(at + 10))
    while True:
        kind = pieces.byte(at)
        if kind == 0x3B:
            return at + 1
        if kind == 0x2C:  # an image
            at += 10 + _colours(pieces.byte(at + 9)) + 1
        elif kind == 0x21:  # an extension
            at += 2
        elif kind == 0:  # one block that ends more than once
            at += 1
            continue
        else:
            return None
        while length := pieces.byte(at):
            at += 1 + length
        at += 1


def _colours(flags: int) -> int:
    """The bytes of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def is_bmp(head: bytes, suffix: str) -> bool:
    """Whether it is a bitmap of Windows or of OS/2: its number of planes is always 1."""
    at = 22 if head[14:18] == b"\x0c\0\0\0" else 26
    return head[:2] == b"BM" and head[at : at + 2] == b"\1\0" and head[6:10] == b"\0\0\0\0"


def bmp(pieces: Pieces) -> None:
    """The pixels have a length that follows from width, height and bits, or that is written."""
    offset, header = pieces.unpack("<II", 10)
    if header < 16:  # of OS/2
        width, height, _, bits = pieces.unpack("<HHHH", 18)
        compression, written = 0, 0
    elif header < 40:  # of OS/2, and short
        width, height, _, bits = pieces.unpack("<iiHH", 18)
        compression, written = 0, 0
    else:
        width, height, _, bits, compression, written = pieces.unpack("<iiHHII", 18)
    if compression in (0, 3, 6):
        written = (abs(width) * bits + 31) // 32 * 4 * abs(height)
    pieces.reaches(offset, written, "the pixels")


def is_pnm(head: bytes, suffix: str) -> bool:
    """Whether it is of the family of PGM, with pixels that are no text."""
    return suffix in _PNM_SUFFIXES and head[:2] in (b"P4", b"P5", b"P6", b"P7")


def pnm(pieces: Pieces) -> None:
    """The header says how many pixels follow, and how large they are."""
    head = pieces.head(_TAIL)
    if found := _PBM.match(head):
        across, down = map(int, found.groups())
        length = (across + 7) // 8 * down
    elif found := _PNM.match(head):
        kind, *numbers = map(int, found.groups())
        across, down, most = numbers
        length = across * down * (3 if kind == 6 else 1) * (1 + (most > 255))
    elif found := _PAM.match(head):
        said = dict(_PAM_LINE.findall(found[0]))
        across, down, depth, most = (int(said.get(word, 0)) for word in _PAM_WORDS)
        length = across * down * depth * (1 + (most > 255))
    else:
        return
    pieces.reaches(found.end(), length, "the pixels")


def jp2(pieces: Pieces) -> None:
    """Boxes follow each other; each codestream in them ends with its mark."""
    at, found = 0, False
    while pieces.size - at >= 8 or not found:
        length, kind = pieces.unpack(">I4s", at)
        head = 8
        if length == 1:
            length, head = pieces.number(">Q", at + 8), 16
        if length == 0:
            length = pieces.size - at
        if found and (length < head or not kind.strip().isalnum()):
            return  # what follows is no box
        if length < head:
            raise Cut(f"no box of JPEG 2000 begins at byte {at}")
        pieces.reaches(at, length, "a box")
        if kind == b"jp2c":
            _codestream(pieces, at + head, at + length)
            found = True
        at += length


def j2k(pieces: Pieces) -> None:
    """A codestream alone."""
    _codestream(pieces, 0, pieces.size)


def _codestream(pieces: Pieces, at: int, end: int) -> None:
    """Segments, then parts of tiles, each with its length; the last one may go on to the mark."""
    at += 2
    while (kind := pieces.at(at, 2)) != _START_OF_TILE:
        if kind[:1] != b"\xff" or at >= end:
            raise Cut("the tiles of the codestream are not there")
        at += 2 + max(2, pieces.number(">H", at + 2))
    while at + 12 <= end and pieces.at(at, 2) == _START_OF_TILE:
        length = pieces.number(">I", at + 6)
        if not length:
            _ends_with(pieces, at, _END_OF_IMAGE, _NO_END_OF_STREAM)
            return
        pieces.reaches(at, length, "a tile")
        at += max(length, 12)
    if at + 2 > end or pieces.at(at, 2) != _END_OF_IMAGE:
        raise Cut(_NO_END_OF_STREAM)
