"""Where containers end: formats that have a directory of what is in them.

CZI (ZEISS, ZISRAW), ND2 (the map of chunks at its end), LIF (blocks of memory after the XML),
OLE (Microsoft MS-CFB: OIB, ZVI and others), HDF5 (its superblock: Imaris and others), Olympus
ETS, RIFF (AVI) and QuickTime.
"""

from __future__ import annotations

import re

from .reading import Cut, Enough, Pieces

_CZI_HEADER = 32  # bytes before the content of each segment
_CZI_ENTRY = 32  # bytes of an entry before its dimensions
_CZI_DIMENSION = 20
_CZI_ATTACHMENTS = 1000
_CZI_MOST = 1 << 21  # sub-blocks; the largest slides have a tenth of it
_ND2_CHUNK = 0x0ABECEDA
_ND2_MAP = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_ND2_TAIL = 1 << 16  # bytes at the end in which it is looked for
_LIF_MOST = 60 << 20  # bytes of XML
_LIF_BLOCK = re.compile(r'<Memory\b[^<>]{0,400}?\bSize="(\d{1,18})"')
_FREE = 0xFFFFFFFF  # a sector of OLE that is not used
_LAST = 0xFFFFFFFE  # a sector of OLE that none follows
_OLE_SECTORS = 1 << 20  # of the table of sectors
_HDF5_PLACES = (0, 512, 1024, 2048, 4096)  # where its superblock may lie
_ATOMS = frozenset(
    (
        b"ftyp",
        b"moov",
        b"mdat",
        b"moof",
        b"mfra",
        b"free",
        b"skip",
        b"wide",
        b"pnot",
        b"uuid",
        b"sidx",
    )
)
HDF5 = b"\x89HDF\r\n\x1a\n"


def czi(pieces: Pieces) -> None:
    """Its directory names each sub-block; the last of them must lie within the file."""
    if pieces.number("<I", _CZI_HEADER + 68):
        raise Cut("ZEN is writing it: its header says that an update is pending")
    part, positions, _ = czi_directory(pieces)
    mine = [position for position, of in positions if of == part]
    if mine:
        _czi_segment(pieces, max(mine), b"ZISRAWSUBBLOCK")
    metadata, _, attachments = pieces.unpack("<qiq", _CZI_HEADER + 60)
    if metadata:
        _czi_segment(pieces, metadata, b"ZISRAWMETADATA")
    if attachments:
        _czi_attachments(pieces, attachments)


def _czi_attachments(pieces: Pieces, at: int) -> None:
    """Labels and overviews; ZEN writes them and their directory last."""
    _czi_segment(pieces, at, b"ZISRAWATTDIR")
    count = pieces.number("<i", at + _CZI_HEADER)
    for number in range(min(count, _CZI_ATTACHMENTS)):
        entry = at + _CZI_HEADER + 256 + 128 * number
        kind, position, part = pieces.unpack("<2s10xqi", entry)
        if kind == b"A1" and not part:
            _czi_segment(pieces, position, b"ZISRAWATTACH")


def czi_directory(pieces: Pieces) -> tuple[int, list[tuple[int, int]], int]:
    """The number of this part, (position, part) of each sub-block, and the last part.

    Raises Cut.
    """
    part, directory = pieces.unpack("<iq", _CZI_HEADER + 48)
    if not directory:
        if part:  # a further part may have none of its own
            return part, [], part
        raise Cut("its directory is not written yet")
    used = _czi_segment(pieces, directory, b"ZISRAWDIRECTORY")
    start = directory + _CZI_HEADER
    count = pieces.number("<i", start)
    if not 0 <= count <= _CZI_MOST:
        raise Cut(f"its directory would have {count} entries")
    end, at, found = start + used, start + 128, []
    data, base = b"", at
    for _ in range(count):
        if at + _CZI_ENTRY - base > len(data):
            data, base = pieces.at(at, min(1 << 20, max(_CZI_ENTRY, end - at))), at
        entry = data[at - base : at - base + _CZI_ENTRY]
        position = int.from_bytes(entry[6:14], "little", signed=True)
        of = int.from_bytes(entry[14:18], "little", signed=True)
        dimensions = int.from_bytes(entry[28:32], "little", signed=True)
        if entry[:2] != b"DV" or not 0 <= dimensions < 64:
            raise Cut("its directory is not whole")
        found.append((position, of))
        at += _CZI_ENTRY + dimensions * _CZI_DIMENSION
    return part, found, max([part, *(of for _, of in found)])


def _czi_segment(pieces: Pieces, at: int, name: bytes) -> int:
    """The bytes of the content of the segment at `at`, which must have this name."""
    kind, allocated, used = pieces.unpack("<16sqq", at)
    if kind.rstrip(b"\0") != name:
        raise Cut(f"{name.decode()} would begin at byte {at}, and does not")
    pieces.reaches(at + _CZI_HEADER, max(used, 0) or max(allocated, 0), "a segment")
    return int(max(used, allocated))


def nd2(pieces: Pieces) -> None:
    """The last 40 bytes say where the map of chunks begins; something else may follow them."""
    length = min(pieces.size, _ND2_TAIL)
    tail = pieces.at(pieces.size - length, length)
    found = tail.rfind(_ND2_MAP)
    if found < 0 or length - found < 40:
        raise Cut("the map of its chunks, which is written at the end, is not there")
    at = int.from_bytes(tail[found + 32 : found + 40], "little")
    if pieces.number("<I", at) != _ND2_CHUNK:
        raise Cut(f"the map of its chunks would begin at byte {at}, and does not")


