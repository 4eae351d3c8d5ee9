"""A whole file of each format whose end can be known, as small as it can be."""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
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
    directory_at, metadata_at = at, at + len(directory)
    attachment_at = metadata_at + len(metadata)
    attachment = _segment(b"ZISRAWATTACH", b"\2" * 700)
    entry = struct.pack("<2s10xqi", b"A1", attachment_at, 0).ljust(128, b"\0")
    attachments = _segment(b"ZISRAWATTDIR", struct.pack("<i", 1).ljust(256, b"\0") + entry)
    attachments_at = attachment_at + len(attachment)
    numbers = (
        (part, directory_at, metadata_at, 0, attachments_at) if not part else (part, 0, 0, 0, 0)
    )
    header = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, b"p" * 16, b"f" * 16, *numbers)
    start = _segment(b"ZISRAWFILE", header.ljust(512, b"\0")) + subblock
    return start if part else start + directory + metadata + attachment + attachments


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


def _saved(format: str, *more: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(_RANDOM).save(file, format, **options, append_images=more)
    return file.getvalue()


def png(*, interlaced: bool = False) -> bytes:
    """Pixels in seven passes, as Adam7 has them: of the size of all of them."""
    passes = [_RANDOM] if not interlaced else [
        _RANDOM[a::b, c::d]
        for a, b, c, d in (
            (0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2),
            (1, 2, 0, 1),
        )
    ]  # fmt: skip
    lines = b"".join(b"\0" + line.tobytes() for one in passes for line in one)
    head = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, int(interlaced))
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind))


def mng() -> bytes:
    """Two pictures of PNG, without their signatures, in a frame of their own."""
    frames = png()[8:] + png()[8:]
    return b"\x8aMNG\r\n\x1a\n" + _chunk(b"MHDR", b"\0" * 28) + frames + _chunk(b"MEND", b"")


def os2_bmp() -> bytes:
    """The header of OS/2 has 12 bytes."""
    pixels = _RANDOM.tobytes()
    head = struct.pack("<2sIII", b"BM", 26 + len(pixels), 0, 26)
    return head + struct.pack("<IHHHH", 12, 64, 64, 1, 8) + pixels


def nifti(*, version: int = 1, order: str = "<") -> bytes:
    """A volume in one file."""
    pixels = _RANDOM.tobytes()
    if version == 1:
        head = bytearray(352)
        struct.pack_into(order + "i", head, 0, 348)
        struct.pack_into(order + "8h", head, 40, 3, 64, 64, 1, 1, 1, 1, 1)
        struct.pack_into(order + "hh", head, 70, 2, 8)
        struct.pack_into(order + "f", head, 108, 352)
        head[344:348] = b"n+1\0"
    else:
        head = bytearray(544)
        struct.pack_into(order + "i8shh", head, 0, 540, b"n+2\0\r\n\x1a\n", 2, 8)
        struct.pack_into(order + "8q", head, 16, 3, 64, 64, 1, 1, 1, 1, 1)
        struct.pack_into(order + "q", head, 168, 544)
    return bytes(head) + pixels


def mrc(order: str = ">") -> bytes:
    """A volume of numbers of 16 bits, with an extended header."""
    head = bytearray(1024)
    struct.pack_into(order + "4i", head, 0, 64, 32, 1, 1)
    struct.pack_into(order + "i", head, 92, 256)
    head[208:212] = b"MAP "
    return bytes(head) + b"e" * 256 + _RANDOM.tobytes()


def nrrd(encoding: str = "gzip", comment: str = "") -> bytes:
    """A picture whose pixels are compressed, in one file."""
    head = f"NRRD0004\n{comment}type: uchar\ndimension: 2\nsizes: 64 64\nencoding: {encoding}\n\n"
    pixels = _RANDOM.tobytes()
    return head.encode() + (gzip.compress(pixels) if encoding == "gzip" else pixels)


def ics(compression: str = "gzip") -> bytes:
    """ICS 2: the pixels follow the line `end`."""
    lines = [
        "\t\n", "ics_version\t2.0\n", "filename\tx\n", "layout\tparameters\t3\n",
        "layout\torder\tbits\tx\ty\n", "layout\tsizes\t8\t64\t64\n",
        f"representation\tcompression\t{compression}\n", "end\n",
    ]  # fmt: skip
    return "".join(lines).encode() + gzip.compress(_RANDOM.tobytes())


