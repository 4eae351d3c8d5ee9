"""Whether a TIFF file was cut short, from the chain of its directories.

Each directory has the offset of the next one, and the offsets of the strips or tiles of its
pixels.  All of them must lie within the file, and not in a hole.  It knows TIFF revision 6.0,
BigTIFF, and ImageJ's variant.  It reads no pixels, and has a limit for a file that was made to
waste time.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import BinaryIO

from . import tiff
from .holes import Holes

_WIDTH, _LENGTH, _BITS, _COMPRESSION = 256, 257, 258, 259
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_TILES, _TILE_BYTES, _SUBDIRECTORIES = 324, 325, 330
_PRIVATE = 32768  # tags from here on belong to programs
_NDPI = 65420  # Hamamatsu's own mark
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # field types that offsets have
_PADDING = 1 << 30  # bytes behind the pixels that a program may reserve and never write
_AT_ONCE = 1 << 16  # numbers read in one piece: a slide has millions of tiles
# In one file.  The largest known files have at most a quarter of each.
_MOST_DIRECTORIES = 1 << 20
_MOST_NUMBERS = 1 << 26
_MOST_FIELDS = 1 << 23  # of all directories; one that lies in many others is counted for each

_Entries = Mapping[int, tiff.Entry]


class _EnoughError(Exception):
    """More directories, or fields, than any real file has: the reader decides on the rest."""


def fault(file: BinaryIO, layout: tiff.Layout, size: int, holes: Holes | None = None) -> str:
    """What shows that a TIFF file of `size` bytes is not whole; empty if nothing does.

    If something is odd but lies within the file, the reader decides.
    """
    if not layout.first:
        return "no directory has been written yet"
    holes = holes or Holes()
    # A TIFF may be longer than its pixels.  But nobody is to upload a large file of which most was
    # never written: it may have any length, and needs no room where it lies.
    if holes.at_end(size) > max(size // 2, _PADDING):
        return "its end is not written yet, though the file has its length"
    try:
        return _Chain(file, layout, size, holes).fault()
    except tiff.TiffError as error:
        return str(error)
    except _EnoughError:
        return ""


class _Chain:
    """The chain of one file.  Its methods raise TiffError if the file is cut short."""

    def __init__(self, file: BinaryIO, layout: tiff.Layout, size: int, holes: Holes) -> None:
        self._file = file
        self._holes = holes
        self._layout = layout
        self._size = size
        self._numbers_left = _MOST_NUMBERS

    def fault(self) -> str:
        to_follow, seen, fields = [self._layout.first], {0}, 0
        known: list[_Entries] = []  # the first two directories
        while to_follow:
            offset = to_follow.pop()
            if offset in seen:
                continue  # a circle does not mean that the end is missing
            seen.add(offset)
            if len(seen) > _MOST_DIRECTORIES:
                raise _EnoughError
            directory = self._directory(offset)
            if directory is None:
                continue
            entries = directory.entries
            fields += len(entries)
            if fields > _MOST_FIELDS or len(to_follow) > _MOST_DIRECTORIES:
                raise _EnoughError
            if _NDPI in entries and self._size > 1 << 32 and not self._layout.big:
                return ""  # its offsets have further bits elsewhere
            outside = self._outside_value(entries) or self._outside(entries)
            if outside:
                return f"{outside}, and the file has {self._size} bytes"
            if self._holes and (unwritten := self._unwritten(entries)):
                return f"{unwritten} is not written yet, though the file has its length"
            known = [*known, entries][:2]
            if _SUBDIRECTORIES in entries:
                to_follow += islice(self._numbers(entries[_SUBDIRECTORIES]), tiff.MOST_ENTRIES)
            to_follow.append(directory.next)
        return self._imagej_fault(known[0]) if len(known) == 1 else ""

    def _directory(self, offset: int) -> tiff.Directory | None:
        """The directory at `offset`; None if something else is there."""
        if offset >= self._size:
            raise tiff.TiffError(
                f"it is cut short or broken: it has {self._size} bytes, and a part of it would be "
                f"at byte {offset}"
            )
        self._file.seek(offset)
        count_size, code = (8, "Q") if self._layout.big else (2, "H")
        data = self._file.read(count_size)
        if len(data) == count_size:
            (count,) = struct.unpack(self._layout.order + code, data)
            if not 0 < count <= tiff.MOST_ENTRIES or offset < 8:
                return None
        return tiff.read_directory(self._file, self._layout, offset)

    def _outside_value(self, entries: _Entries) -> str:
        """The field whose value is not within the file; empty if there is none.

        Private fields may hold anything, so they do not count.
        """
        for tag, entry in entries.items():
            if tag < _PRIVATE and (offset := entry.offset) is not None:
                end = offset + entry.size
                if end > self._size:
                    return f"the value of tag {tag} would end at byte {end}"
        return ""

    def _outside(self, entries: _Entries) -> str:
        """The strip or tile that is not within the file; empty if there is none."""
        for kind, position, offset, count in self._pieces(entries):
            if offset + count <= self._size:
                continue
            if kind == "strip":
                count = min(count, self._needed(entries, position) or count)
            if offset + count > self._size:
                return f"{kind} {position} would end at byte {offset + count}"
        return ""

    def _unwritten(self, entries: _Entries) -> str:
        """The strip or tile that is in a hole; empty if there is none."""
        for kind, position, offset, count in self._pieces(entries):
            if self._holes.meet(offset, offset + count):
                return f"{kind} {position}"
        return ""

    def _pieces(self, entries: _Entries) -> Iterator[tuple[str, int, int, int]]:
        """(strip or tile, its number, its offset, its bytes) of each that is in the file."""
        for kind, offsets_tag, bytes_tag in (
            ("strip", _STRIPS, _STRIP_BYTES),
            ("tile", _TILES, _TILE_BYTES),
        ):
            if offsets_tag not in entries or bytes_tag not in entries:
                continue
            offsets, counts = entries[offsets_tag], entries[bytes_tag]
            pairs = zip(self._numbers(offsets), self._numbers(counts), strict=False)
            for position, (offset, count) in enumerate(pairs):
                if offset and count:
                    yield kind, position, offset, count

    def _needed(self, entries: _Entries, position: int) -> int:
        """Bytes that a strip must have; 0 if not known.

        Some programs write a larger number for the last strip.
        """
        row_bytes, length = self._plane(entries)
        rows = min(self._number(entries, _ROWS, length), length)
        if not rows:
            return 0
        strips = -(-length // rows)
        return row_bytes * min(rows, length - position % strips * rows)

    def _plane(self, entries: _Entries) -> tuple[int, int]:
        """(bytes in a row, rows) of pixels that are not compressed; (0, 0) if they are."""
        if self._number(entries, _COMPRESSION, 1) != 1:
            return 0, 0
        samples = 1 if self._planar(entries) else self._number(entries, _SAMPLES, 1)
        bits = self._number(entries, _WIDTH, 0) * samples * self._number(entries, _BITS, 1)
        return (bits + 7) // 8, self._number(entries, _LENGTH, 0)

    def _planar(self, entries: _Entries) -> bool:
        return self._number(entries, _PLANAR, 1) == 2

    def _imagej_fault(self, entries: _Entries) -> str:
        """ImageJ writes one directory for more than 4 GB; all planes follow the first one."""
        description = entries.get(tiff.IMAGE_DESCRIPTION)
        text = b"" if description is None else tiff.read_value(self._file, description, 4096)
        if not text.startswith(b"ImageJ=") or _STRIPS not in entries:
            return ""
        images = re.search(rb"^images=(\d{1,9})\r?$", text, re.MULTILINE)
        if images is None:
            return ""
        row_bytes, length = self._plane(entries)
        planes = int(images[1])
        if self._planar(entries):
            planes *= self._number(entries, _SAMPLES, 1)
        end = self._number(entries, _STRIPS, 0) + planes * row_bytes * length
        if end <= self._size:
            return ""
        return f"{int(images[1])} planes would end at byte {end}, and it has {self._size} bytes"

    def _number(self, entries: _Entries, tag: int, default: int) -> int:
        entry = entries.get(tag)
        return default if entry is None else next(self._numbers(entry), default)

    def _numbers(self, entry: tiff.Entry) -> Iterator[int]:
        """The values of a field of whole numbers; none for a field of another type."""
        code = _CODES.get(entry.type)
        if code is None:
            return
        item = struct.Struct(entry.layout.order + code)
        offset = entry.offset
        if offset is None:
            whole = len(entry.field) // item.size * item.size
            yield from (n for (n,) in islice(item.iter_unpack(entry.field[:whole]), entry.count))
            return
        for start in range(0, entry.count, _AT_ONCE):
            length = min(_AT_ONCE, entry.count - start) * item.size
            if offset + start * item.size + length > self._size:
                raise tiff.TiffError(f"the values at byte {offset} are cut short")
            self._numbers_left -= _AT_ONCE if entry.count > _AT_ONCE else entry.count
            if self._numbers_left < 0:
                raise _EnoughError
            self._file.seek(offset + start * item.size)
            data = self._file.read(length)
            if len(data) != length:
                raise tiff.TiffError("it becomes shorter while it is read")
            yield from (n for (n,) in item.iter_unpack(data))
