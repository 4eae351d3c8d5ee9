"""Indexes that are not text, and headers whose pixels lie in another file."""

from __future__ import annotations

import re
from collections.abc import Callable

from omero_fs_plugin.dropbox.grouping.formats import containers, volumes
from omero_fs_plugin.dropbox.grouping.formats.reading import Cut, Enough, Pieces

from .said import Index, Said, plain, promising

_VSI_BYTES = 32 << 20  # bytes of a .vsi in which its tags are looked for
# A tag of cellSens: type, tag, the next one, bytes; HAS_EXTERNAL_FILE is 20005.
_EXTERNAL = b"\x25\x4e\0\0"
_INLINE = 0x40000000
_NAME_16 = re.compile(rb"(?:[\x20-\x7e\xa0-\xff]\0){1,255}?\.\0(?:[tT]\0[iI]\0[fF]\0)(?:[fF]\0)?")
_CZI_PART = re.compile(r"(?s)(.*)\((\d{1,4})\)")
_JET_PAGE = 2048  # bytes of the smaller one
_OIR_GAP = 16  # numbers without a file, after which no further one is looked for


def vsi(index: Index) -> Said:
    """cellSens writes the tiles to ``_<name>_/stack*/frame_t*.ets``.

    The ``.vsi`` itself has an overview, and a tag that says whether there are further files.
    If it has no such tag, they are awaited too: an overview alone would be taken for the image.
    """
    folder = f"_{index.stem}_"
    stacks = [name for name in index.names_in(folder) if name.lower().startswith("stack")]
    tiles = [
        f"{folder}/{stack}/{name}"
        for stack in stacks
        for name in index.names_in(f"{folder}/{stack}")
        if name.lower().endswith(".ets")
    ]
    empty = [stack for stack in stacks if not any(f"/{stack}/" in tile for tile in tiles)]
    if tiles and not empty:
        return promising(tiles)
    if not stacks and _has_external_file(index.head(_VSI_BYTES)) is False:
        return Said()
    lacks = f"{folder}/{empty[0]}/" if empty else f"{folder}/"
    return promising(tiles, f"its tiles, the .ets files of {lacks}, are not there yet")


def _has_external_file(data: bytes) -> bool | None:
    """What the tag says; None if there is no such tag."""
    at = data.find(_EXTERNAL)
    while at >= 4:
        kind = int.from_bytes(data[at - 4 : at], "little")
        length = int.from_bytes(data[at + 8 : at + 12], "little")
        if kind & _INLINE and length in (0, 1):
            return bool(length)
        if not kind & _INLINE and length in (1, 4) and len(data) >= at + 12 + length:
            return any(data[at + 12 : at + 12 + length])
        at = data.find(_EXTERNAL, at + 1)
    return None


def mirax(index: Index) -> Said:
    """``.mrxs``: the slide is in the directory of the same name, described by Slidedat.ini."""
    return promising([f"{index.stem}/Slidedat.ini"])


def leica(index: Index) -> Said:
    """``.lei``: it has the names of its TIFF files in UTF-16; nothing else in it ends with .tif."""
    names = (found.decode("utf-16-le") for found in _NAME_16.findall(index.data()))
    told = dict.fromkeys(plain(name).rpartition("/")[2] for name in names)
    return promising(told, "" if told else "it names no image yet")


def mdb(index: Index) -> Said:
    """The database beside LSM files (Microsoft Access): pages of 2048 or 4096 bytes."""
    if not index.head(_JET_PAGE).strip(b"\0"):
        return Said(unfinished="it is empty")
    return Said(unfinished="its last page is not whole" if index.size % _JET_PAGE else "")


def czi(index: Index) -> Said:
    """A large CZI has its pixels in ``<name>(1).czi`` and so on; the first part has the list."""
    pieces = Pieces(index.file, index.size)
    try:
        part, _, last = containers.czi_directory(pieces)
    except (Cut, Enough):
        return Said()  # it is looked at by itself for this
    if part:
        own = _CZI_PART.fullmatch(index.stem)
        return promising([f"{own[1]}.czi"] if own else ())
    return promising(f"{index.stem}({number}).czi" for number in range(1, min(last, 9999) + 1))


def oir(index: Index) -> Said:
    """A large OIR goes on in ``<name>_00001`` and so on, without a gap in the numbers."""
    last = first = 0
    while first - last <= _OIR_GAP:
        first += 1
        if index.has(f"{index.stem}_{first:05}"):
            last = first
    return promising(f"{index.stem}_{number:05}" for number in range(1, last))


def _detached(suffix: str, pixels: Callable[[Pieces], int]) -> Callable[[Index], Said]:
    """A header whose pixels are in the file of the same name with another suffix."""

    def says(index: Index) -> Said:
        capitals = index.name.rpartition(".")[2].isupper()
        name = index.stem + (suffix.upper() if capitals else suffix)
        if not index.has(name):
            present = {one.lower(): one for one in index.names_in("")}
            name = present.get(name.lower(), name)
        return Said({name: _length(index, pixels)})

    return says


def _length(index: Index, pixels: Callable[[Pieces], int]) -> int:
    """How long the file of the pixels is; 0 if the header does not say."""
    try:
        return pixels(Pieces(index.file, index.size))
    except (Cut, Enough):
        return 0


def ics(index: Index) -> Said:
    """Version 1 has its pixels in the ``.ids``; version 2 has a line `end`, and they follow."""
    head = index.head(1 << 16)
    if not head.strip() or b"ics_version" not in head[:256] or re.search(rb"(?m)^end\r?$", head):
        return Said()
    if not re.search(rb"(?m)^layout\s+sizes\s", head) or not head.endswith((b"\n", b"\r")):
        return Said(unfinished="its header has no end yet")
    return _detached(".ids", volumes.ics_pixels)(index)


def nifti(index: Index) -> Said:
    """``.hdr``: the pixels are in the ``.img``, if it is a header of NIfTI-1 or of Analyze 7.5.

    Both begin with their own length, and have the sizes of the axes at the same place.
    """
    head = index.head(348)
    if head[:4] not in (b"\x5c\1\0\0", b"\0\0\1\x5c"):
        return Said()
    if len(head) < 348:
        return Said(unfinished=f"its header has 348 bytes, and {len(head)} are there")
    return _detached(".img", volumes.nifti_pixels)(index)


def nrrd(index: Index) -> Said:
    """``data file:`` names one file, or LIST and one file on each line after it."""
    head = index.head(1 << 16)
    lines = head.decode("latin-1").splitlines()
    for number, line in enumerate(lines):
        found = re.match(r"data ?file:\s*(.*)", line, re.IGNORECASE)
        if not line.strip():
            return Said()
        if not found:
            continue
        name = found[1].strip()
        if name.upper().startswith("LIST"):
            names = [line.strip() for line in lines[number + 1 :] if line.strip()]
            each = _length(index, volumes.nrrd_pixels) // max(1, len(names))
            return Said(dict.fromkeys(map(_utf8, names), each))
        if "%" in name or not name:
            return Said()
        return Said({_utf8(name): _length(index, volumes.nrrd_pixels)})
    return Said()


def _utf8(name: str) -> str:
    """A name that was read as Latin-1, as the file system has it."""
    return name.encode("latin-1").decode("utf-8", "surrogateescape")