def fits(extensions: int = 1) -> bytes:
    """A first header without pixels, and pixels in each extension."""

    def header(*lines: str) -> bytes:
        text = "".join(line.ljust(80) for line in (*lines, "END"))
        return text.ljust(-(-len(text) // 2880) * 2880).encode()

    axes = "BITPIX  =                    8", "NAXIS   =                    2"
    sizes = "NAXIS1  =                   64", "NAXIS2  =                   45"
    found = header("SIMPLE  =                    T", axes[0], "NAXIS   =                    0")
    for _ in range(extensions):
        found += header("XTENSION= 'IMAGE   '", *axes, *sizes) + _RANDOM.tobytes()[:2880]
    return found


def pnm(kind: str) -> bytes:
    """Of the family of PGM."""
    pixels = _RANDOM.tobytes()
    if kind == "P7":
        head = "P7\nWIDTH 32\nHEIGHT 32\nDEPTH 2\nMAXVAL 65535\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n"
    else:
        across, most = {"P4": (512, ""), "P5": (64, "255\n"), "P6": (64, "255\n")}[kind]
        head = f"{kind}\n# a comment\n{across} 64\n{most}"
    return head.encode() + pixels * (3 if kind == "P6" else 1)


def minc(records: int = 0, version: int = 1) -> bytes:
    """NetCDF with one variable, of records or not, and its name and unit."""

    def name(text: bytes) -> bytes:
        return struct.pack(">I", len(text)) + text + b"\0" * (-len(text) % 4)

    first = 0 if records else 3
    dimensions = struct.pack(">II", 10, 2) + name(b"zspace") + struct.pack(">I", first)
    dimensions += name(b"xspace") + struct.pack(">I", 1001)
    said = struct.pack(">II", 12, 1) + name(b"ident") + struct.pack(">II", 2, 3) + b"abc\0"
    code = ">I" if version == 1 else ">Q"
    start = f"CDF{chr(version)}".encode() + struct.pack(">I", records) + dimensions + said
    start += struct.pack(">II", 11, 1) + name(b"image") + struct.pack(">III", 2, 0, 1)
    start += struct.pack(">IIII", 0, 0, 1, 3004)
    begin = len(start) + struct.calcsize(code)
    return start + struct.pack(code, begin) + b"\1" * 1001 * (records or 3)


def quicktime() -> bytes:
    """Pixels, and then what says where they are."""
    atoms = (
        (b"ftyp", b"qt  \0\0\0\0qt  "),
        (b"wide", b""),
        (b"mdat", b"\1" * 3000),
        (b"moov", b"\2" * 900),
    )
    return b"".join(struct.pack(">I", 8 + len(data)) + kind + data for kind, data in atoms)


def dicom_deflated() -> bytes:
    """As pydicom writes what is compressed as a whole."""
    said = pydicom.dcmread(io.BytesIO(_sample(samples.dicom, "ct.dcm")()))
    said.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    said.PixelData = (said.PixelData * 4)[: len(said.PixelData)]
    file = io.BytesIO()
    said.save_as(file, enforce_file_format=True)
    return file.getvalue()


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
    "interlaced.png": lambda: png(interlaced=True),
    "two.mng": mng,
    "progressive.jpg": lambda: _saved("JPEG", progressive=True),
    "restarts.jpg": lambda: _saved("JPEG", restart_marker_rows=1),
    "two.mpo": lambda: _saved("MPO", Image.fromarray(_RANDOM[::-1]), save_all=True),
    "padded.jpg": lambda: picture("JPEG") + b"\0" * 99 + picture("JPEG"),
    "film.gif": lambda: _saved("GIF", Image.fromarray(_RANDOM[::-1]), save_all=True),
    "flat.gif": lambda: _saved("GIF", interlace=0),
    "two.gif": lambda: picture("GIF") + picture("GIF"),
    "os2.bmp": os2_bmp,
    "a.j2k": lambda: _saved("JPEG2000", no_jp2=True),
    "tiles.jp2": lambda: _saved("JPEG2000", tile_size=(16, 16)),
    "a.pgm": lambda: pnm("P5"),
    "a.ppm": lambda: pnm("P6"),
    "a.pbm": lambda: pnm("P4"),
    "a.pam": lambda: pnm("P7"),
    "big-endian.mrc": mrc,
    "big-endian.nii": lambda: nifti(order=">"),
    "2.nii": lambda: nifti(version=2),
    "big-endian-2.nii": lambda: nifti(version=2, order=">"),
    "a.nii.gz": lambda: gzip.compress(nifti()),
    "gzip.nrrd": nrrd,
    "long.nrrd": lambda: nrrd("raw", f"a:={'b' * 4000}\n" * 17),
    "gzip.ics": ics,
    "extension.fits": fits,
    "deflated.dcm": dicom_deflated,
    "2.ims": lambda: hdf5(2),
    "a.mnc": minc,
    "records.mnc": lambda: minc(4, 2),
    "a.mov": quicktime,
}


@cache
def whole(name: str) -> bytes:
    """The content of the file called `name`."""
    return MAKERS[name]()
