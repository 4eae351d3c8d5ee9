"""Which images a file holds: their sizes and pixel type, from its headers alone.

The sandbox has this instead of Bio-Formats.  It reads TIFF and OME-TIFF (tifffile),
OME-Zarr, OME-XML companions, DICOM (pydicom), PNG and JPEG (pillow).  It goes by the content,
never by the name, but for `.fake` files and the metadata of a store.  It never decodes pixels,
and opens only regular files.  Unlike Bio-Formats it also refuses a file that was cut short.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from . import fakes, zarr

# A companion or an OME-XML block larger than this does not count as a header.
MAX_XML = 64 << 20  # bytes

# Each image becomes rows of the database.  A header that claims too many must not fill it.
MAX_CHANNELS, MAX_IMAGES = 4096, 10_000

# numpy's names -> OMERO's PixelsType; a bitmap becomes bytes, as in Bio-Formats.
PIXEL_TYPES = {
    **{name: name for name in ("int8", "int16", "int32", "uint8", "uint16", "uint32")},
    "bool": "uint8",
    "float32": "float",
    "float64": "double",
    "complex64": "complex",
    "complex128": "double-complex",
}
# Type of a TIFF tag -> bytes of one value.
TAG_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
TAG_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}
OME_TYPES = {*PIXEL_TYPES.values(), "bit"}


class UnreadableImage(Exception):
    """No image can be read from this file.  The text names the file and says why."""


@dataclass(frozen=True)
class Place:
    """The place on a plate where an image was taken."""

    plate: str  # its name; may be empty
    row: int
    column: int


@dataclass(frozen=True)
class Series:
    """One image of a file; every size is at least 1."""

    name: str  # as in the file; empty if it has none
    size_x: int  # pixels
    size_y: int  # pixels
    size_z: int
    size_c: int
    size_t: int
    pixel_type: str  # a value of OMERO's PixelsType
    place: Place | None = None  # None: not on a plate

    def __post_init__(self) -> None:
        sizes = (self.size_x, self.size_y, self.size_z, self.size_c, self.size_t)
        if not all(0 < size < 2**31 for size in sizes) or self.size_c > MAX_CHANNELS:
            raise ValueError(f"sizes that no image has: {' x '.join(map(str, sizes))}")


def read_series(path: Path) -> list[Series]:
    """The images of the file at `path`, in the file's order, at least one.

    Raises UnreadableImage if anything is wrong with the file.
    """
    try:
        # A reader of a FIFO or a device could wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("not a regular file")
        if path.name in zarr.TOPS:
            return _store(path.parent)
        with path.open("rb") as file:
            head = file.read(132)
        if path.name.endswith(fakes.SUFFIX):
            return _fake(path.name)
        for reads, read in READERS:
            if reads(head):
                return read(path)
        raise ValueError("unknown file format" if head else "the file is empty")
    except Exception as error:
        # The exceptions that three libraries raise for a broken file have no common base.
        reason = str(error).strip() or type(error).__name__
        raise UnreadableImage(f"{path.name}: {reason}") from error


def _fake(name: str) -> list[Series]:
    said = fakes.says(name)
    if not 0 < said.images <= MAX_IMAGES or said.pixel_type not in OME_TYPES:
        raise ValueError(f"{said.images} images of {said.pixel_type}")
    sizes = said.size_x, said.size_y, said.size_z, said.size_c, said.size_t
    return [Series(said.name, *sizes, said.pixel_type)] * said.images


def _store(top: Path) -> list[Series]:
    found = []
    for directory, name, place in zarr.groups(top):
        sizes, kind = zarr.image(directory)
        x, y, z, c, t = (sizes[axis] for axis in "XYZCT")
        at = None if place is None else Place(*place)
        found.append(Series(name, x, y, z, c, t, _type(kind), at))
        if len(found) > MAX_IMAGES:
            raise ValueError("too many images")
    if not found:
        raise ValueError("an OME-Zarr without an image")
    return found


def _tiff(path: Path) -> list[Series]:
    import tifffile

    with tifffile.TiffFile(path) as tif:
        # All of them as pages: frames would have the values of the first one.
        pages: list[Any] = list(tif.pages)
        if not pages:
            raise ValueError("no readable image file directory")
        _whole(path, pages)
        first = pages[0]
        description = first.description if isinstance(first.description, str) else ""
        if "<OME" in description[:2000]:
            return _ome(description.encode(), path.parent)
        # Thumbnails, masks and pyramid levels do not count as planes of the image.
        planes = sum(
            page.imagewidth == first.imagewidth
            and page.imagelength == first.imagelength
            and not page.subfiletype & 1
            for page in pages
        )
        c = 3 if first.photometric == tifffile.PHOTOMETRIC.PALETTE else first.samplesperpixel
        z, t = 1, max(planes, 1)
        if tif.is_imagej and tif.imagej_metadata:
            told = tif.imagej_metadata
            counts = [int(told.get(key, 1)) for key in ("channels", "slices", "frames")]
            # ImageJ writes stacks over 4 GB with one directory for all their planes.
            c, z, t = counts[0] * first.samplesperpixel, counts[1], counts[2]
        x, y = first.imagewidth, first.imagelength
        return [Series("", x, y, z, c, t, _type(str(first.dtype)))]


def _whole(path: Path, pages: list[Any]) -> None:
    """Raises ValueError if directories, tags or planes lie beyond the end of the file.

    tifffile and Bio-Formats read what they find and pass over the rest.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            directories = _directories(file, size)
        except struct.error as error:
            raise ValueError(f"cut short: a directory ends beyond byte {size}") from error
    if directories != len(pages):
        raise ValueError(f"{directories} directories, of which {len(pages)} can be read")
    for number, page in enumerate(pages):
        spans = zip(page.dataoffsets, page.databytecounts, strict=True)
        end = max((start + count for start, count in spans), default=0)
        if end > size:
            raise ValueError(f"cut short: plane {number} ends at byte {end} of {size}")