def lif(pieces: Pieces) -> None:
    """XML, and a block of memory for each image that has one."""
    order = "<" if pieces.at(0, 1) == b"\x70" else ">"
    _, _, mark, characters = pieces.unpack(order + "IIBI", 0)
    if mark != 0x2A or not characters:
        raise Cut("its XML is not there")
    pieces.reaches(13, 2 * characters, "its XML")
    if 2 * characters > _LIF_MOST:
        raise Enough
    text = pieces.at(13, 2 * characters)
    encoding = "utf-16-le" if order == "<" else "utf-16-be"
    xml = text.decode(encoding, errors="replace")
    promised = sum(int(size) > 0 for size in _LIF_BLOCK.findall(xml))
    wide = re.search(r'<LMSDataContainerHeader\b[^<>]{0,200}?\bVersion="(\d+)"', xml)
    code = "Q" if wide is not None and int(wide[1]) >= 2 else "I"
    at, blocks = 13 + 2 * characters, 0
    while at < pieces.size and pieces.size - at >= 8:
        if pieces.number(order + "I", at) != 0x70:
            break
        length = pieces.number(order + code, at + 9)
        name = at + 9 + (8 if code == "Q" else 4)
        mark, characters = pieces.unpack(order + "BI", name)
        if mark != 0x2A:
            break
        at = name + 5 + 2 * characters
        pieces.reaches(at, length, f"block {blocks + 1} of its pixels")
        blocks += length > 0
        at += length
    if blocks < promised:
        raise Cut(f"its XML promises {promised} blocks of pixels, and {blocks} are there")


def ole(pieces: Pieces) -> None:
    """The table of sectors says which is the last one that is used.

    Some programs leave out what the last sector does not need.
    """
    shift = pieces.number("<H", 30)
    if not 7 <= shift <= 16:
        raise Cut("its header is not that of a compound file")
    sector, per_sector = 1 << shift, (1 << shift) // 4
    tables, more, more_count = pieces.number("<I", 44), *pieces.unpack("<II", 68)
    if tables > _OLE_SECTORS:
        return
    places = [place for place in pieces.unpack("<109I", 76) if place != _FREE]
    for _ in range(min(more_count, _OLE_SECTORS)):
        if more >= 0xFFFFFFFA or len(places) >= tables:
            break
        *further, more = pieces.unpack(f"<{per_sector}I", (more + 1) * sector)
        places += [place for place in further if place != _FREE]
    if len(places) < tables:
        raise Cut(f"it promises {tables} tables of sectors, and names {len(places)}")
    for number in reversed(range(tables)):
        entries = pieces.unpack(f"<{per_sector}I", (places[number] + 1) * sector)
        used = [position for position, entry in enumerate(entries) if entry != _FREE]
        if used:
            last = number * per_sector + used[-1]
            # It ends somewhere in its last sector, if nothing follows that.
            needed = 1 if entries[used[-1]] == _LAST else sector
            pieces.reaches((last + 1) * sector, needed, f"sector {last}")
            return


def hdf5(pieces: Pieces) -> None:
    """The superblock says where the file ends."""
    for base in _HDF5_PLACES:
        if pieces.size >= base + 64 and pieces.at(base, 8) == HDF5:
            break
    else:
        raise Cut("the superblock of HDF5 is not there")
    version = pieces.number("<B", base + 8)
    if version in (0, 1):
        if pieces.number("<B", base + 13) != 8:
            return
        end = pieces.number("<Q", base + (40 if version == 0 else 44))
    elif version in (2, 3):
        if pieces.number("<B", base + 9) != 8:
            return
        if version == 3 and pieces.number("<B", base + 11) & 1:
            raise Cut("a program has it open for writing, or ended before it closed it")
        end = pieces.number("<Q", base + 28)
    else:
        return
    pieces.reaches(0, end, "its HDF5")


def ets(pieces: Pieces) -> None:
    """Olympus's tiles: the table of them says where each one lies."""
    (dimensions,) = pieces.unpack("<I", 12)
    table, count = pieces.unpack("<QI", 32)
    if not 0 < dimensions < 16:
        return
    entry = 4 + 4 * dimensions + 8 + 4 + 4
    pieces.reaches(table, count * entry, "the table of its tiles")
    step = max(1, (1 << 20) // entry)
    for first in range(0, count, step):
        number = min(step, count - first)
        data = pieces.at(table + first * entry, number * entry)
        for at in range(4 + 4 * dimensions, len(data), entry):
            offset = int.from_bytes(data[at : at + 8], "little")
            pieces.reaches(offset, int.from_bytes(data[at + 8 : at + 12], "little"), "a tile")


def riff(pieces: Pieces) -> None:
    """AVI: chunks of the outermost level; large files have several."""
    at = 0
    while pieces.size - at >= 8:
        kind, length = pieces.unpack("<4sI", at)
        if kind not in (b"RIFF", b"JUNK", b"idx1"):
            return
        if kind == b"RIFF" and not length:
            raise Cut("its program has not written its length yet")
        pieces.reaches(at + 8, length, "its RIFF")
        at += 8 + length + length % 2


def quicktime(pieces: Pieces) -> None:
    """Atoms of the outermost level; a length of 0 means up to the end of the file."""
    at = 0
    while pieces.size - at >= 8:
        length, kind = pieces.unpack(">I4s", at)
        head = 8
        if length == 1:
            length, head = pieces.number(">Q", at + 8), 16
        if length < head or kind not in _ATOMS:
            return
        pieces.reaches(at, length, "an atom of QuickTime")
        at += length
