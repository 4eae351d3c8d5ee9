"""Indexes in XML.

One class reads them all: it says whether the XML goes on to its end, and refuses document types
and entities.  A class of each format says which elements have names of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote
from xml.parsers import expat

from omero_fs_plugin.errors import ImportRefused

from .said import LONGEST, Index, Said, at_most, plain, promising

_DEEPEST = 64  # elements in elements
_CUT = frozenset(
    {
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    }
)


class XmlIndex:
    """An index in XML that names no files: it is whole if its XML is.

    Elements and attributes have their names without namespaces.
    """

    roots: tuple[str, ...] = ()  # names of the first element; empty: any

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self._told = 0
        self._path: list[str] = []
        self._text: list[str] = []
        self._length = 0  # characters of the text so far
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._take
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse

    @classmethod
    def says(cls, index: Index) -> Said:
        """What the index says."""
        reader = cls()
        data = index.data()
        unfinished = ""
        try:
            reader._parser.Parse(data, True)
        except _OtherError:
            return Said()
        except expat.ExpatError as error:
            cut = expat.errors.messages[error.code] in _CUT
            unfinished = "its XML has no end yet" if cut else f"its XML cannot be read: {error}"
        except (ValueError, LookupError) as error:
            unfinished = str(error) or "its XML cannot be read"
        return promising(reader.names, unfinished)

    def starts(self, element: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""

    def ends(self, element: str, text: str) -> None:
        """An element ends that has this text."""

    def inside(self, element: str) -> bool:
        """Whether the element that begins or ends now lies in one of this name."""
        return self._path[-1:] == [element]

    def name(self, name: str | None) -> None:
        """The index names this file."""
        if name and len(name) <= LONGEST:
            self.names.setdefault(name)
            self._told += 1
            at_most(self._told)

    def _refuse(self, *_: Any) -> None:
        raise ValueError("its XML has a document type or entities, which are not taken")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if len(self._path) == _DEEPEST:
            raise ImportRefused(f"its XML is more than {_DEEPEST} elements deep", final=True)
        local = name.rpartition(" ")[2]
        if not self._path and self.roots and local not in self.roots:
            raise _OtherError
        bare = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        self.starts(local, bare)
        self._path.append(local)
        self._text, self._length = [], 0

    def _take(self, text: str) -> None:
        # A longer text is no name, and is not kept.
        self._length += len(text)
        if self._length <= LONGEST:
            self._text.append(text)

    def _end(self, name: str) -> None:
        local = self._path.pop()
        self.ends(local, "".join(self._text).strip())
        self._text, self._length = [], 0


class _OtherError(Exception):
    """XML of another kind."""


class Harmony(XmlIndex):
    """The index of a plate from Operetta, Opera Phenix and their like.

    An image whose State is not Ok was not taken, and has no file.
    """

    roots = ("EvaluationInputData",)

    def __init__(self) -> None:
        super().__init__()
        self._image: dict[str, str] = {}

    def starts(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "Image":
            self._image = {}

    def ends(self, element: str, text: str) -> None:
        if element in ("URL", "State") and self.inside("Image"):
            self._image[element] = text
        elif element == "Image":
            if self._image.get("State", "Ok") == "Ok":
                self.name(self._image.get("URL"))
            self._image = {}


class InCell(XmlIndex):
    """``.xdce``: the attribute ``filename`` of each Image."""

    roots = ("ImageStack",)

    def starts(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "Image" and attributes.get("filename"):
            self.name(plain(attributes["filename"]))


class Yokogawa(XmlIndex):
    """``.mlf``: each record of the type IMG names its file; those of the type ERR have none."""

    roots = ("MeasurementData",)

    def __init__(self) -> None:
        super().__init__()
        self._taken = False

    def starts(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "MeasurementRecord":
            self._taken = attributes.get("Type") == "IMG"

    def ends(self, element: str, text: str) -> None:
        if element == "MeasurementRecord" and self._taken:
            self.name(plain(text))


class YokogawaPlate(XmlIndex):
    """``.wpi``: the plate, beside the two files that have the measurement."""

    roots = ("WellPlate",)

    def starts(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "WellPlate":
            self.name("MeasurementData.mlf")
            self.name("MeasurementDetail.mrf")


class Aperio(XmlIndex):
    """``.afi``: the Path of each Image."""

    roots = ("ImageList",)

    def ends(self, element: str, text: str) -> None:
        if element == "Path":
            self.name(plain(text))


class Leica(XmlIndex):
    """``.xlef``, ``.xlcf`` and ``.xlif``: each names further ones, or the files of an image."""

    def starts(self, element: str, attributes: Mapping[str, str]) -> None:
        if element in ("Reference", "Frame", "Block") and attributes.get("File"):
            self.name(plain(unquote(attributes["File"])))


class Prairie(XmlIndex):
    """The XML of PrairieView: the attribute ``filename`` of each File."""

    roots = ("PVScan",)

    def starts(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "File" and attributes.get("filename"):
            self.name(plain(attributes["filename"]))


class BigDataViewer(XmlIndex):
    """The XML of BigDataViewer: the file of HDF5 that has the pixels."""

    roots = ("SpimData",)

    def __init__(self) -> None:
        super().__init__()
        self._relative = True

    def starts(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "hdf5":
            self._relative = attributes.get("type", "relative") == "relative"

    def ends(self, element: str, text: str) -> None:
        if element == "hdf5" and self._relative:
            self.name(plain(text))