def _directories(file: BinaryIO, size: int) -> int:
    """The number of image file directories in the chain.  The tags of each must be in the file."""
    head = file.read(16)
    order, big = "<" if head[:2] == b"II" else ">", head[2:4] in (b"+\0", b"\0+")
    counter, entry, offset = (
        struct.Struct(order + form)
        for form in (("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I"))
    )
    seen: set[int] = set()
    (position,) = offset.unpack_from(head, 8 if big else 4)
    while position:
        if position in seen:
            raise ValueError("its directories lead round in a circle")
        seen.add(position)
        file.seek(position)
        (tags,) = counter.unpack(file.read(counter.size))
        for _, kind, count, value in entry.iter_unpack(file.read(min(tags * entry.size, size))):
            length = TAG_SIZES.get(kind, 0) * count
            if length > len(value) and offset.unpack(value)[0] + length > size:
                raise ValueError(f"cut short: a tag ends beyond byte {size}")
        (position,) = offset.unpack(file.read(offset.size))
    return len(seen)


def _ome(text: bytes, directory: Path, *, companion: bool = False) -> list[Series]:
    """The images that an OME-XML block describes.  Follows BinaryOnly to its companion, once."""
    from lxml import etree

    if len(text) > MAX_XML:
        raise ValueError(f"OME-XML of more than {MAX_XML} bytes")
    safe = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    root = etree.fromstring(text, safe)
    found = root.find("{*}BinaryOnly")
    if found is not None and not companion:
        name = found.get("MetadataFile", "")
        if not name or "/" in name or not (directory / name).is_file():
            raise ValueError(f"its companion {name!r} is not in the fileset beside it")
        return _companion(directory / name)
    images: list[Series] = []
    places = dict(_places(root))
    for image in root.iterfind("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is None or pixels.get("Type") not in OME_TYPES:
            raise ValueError(f"OME-XML without usable Pixels for image {len(images)}")
        x, y, z, c, t = (int(pixels.get(f"Size{axis}", "0")) for axis in "XYZCT")
        kind, place = pixels.get("Type", ""), places.get(image.get("ID"))
        images.append(Series(image.get("Name", ""), x, y, z, c, t, kind, place))
    if not 0 < len(images) <= MAX_IMAGES:
        raise ValueError("OME-XML without an image" if not images else "too many images")
    return images


def _places(root: Any) -> Iterator[tuple[str, Place]]:
    """The id of each image that lies in a well -> its place."""
    for plate in root.iterfind("{*}Plate"):
        for well in plate.iterfind("{*}Well"):
            place = Place(plate.get("Name", ""), int(well.get("Row")), int(well.get("Column")))
            for reference in well.iterfind("{*}WellSample/{*}ImageRef"):
                yield reference.get("ID", ""), place


def _companion(path: Path) -> list[Series]:
    with path.open("rb") as file:
        return _ome(file.read(MAX_XML + 1), path.parent, companion=True)


def _dicom(path: Path) -> list[Series]:
    import pydicom
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    # We do not read these fields, so odd values in them do not matter here.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise ValueError("deflated DICOM has no headers that can be read alone")
    # Larger values, the pixels above all, stay in the file.
    data = pydicom.dcmread(path, defer_size=64 << 10)
    floats = {0x7FE00008: "float32", 0x7FE00009: "float64"}
    # To ask for an element by name would read it; to list the raw values does not.
    raw = next((e for e in data.values() if e.tag == 0x7FE00010 or e.tag in floats), None)
    if raw is None:
        raise ValueError("DICOM without pixel data")
    if raw.length != 0xFFFFFFFF and raw.value_tell + raw.length > path.stat().st_size:
        raise ValueError("cut short: its pixel data ends beyond the end of the file")
    sign = "int" if data.get("PixelRepresentation", 0) else "uint"
    kind = floats.get(raw.tag) or f"{sign}{max(int(data.BitsAllocated), 8)}"
    frames = int(data.get("NumberOfFrames", None) or 1)
    palette = data.get("PhotometricInterpretation", "") == "PALETTE COLOR"
    c = 3 if palette else int(data.get("SamplesPerPixel", 1))
    return [Series("", int(data.Columns), int(data.Rows), frames, c, 1, _type(kind))]


def _picture(path: Path) -> list[Series]:
    from PIL import Image

    # pillow limits what it decodes, but here nothing is decoded.
    Image.MAX_IMAGE_PIXELS = None
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 4096), 2)
        tail = file.read()
    with Image.open(path, formats=("PNG", "JPEG")) as picture:
        if (b"IEND" if picture.format == "PNG" else b"\xff\xd9") not in tail:
            raise ValueError("cut short: its end marker is missing")
        mode = picture.mode
        deep = mode.startswith("I") or ";16" in str(picture.tile)
        c = 3 if mode == "P" else len(picture.getbands())
        frames = int(getattr(picture, "n_frames", 1))
        x, y = picture.size
        return [Series("", x, y, 1, c, frames, "uint16" if deep else "uint8")]


def _type(name: str) -> str:
    if name not in PIXEL_TYPES:
        raise ValueError(f"OMERO has no pixel type for {name}")
    return PIXEL_TYPES[name]


READERS: tuple[tuple[Callable[[bytes], bool], Callable[[Path], list[Series]]], ...] = (
    # A DICOM file may begin like a TIFF: its first 128 bytes are free.
    (lambda head: head[128:132] == b"DICM", _dicom),
    (lambda head: head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    (lambda head: head[:8] == b"\x89PNG\r\n\x1a\n" or head[:3] == b"\xff\xd8\xff", _picture),
    (lambda head: head.lstrip(b"\xef\xbb\xbf \r\n")[:5] in (b"<?xml", b"<OME "), _companion),
)
