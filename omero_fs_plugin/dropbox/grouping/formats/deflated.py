"""Where compressed data end: gzip (RFC 1952), and the bare stream of it (RFC 1951).

The last four bytes of gzip say how many bytes it stands for.  If they are those that are expected,
it is whole; else it is followed to its end, and what comes out is thrown away.
"""

from __future__ import annotations

import zlib

from .reading import Cut, Enough, Pieces

GZIP = b"\x1f\x8b\x08"
_READ = 1 << 16  # bytes at once
_MADE = 1 << 20  # bytes that come out at once
_MOST = 1 << 30  # bytes that come out of one file
_GZIP, _BARE = 31, -15  # zlib's wbits
_WHAT = "the end of what is compressed in it is not there"


def first_of_gzip(pieces: Pieces, length: int) -> bytes:
    """The first bytes that a compressed file stands for, at most `length`; none if it is broken."""
    try:
        return zlib.decompressobj(_GZIP).decompress(pieces.head(_READ), length)
    except zlib.error:
        return b""


def ends_gzip(pieces: Pieces, at: int, expected: int = 0) -> None:
    """Raises Cut if gzip that begins at `at` has no end.

    `expected`: how many bytes it stands for; 0 if nobody knows.
    """
    if expected and pieces.size - at > 18:
        written = int.from_bytes(pieces.at(pieces.size - 4, 4), "little")
        if written == expected & 0xFFFFFFFF:
            return
    _follow(pieces, at, _GZIP)


def ends_bare(pieces: Pieces, at: int) -> None:
    """Raises Cut if the stream that begins at `at` has no end."""
    _follow(pieces, at, _BARE)


def _follow(pieces: Pieces, at: int, kind: int) -> None:
    stream, made = zlib.decompressobj(kind), 0
    try:
        while at < pieces.size:
            data = pieces.at(at, min(_READ, pieces.size - at))
            at += len(data)
            while data:
                made += len(stream.decompress(data, _MADE))
                if stream.eof:
                    return
                if made > _MOST:
                    raise Enough
                data = stream.unconsumed_tail
    except zlib.error:
        return  # it is broken, and its reader says how
    raise Cut(_WHAT)
