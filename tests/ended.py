"""A whole file of each format whose end can be known, as small as it can be."""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from tests import samples

_RANDOM = np.random.default_rng(7).integers(0, 256, (64, 64), dtype=np.uint8)


def picture(format: str) -> bytes:
    """A picture that does not compress well, so that most of the file is pixels."""
    file = io.BytesIO()
    Image.fromarray(_RANDOM).save(file, format)
    return file.getvalue()


def _segment(name: bytes, content: bytes) -> bytes:
    return struct.pack("<16sqq", name, len(content), len(content)) + content


def czi(parts: int = 1, part: int = 0) -> bytes:
    """A CZI of so many parts, with a sub-block in each; only part 0 has a directory."""
    header_bytes = 32 + 512
    subblock = _segment(b"ZISRAWSUBBLOCK", b"\1" * 3000)
    metadata = _segment(b"ZISRAWMETADATA", b"<ImageDocument/>" + b"\0" * 200)
    entries = b"".join(
        struct.pack("<2siqiiBBii", b"DV", 0, header_bytes, number, 0, 0, 0, 0, 1) + b"\0" * 20
        for number in range(parts)
    )
    directory = _segment(b"ZISRAWDIRECTORY", struct.pack("<i", parts).ljust(128, b"\0") + entries)
    at = header_bytes + len(subblock)
    numbers = (part, 0, 0, 0, 0) if part else (part, at, at + len(directory), 0, 0)
    header = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, b"p" * 16, b"f" * 16, *numbers)
    start = _segment(b"ZISRAWFILE", header.ljust(512, b"\0")) + subblock
    return start if part else start + directory + metadata


def nd2() -> bytes:
    """Chunks, then the map of them and where it begins."""
    mark, name = 0x0ABECEDA, b"ImageDataSeq|0!"
    image = struct.pack("<IIQ", mark, len(name), 3000) + name + b"\1" * 3000
    title = b"ND2 FILEMAP SIGNATURE NAME 0001!"
    start = struct.pack("<IIQ", mark, 32, 64) + b"ND2 FILE SIGNATURE CHUNK NAME01!" + b"Ver3.0" * 10
    at = len(start) + len(image)
    ending = b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", at)
    return start + image + struct.pack("<IIQ", mark, 32, 40) + title + ending


def lif(version: int = 2, blocks: int = 3) -> bytes:
    """XML that promises blocks of pixels, and these."""
    memory = "".join(f'<Memory Size="1000" MemoryBlockID="MemBlock_{n}"/>' for n in range(blocks))
    text = f'<LMSDataContainerHeader Version="{version}">{memory}</LMSDataContainerHeader>'
    xml = text.encode("utf-16-le")
    found = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(text)) + xml
    for number in range(blocks):
        name = f"MemBlock_{number}"
        size = struct.pack("<Q" if version >= 2 else "<I", 1000)
        head = b"\x2a" + size + b"\x2a" + struct.pack("<I", len(name)) + name.encode("utf-16-le")
        found += struct.pack("<II", 0x70, len(head)) + head + b"\1" * 1000
    return found


def ole(sectors: int = 20) -> bytes:
    """A compound file with one table of sectors, the first of them."""
    entries = [0xFFFFFFFD, *range(2, sectors), 0xFFFFFFFE]
    table = struct.pack("<128I", *entries, *[0xFFFFFFFF] * (128 - len(entries)))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16
    head += struct.pack(
        "<HHHHH6xIIIIIIIII", 62, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, 0, 0, 0xFFFFFFFE, 0
    )
    head += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    return head + table + b"\1" * 512 * (sectors - 1)


def hdf5(version: int = 0, size: int = 3000) -> bytes:
    """A superblock that says where the file ends, and the rest of it."""
    mark = b"\x89HDF\r\n\x1a\n"
    if version == 0:
        head = mark + bytes([0, 0, 0, 0, 0, 8, 8, 0]) + struct.pack("<HHI", 4, 16, 0)
        head += struct.pack("<QQQQ", 0, (1 << 64) - 1, size, (1 << 64) - 1)
    else:
        head = mark + bytes([version, 8, 8, 0]) + struct.pack("<QQQQI", 0, 0, size, 48, 0)
    return head.ljust(size, b"\1")


def ets(tiles: int = 3) -> bytes:
    """Tiles of cellSens, and the table of them."""
    at = 64 + 200
    table = at + tiles * 1000
    entries = b"".join(
        struct.pack("<I3IQII", 0, n, 0, 0, at + n * 1000, 1000, 0) for n in range(tiles)
    )
    head = struct.pack("<4sIIIQIIQII", b"SIS\0", 64, 3, 3, 64, 200, 0, table, tiles, 0)
    return head.ljust(at, b"\0") + b"\1" * tiles * 1000 + entries


def _sample(make: Callable[[Path], None], name: str) -> Callable[[], bytes]:
    def content() -> bytes:
        with tempfile.TemporaryDirectory() as place:
            make(Path(place))
            return (Path(place) / name).read_bytes()

    return content


# The name of a file -> its content.
MAKERS: Mapping[str, Callable[[], bytes]] = {
    "a.png": lambda: picture("PNG"),
    "a.jpg": lambda: picture("JPEG"),
    "a.gif": lambda: picture("GIF"),
    "a.bmp": lambda: picture("BMP"),
    "a.jp2": lambda: picture("JPEG2000"),
    "a.mrc": _sample(samples.mrc, "a.mrc"),
    "a.dv": _sample(samples.deltavision, "a.dv"),
    "a.nii": _sample(samples.nifti, "a.nii"),
    "a.nrrd": _sample(samples.nrrd_single, "one.nrrd"),
    "a.ics": _sample(samples.ics_single, "one.ics"),
    "a.fits": _sample(samples.fits, "a.fits"),
    "a.avi": _sample(samples.avi, "a.avi"),
    "a.dcm": _sample(samples.dicom, "ct.dcm"),
    "a.czi": czi,
    "a.nd2": nd2,
    "a.lif": lif,
    "b.lif": lambda: lif(1),
    "a.oib": ole,
    "a.ims": hdf5,
    "b.ims": lambda: hdf5(3),
    "a.ets": ets,
}


@cache
def whole(name: str) -> bytes:
    """The content of the file called `name`."""
    return MAKERS[name]()
