"""The directories of a TIFF file: what is needed to know its kind and whether it is whole.

It never reads pixels.  It knows TIFF revision 6.0, and BigTIFF, whose header says
43 instead of 42 and whose numbers have 64 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from omero_fs_plugin.errors import FsError

# Bytes of each field type, by its number.  The size of a type that is not here is not known.
SIZES: Mapping[int, int] = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
# No camera or microscope writes a tenth of this; a corrupt file may say any number.
MOST_ENTRIES = 4096
IMAGE_DESCRIPTION = 270


class TiffError(FsError):
    """Not a TIFF file, or one that is cut short or corrupt."""


@dataclass(frozen=True)
class Layout:
    """How the numbers of one TIFF file are written."""

    order: str  # of bytes, for struct: "<" or ">"
    big: bool  # BigTIFF
    first: int  # offset of the first directory


class Entry:
    """One field of a directory.  There are many of them: it is read once, and then asked often."""

    __slots__ = ("count", "field", "layout", "offset", "size", "type")

    def __init__(self, type_: int, count: int, field: bytes, layout: Layout) -> None:
        """`field`: the values, if there is room for them, otherwise their offset."""
        self.type = type_
        self.count = count  # of values
        self.field = field
        self.layout = layout
        # Bytes that its values take; 0 for a type that is not known.
        self.size = SIZES.get(type_, 0) * count
        # Where its values lie; None if they are in the field itself.
        self.offset: int | None = None
        if self.size > len(field):
            self.offset = int.from_bytes(field, "little" if layout.order == "<" else "big")


@dataclass(frozen=True)
class Directory:
    """One directory (IFD)."""

    entries: Mapping[int, Entry]  # by tag
    next: int  # offset of the next directory; 0 after the last


def read_layout(file: BinaryIO) -> Layout | None:
    """The layout of a TIFF file; None for another kind of file, or one shorter than a header."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return None
    version = struct.unpack(order + "H", head[2:4])[0]
    if version == 42:
        return Layout(order, False, struct.unpack(order + "I", head[4:8])[0])
    if version == 43 and len(head) == 16 and head[4:8] == struct.pack(order + "HH", 8, 0):
        return Layout(order, True, struct.unpack(order + "Q", head[8:])[0])
    return None


def read_directory(file: BinaryIO, layout: Layout, offset: int) -> Directory:
    """The directory at `offset`.

    Raises TiffError if it is not wholly within the file, or cannot be a directory.
    It reads at most 80 KiB.
    """
    count_size, entry_size, field_size = (8, 20, 8) if layout.big else (2, 12, 4)
    if not 8 <= offset < 1 << 63:
        raise TiffError(f"no directory can lie at byte {offset}")
    file.seek(offset)
    count = _number(layout, file.read(count_size), count_size, offset)
    if not 0 < count <= MOST_ENTRIES:
        raise TiffError(f"the directory at byte {offset} would have {count} entries")
    data = file.read(count * entry_size)
    following = _number(layout, file.read(field_size), field_size, offset)
    if len(data) != count * entry_size:  # although what follows is there: it grew just now
        raise TiffError(f"the directory at byte {offset} is cut short")
    found = struct.iter_unpack(layout.order + ("HHQ8s" if layout.big else "HHI4s"), data)
    entries = {tag: Entry(kind, many, field, layout) for tag, kind, many, field in found}
    return Directory(entries, following)


def _number(layout: Layout, data: bytes, size: int, offset: int) -> int:
    if len(data) != size:
        raise TiffError(f"the directory at byte {offset} is cut short")
    return int(struct.unpack(layout.order + {2: "H", 4: "I", 8: "Q"}[size], data)[0])


def read_value(file: BinaryIO, entry: Entry, limit: int) -> bytes:
    """The values of `entry` as the file has them, at most the first `limit` bytes.

    Raises TiffError if the file ends before.
    """
    size = min(entry.size, limit)
    if entry.offset is None:
        return entry.field[:size]
    if entry.offset >= 1 << 63:
        raise TiffError(f"no value can lie at byte {entry.offset}")
    file.seek(entry.offset)
    data = file.read(size)
    if len(data) != size:
        raise TiffError(f"the value at byte {entry.offset} is cut short")
    return data
