"""OME-XML: the part that says which files belong together.

It is in the description of an OME-TIFF's first directory, or in a file of its own,
`*.companion.ome`.  The OME-TIFF specification says: each TiffData block may have a
UUID element, whose FileName names the file with its planes.  A file with BinaryOnly
has no such blocks, and names the MetadataFile that has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.parsers import expat

from omero_fs_plugin.errors import FsError

from . import tiff

# Bytes.  A plate of a hundred thousand planes, each with its UUID, takes a third of it.
LIMIT = 64 << 20
_CHUNK = 1 << 16
_COMPANION = ".companion.ome"
MOST_NAMES = 200_000  # of files, twice what the largest known plates have
_LONGEST = 4096  # characters of a name or UUID; no path has more bytes
_DEEPEST = 256  # elements in elements
_NAMESPACE = "openmicroscopy.org/schemas/ome"
_Place = tuple[
    int, ...
]  # of a plane: image, and the dimension that changes slowest before the rest


def is_companion(path: str) -> bool:
    """Whether a file of this name has the OME-XML of others, as OMETiffReader takes it."""
    return path.lower().endswith(_COMPANION)


class OmeXmlError(FsError):
    """The OME-XML of a file cannot be read."""


class NotWritten(OmeXmlError):
    """It has zeros where there should be text."""


@dataclass(frozen=True)
class OmeXml:
    """What OME-XML says of files."""

    uuid: str = ""  # of the file that has it; lower case
    # Names of files in TiffData, relative to the directory -> UUID (lower case; may be
    # empty).  Each file is there once, in the order of its first plane.
    files: Mapping[str, str] = field(default_factory=dict)
    unnamed: tuple[str, ...] = ()  # UUIDs of files for which TiffData has no name
    own_planes: bool = False  # a TiffData names no file: its planes are in the file itself
    metadata_file: str = ""  # of BinaryOnly: the file that has the rest
    metadata_uuid: str = ""
    plate: bool = False  # it describes the plate of a screen
    images: int = 0


def of_tiff(file: BinaryIO) -> OmeXml | None:
    """The OME-XML of a TIFF file; None if its first directory has none.

    Raises tiff.TiffError if the file is not TIFF, or if its first directory or its
    description is cut short.  Raises OmeXmlError for XML that cannot be read.
    """
    layout = tiff.read_layout(file)
    if layout is None:
        raise tiff.TiffError("not a TIFF file")
    first = tiff.read_directory(file, layout, layout.first)
    description = first.entries.get(tiff.IMAGE_DESCRIPTION)
    if description is None or not is_omexml(tiff.read_value(file, description, 4096)):
        return None
    if description.size > LIMIT:
        raise OmeXmlError(f"its OME-XML has {description.size} bytes; at most {LIMIT} are read")
    whole = tiff.read_value(file, description, LIMIT)
    parser = _Parser()
    try:
        parser.feed(whole.rstrip(b"\0\r\n\t "))
        return parser.finish()
    except OmeXmlError as error:
        if b"\0" in whole[:-1]:  # the last byte of a text in TIFF is 0, and no other
            raise NotWritten("its OME-XML has bytes that are not written yet") from error
        raise


def of_companion(file: BinaryIO) -> OmeXml:
    """The OME-XML that is the whole of a file.  Raises OmeXmlError."""
    parser = _Parser()
    file.seek(0)
    size = 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        if size > LIMIT:
            raise OmeXmlError(f"its OME-XML has more than {LIMIT} bytes, which are not read")
        parser.feed(chunk)
    return parser.finish()


def is_omexml(start: bytes) -> bool:
    """Whether text that starts so is OME-XML."""
    text = start.lstrip(b"\xef\xbb\xbf\r\n\t ")
    return text.startswith(b"<") and b"<OME" in start.replace(b":OME", b"<OME")


class _Parser:
    """Reads OME-XML piece by piece, and keeps only what OmeXml has.

    It refuses document types and entities, so nothing is fetched and nothing
    grows.  It needs memory only for the names that it keeps.
    """

    def __init__(self) -> None:
        self._expat = expat.ParserCreate(namespace_separator=" ")
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.StartDoctypeDeclHandler = self._refuse
        self._expat.EntityDeclHandler = self._refuse
        self._expat.buffer_text = True
        self._depth = 0
        self._uuid = ""
        self._files: dict[str, tuple[_Place, str]] = {}  # name -> its first plane, UUID
        self._unnamed: dict[str, None] = {}
        self._own_planes = False
        self._metadata = ("", "")
        self._plate = False
        self._images = 0
        self._in_tiffdata = False
        self._named = False  # the TiffData at hand has a UUID element
        self._tiffdata_of_image = 0
        self._slowest_first = "TCZ"
        self._place: _Place = ()  # of the first plane of the TiffData at hand
        self._name = ""  # FileName of the UUID element at hand
        self._text: list[str] | None = None  # its text so far
        self._length = 0  # characters of that

    def feed(self, data: bytes, last: bool = False) -> None:
        try:
            self._expat.Parse(data, last)
        # The latter two: Python does not have the encoding, or expat cannot use it.
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise OmeXmlError(f"its OME-XML cannot be read: {error}") from error

    def finish(self) -> OmeXml:
        self.feed(b"", True)
        names = sorted(self._files, key=lambda name: self._files[name][0])
        return OmeXml(
            self._uuid,
            {name: self._files[name][1] for name in names},
            tuple(self._unnamed),
            self._own_planes,
            *self._metadata,
            plate=self._plate,
            images=self._images,
        )

    def _refuse(self, *_: object) -> None:
        raise OmeXmlError("its OME-XML has a document type or entities, which are not taken")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise OmeXmlError(f"its OME-XML is more than {_DEEPEST} elements deep")
        if self._depth == 1:
            if local != "OME" or _NAMESPACE not in space.lower():
                raise OmeXmlError(f"its XML is not OME-XML: the root is {local} of {space or 'no'}")
            self._uuid = _short(attributes.get("UUID", "")).lower()
        elif local == "BinaryOnly":
            uuid = _short(attributes.get("UUID", "")).lower()
            self._metadata = (_short(attributes.get("MetadataFile", "")), uuid)
        elif local == "Image" and self._depth == 2:
            self._images += 1
        elif local == "Plate":
            self._plate = True
        elif local == "Pixels":
            self._tiffdata_of_image = 0
            order = attributes.get("DimensionOrder", "XYZCT")
            self._slowest_first = (order if len(order) == 5 else "XYZCT")[:1:-1]
        elif local == "TiffData":
            self._in_tiffdata, self._named = True, False
            self._tiffdata_of_image += 1
            firsts = (attributes.get(f"First{letter}", "0") for letter in self._slowest_first)
            # With too many digits Python raises an error, which feed() reports.
            self._place = (self._images, *(int(n) if n.isdecimal() else 0 for n in firsts))
        elif local == "UUID" and self._in_tiffdata:
            self._named = True
            self._name = _short(attributes.get("FileName", ""))
            self._text = []
            self._length = 0
            self._expat.CharacterDataHandler = self._take

    def _take(self, text: str) -> None:
        self._length += len(text)
        if self._length > _LONGEST:
            raise OmeXmlError(f"its OME-XML has a UUID of more than {_LONGEST} characters")
        if self._text is not None:
            self._text.append(text)

    def _end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        self._depth -= 1
        if local == "UUID" and self._text is not None:
            uuid = "".join(self._text).strip().lower()
            self._text = None
            self._expat.CharacterDataHandler = None
            if self._name:
                first = self._files.get(self._name)
                if first is None or self._place < first[0]:
                    self._files[self._name] = (self._place, first[1] if first else uuid)
            else:
                self._unnamed.setdefault(uuid)
            if len(self._files) + len(self._unnamed) > MOST_NAMES:
                raise OmeXmlError(f"its OME-XML names more than {MOST_NAMES} files")
        elif local == "TiffData":
            self._in_tiffdata = False
            self._own_planes |= not self._named
        elif local == "Pixels":
            self._own_planes |= not self._tiffdata_of_image


def _short(name: str) -> str:
    if len(name) > _LONGEST:
        raise OmeXmlError(f"its OME-XML has a name of more than {_LONGEST} characters")
    return name
