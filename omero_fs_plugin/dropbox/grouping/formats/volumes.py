"""Where volumes end: formats whose header says how many pixels follow, and of which size.

MRC (MRC2014), DeltaVision (its header is that of MRC, with types of its own), NIfTI-1 and -2,
NRRD (teem), ICS 1 and 2, FITS (4.0).  If pixels are compressed, nobody knows their length.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping

from . import deflated
from .reading import Cut, Pieces

_TEXT = 1 << 16  # bytes of a header of text
_LONG_TEXT = 1 << 22  # ... that has very many lines
_MRC_BITS = {0: 8, 1: 16, 2: 32, 3: 32, 4: 64, 6: 16, 7: 32, 12: 16, 16: 24, 101: 4}
_DV_BITS = {0: 8, 1: 16, 2: 32, 3: 32, 4: 64, 5: 16, 6: 16, 7: 32}
_NIFTI_HEADER = 540  # bytes, of the longer one
_FITS_BLOCK = 2880
_FITS_HEADERS = 1000  # blocks of one header
_NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8"), 1),
    **dict.fromkeys(("uint8_t",), 1),
    **dict.fromkeys(("short", "short int", "signed short", "int16", "int16_t", "ushort"), 2),
    **dict.fromkeys(("signed short int", "unsigned short", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("unsigned short int",), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int"), 4),
    **dict.fromkeys(("uint32", "uint32_t", "float"), 4),
    **dict.fromkeys(("longlong", "long long", "int64", "int64_t", "ulonglong", "double"), 8),
    **dict.fromkeys(("uint64", "uint64_t", "unsigned long long", "long long int"), 8),
}


def mrc(pieces: Pieces) -> None:
    """1024 bytes of header, an extended header, and the sections."""
    order = _order(pieces.number("<i", 0))
    across, down, sections, mode = pieces.unpack(order + "4i", 0)
    extended = pieces.number(order + "i", 92)
    if min(across, down, sections, extended) < 0 or mode not in _MRC_BITS:
        return
    row = (across * _MRC_BITS[mode] + 7) // 8
    pieces.reaches(1024 + extended, row * down * sections, "the last section")


def deltavision(pieces: Pieces) -> None:
    """As MRC; its number -16224 says in which order bytes are."""
    order = "<" if pieces.at(96, 2) == b"\xa0\xc0" else ">"
    across, down, sections, mode = pieces.unpack(order + "4i", 0)
    extended = pieces.number(order + "i", 92)
    if min(across, down, sections, extended) < 0 or mode not in _DV_BITS:
        return
    pixels = across * down * sections * _DV_BITS[mode] // 8
    pieces.reaches(1024 + extended, pixels, "the last section")


def _order(number: int) -> str:
    """Of bytes, by a number that is small in the right order."""
    return "<" if 0 <= number < 1 << 20 else ">"


def nifti(pieces: Pieces) -> None:
    """One file: the pixels begin where the header says."""
    offset, length = _nifti(pieces)
    pieces.reaches(offset, length, "the pixels")


def gzip(pieces: Pieces) -> None:
    """A file that is compressed as a whole, such as ``.nii.gz``."""
    head, expected = deflated.first_of_gzip(pieces, _NIFTI_HEADER), 0
    if head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0":
        expected = sum(_nifti(Pieces(io.BytesIO(head), len(head))))
    deflated.ends_gzip(pieces, 0, expected)


def nifti_pixels(pieces: Pieces) -> int:
    """How many bytes the ``.img`` beside a header has; 0 if the header does not say."""
    offset, length = _nifti(pieces)
    return offset + length if length else 0


def _nifti(pieces: Pieces) -> tuple[int, int]:
    """Where the pixels begin, and their bytes; 0 and 0 if the header does not say."""
    second = pieces.at(0, 4) in (b"\x1c\2\0\0", b"\0\0\2\x1c")  # 540
    if second:
        order = "<" if pieces.at(0, 1) == b"\x1c" else ">"
        dimensions = pieces.unpack(order + "8q", 16)
        bits, offset = pieces.number(order + "h", 14), pieces.number(order + "q", 168)
    else:
        order = "<" if pieces.number("<i", 0) == 348 else ">"
        dimensions = pieces.unpack(order + "8h", 40)
        bits = pieces.number(order + "h", 72)
        (begin,) = pieces.unpack(order + "f", 108)
        offset = int(begin) if math.isfinite(begin) and 0 <= begin < 1 << 40 else 0
    number = dimensions[0]
    if not 1 <= number <= 7 or bits <= 0 or min(dimensions[1 : number + 1]) < 0 or offset < 0:
        return 0, 0
    # Some write 0 for an axis that is not there.
    return offset, (math.prod(max(1, n) for n in dimensions[1 : number + 1]) * bits + 7) // 8


def nrrd(pieces: Pieces) -> None:
    """The pixels follow after an empty line, unless a line names their file."""
    fields, end = _nrrd_fields(pieces)
    if end is None or "data file" in fields or "datafile" in fields:
        return
    if not end:
        raise Cut("its header has no end")
    encoding = fields.get("encoding", "").lower()
    if encoding in ("gzip", "gz"):
        deflated.ends_gzip(pieces, end, _nrrd_pixels(fields))
    elif encoding == "raw":
        pieces.reaches(end, _nrrd_pixels(fields), "the pixels")


def nrrd_pixels(pieces: Pieces) -> int:
    """How many bytes the one file of the pixels has; 0 if the header does not say."""
    fields, _ = _nrrd_fields(pieces)
    skipped = fields.get("byte skip", fields.get("byteskip", "0"))
    if not skipped.isdecimal() or len(skipped) > 12:
        return 0
    pixels = _nrrd_bytes(fields)
    return pixels + int(skipped) if pixels else 0


def _nrrd_fields(pieces: Pieces) -> tuple[Mapping[str, str], int | None]:
    """Its fields, and where the pixels begin.

    0: the header has no end in the file.  None: none that is near enough.
    """
    for length in (_TEXT, _LONG_TEXT):
        head = pieces.head(length)
        found = re.search(rb"\r?\n\r?\n", head)
        if found or len(head) == pieces.size:
            break
    text = head[: found.start()] if found else head
    fields: dict[str, str] = {}
    for line in text.decode("latin-1").splitlines()[1:]:
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields.setdefault(key.strip().lower(), value.strip())
    return fields, found.end() if found else 0 if len(head) == pieces.size else None


def _nrrd_bytes(fields: Mapping[str, str]) -> int:
    """The bytes of its pixels in a file; 0 if nobody knows."""
    return _nrrd_pixels(fields) if fields.get("encoding", "").lower() == "raw" else 0


def _nrrd_pixels(fields: Mapping[str, str]) -> int:
    sizes = fields.get("sizes", "").split()
    each = _NRRD_BYTES.get(fields.get("type", "").lower(), 0)
    return each * _product(sizes) if sizes else 0


def _product(numbers: list[str]) -> int:
    """The product of decimal numbers; 0 if one is none."""
    if not all(number.isdecimal() and len(number) < 13 for number in numbers[:16]):
        return 0
    return math.prod(map(int, numbers[:16]))


def ics(pieces: Pieces) -> None:
    """Version 2 has its pixels after the line `end`; version 1 ends before it."""
    for length in (_TEXT, _LONG_TEXT):
        head = pieces.head(length)
        found = re.search(rb"(?m)^end\r?\n", head)
        if found or len(head) == pieces.size:
            break
    if not found or re.search(rb"(?m)^source\s+file\s", head):
        return
    pixels, compression = _ics_bytes(head)
    if compression == "gzip":
        deflated.ends_gzip(pieces, found.end(), pixels)
    elif compression == "uncompressed":
        pieces.reaches(found.end(), pixels, "the pixels")


def ics_pixels(pieces: Pieces) -> int:
    """How many bytes the ``.ids`` beside a header has; 0 if the header does not say."""
    pixels, compression = _ics_bytes(pieces.head(_TEXT))
    return pixels if compression == "uncompressed" else 0


def _ics_bytes(head: bytes) -> tuple[int, str]:
    """The bytes of its pixels, 0 if it does not say, and how they are compressed."""
    words: dict[tuple[str, ...], list[str]] = {}
    for line in head.decode("latin-1").splitlines():
        fields = line.split()
        if len(fields) > 2:
            words.setdefault(tuple(fields[:2]), fields[2:])
    sizes = words.get(("layout", "sizes"), [])
    order = words.get(("layout", "order"), [])
    compression = words.get(("representation", "compression"), ["uncompressed"])[0]
    if len(sizes) != len(order) or "bits" not in order:
        return 0, compression
    bits = sizes.pop(order.index("bits"))
    pixels = _product(sizes)
    return (pixels * -(-int(bits) // 8) if bits.isdecimal() and len(bits) < 4 else 0), compression


def fits(pieces: Pieces) -> None:
    """Headers of 36 lines of 80 bytes, each followed by as many pixels as it says."""
    at, first = 0, True
    while first or pieces.at(at, min(8, pieces.size - at)) == b"XTENSION":
        fields, at = _fits_header(pieces, at)
        first = False
        axes = min(_whole(fields, "NAXIS", 0), 999)
        counts = [_whole(fields, f"NAXIS{n}", 0) for n in range(1, axes + 1)]
        if counts[:1] == [0] and fields.get("GROUPS") == "T":
            counts = counts[1:]
        pixels = math.prod(counts) if counts else 0
        each = abs(_whole(fields, "BITPIX", 0)) // 8
        data = each * _whole(fields, "GCOUNT", 1) * (_whole(fields, "PCOUNT", 0) + pixels)
        pieces.reaches(at, data, "the pixels")
        at = min(pieces.size, at + -(-data // _FITS_BLOCK) * _FITS_BLOCK)


def _fits_header(pieces: Pieces, at: int) -> tuple[Mapping[str, str], int]:
    """The fields of a header, and where the data after it begin."""
    fields: dict[str, str] = {}
    for _ in range(_FITS_HEADERS):
        block = pieces.at(at, _FITS_BLOCK).decode("latin-1")
        at += _FITS_BLOCK
        for start in range(0, _FITS_BLOCK, 80):
            line = block[start : start + 80]
            if line[:8].strip() == "END":
                return fields, at
            if line[8:9] == "=":
                fields.setdefault(line[:8].strip(), line[9:].partition("/")[0].strip())
    return {}, at


def _whole(fields: Mapping[str, str], key: str, default: int) -> int:
    value = fields.get(key, "")
    return int(value) if re.fullmatch(r"[+-]?\d{1,12}", value) else default
