"""omero.fs.readers: a file that says which readers of Bio-Formats are used, in which order.

Each line has one class, simple (TiffReader) or canonical
(loci.formats.in.TiffReader), as in Bio-Formats' own readers.txt.  A comment
begins with `#`.  Options in brackets after a class are for Bio-Formats.
Bio-Formats ignores a class that it does not know, and uses no reader at all for
an empty file.  Here both are errors.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection
from pathlib import Path

from omero_fs_plugin.errors import ConfigurationError

PACKAGE = "loci.formats.in."
# What reads a store for OMERO.server that was registered, and not imported: no reader of
# Bio-Formats, but the server's own source of pixels.  It stands where a reader would.
PIXEL_BUFFER = "com.glencoesoftware.omero.zarr.ZarrPixelsService"
_LIMIT = 1 << 20  # bytes; Bio-Formats' own list takes 11,000
_LINE = re.compile(r"([\w.$]+)\s*(?:\[[^\]]*\])?")

# The classes that Bio-Formats 7.3.1 and 8.0.0 name in their readers.txt, in that order.  What
# another release has besides is found out from its jars.
_LISTED = """
FilePatternReader URLReader ZipReader APNGReader JPEGReader SlideBook6Reader SlideBook7Reader
ScreenReader ZarrReader PGMReader FitsReader PCXReader GIFReader BMPReader IPLabReader
IvisionReader RCPNLReader DeltavisionReader MRCReader GatanReader GatanDM2Reader ImarisReader
OpenlabRawReader OMEXMLReader LIFReader AVIReader PictReader SDTReader SPCReader EPSReader
SlidebookReader AliconaReader MNGReader KhorosReader VisitechReader LIMReader PSDReader
InCellReader L2DReader FEIReader NAFReader MINCReader QTReader MRWReader TillVisionReader
ARFReader CellomicsReader LiFlimReader TargaReader OxfordInstrumentsReader VGSAMReader
HISReader WATOPReader SeikoReader TopometrixReader UBMReader QuesantReader BioRadGelReader
RHKReader MolecularImagingReader CellWorxReader MetaxpressTiffReader Ecat7Reader
VarianFDFReader AIMReader InCell3000Reader SpiderReader VolocityReader ImagicReader
HamamatsuVMSReader CellSensReader INRReader KodakReader VolocityClippingReader ZeissCZIReader
SIFReader NDPISReader PovrayReader IMODReader FakeReader AFIReader ImspectorReader
BioRadSCNReader ZeissLMSReader PQBinReader FlowSightReader IM3Reader I2IReader SPEReader
OIRReader KLBReader MicroCTReader LOFReader XLEFReader OlympusTileReader JEOLReader
NiftiReader AnalyzeReader APLReader NRRDReader ICSReader PerkinElmerReader AmiraReader
ScanrReader BDReader UnisokuReader PDSReader FujiReader OperettaReader InveonReader
CellVoyagerReader ColumbusReader CV7000Reader BioRadReader FV1000Reader ZeissZVIReader
IPWReader JPEG2000Reader JPXReader ND2Reader PCIReader ImarisHDFReader CellH5Reader
VeecoReader TecanReader ZeissLSMReader SEQReader GelReader ImarisTiffReader FlexReader
SVSReader ImaconReader LEOReader JPKReader NDPIReader PCORAWReader VentanaReader OMETiffReader
PyramidTiffReader MIASReader TCSReader LeicaReader NikonReader FluoviewReader PrairieReader
MetamorphReader MicromanagerReader ImprovisionTiffReader MetamorphTiffReader NikonTiffReader
MikroscanTiffReader PhotoshopTiffReader FEITiffReader SimplePCITiffReader
NikonElementsTiffReader TrestleReader SISReader DNGReader ZeissTIFFReader LeicaSCNReader
VectraReader SlidebookTiffReader IonpathMIBITiffReader DicomReader HitachiReader
TiffDelegateReader TextReader BurleighReader OpenlabReader SMCameraReader SBIGReader
HRDGDFReader BrukerReader CanonRawReader OBFReader BDVReader
"""
# Readers in its jar that this list does not name, because others do their work.  People may
# name them.
_UNLISTED = "MinimalTiffReader TiffJAIReader TiffReader TileJPEGReader"

KNOWN: tuple[str, ...] = (
    *(PACKAGE + name for name in f"{_LISTED} {_UNLISTED}".split()),
    "ch.epfl.biop.formats.in.ZeissQuickStartCZIReader",
)


def read_readers(
    path: str | Path,
    known: Collection[str] = KNOWN,
    more: Callable[[], Collection[str]] = tuple,
) -> tuple[str, ...]:
    """The canonical names of the classes that the file names, each once, in its order.

    `known`: canonical names.  `more` gives further ones, those in jars; it is asked only if the
    file names another.  Raises ConfigurationError for a file that is missing, unreadable or empty,
    and for a line that is no such class.
    """
    file = Path(path)
    by_name = _Names(known, more)
    found: dict[str, None] = {}
    for number, line in enumerate(_text(file).splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            found.setdefault(_class(text, f"{file}, line {number}", by_name))
    if not found:
        raise ConfigurationError(
            f"{file} names no reader, so nothing could be imported: list a class on each line, "
            "or set omero.fs.readers to nothing for all readers"
        )
    return tuple(found)


def takes(readers: Collection[str] | None, reader: str) -> bool:
    """Whether the canonical name `reader` is among `readers`, simple or canonical names.

    None means all readers.  TiffReader counts for TiffDelegateReader, which hands on to it.
    """
    if readers is None:
        return True
    names = {name.rpartition(".")[2] for name in readers}
    name = reader.rpartition(".")[2]
    return name in names or (name == "TiffDelegateReader" and "TiffReader" in names)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(_LIMIT + 1)
    except OSError as error:
        raise ConfigurationError(
            f"omero.fs.readers: {file} cannot be read: {error.strerror}; name a file that the "
            "server can read, or set it to nothing for all readers"
        ) from error
    if len(data) > _LIMIT or b"\0" in data:
        raise ConfigurationError(
            f"omero.fs.readers: {file} is not a list of reader classes: name a text file with "
            "a class on each line"
        )
    return data.decode("utf-8-sig", "replace")


class _Names:
    """Canonical names by themselves and by the simple ones.

    If two classes have the same simple name, it means the first.
    """

    def __init__(self, known: Collection[str], more: Callable[[], Collection[str]]) -> None:
        self._of: dict[str, str] = {}
        self._more: Callable[[], Collection[str]] | None = more
        self._take(known)

    def _take(self, names: Collection[str]) -> None:
        for name in names:
            self._of.setdefault(name, name)
            self._of.setdefault(name.rpartition(".")[2], name)

    def get(self, name: str) -> str:
        """The canonical name; empty if there is none."""
        if name not in self._of and self._more is not None:
            self._take(self._more())
            self._more = None
        return self._of.get(name, "")

    def near(self, name: str) -> str:
        """A name that is nearly this one; empty if there is none."""
        folded = {known.lower(): known for known in self._of}
        return next((folded[one] for one in difflib.get_close_matches(name.lower(), folded, 1)), "")


def _class(text: str, where: str, by_name: _Names) -> str:
    match = _LINE.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{where}: {text!r} is not a reader class: write one on each line, such as TiffReader"
        )
    name = match[1]
    if canonical := by_name.get(name):
        return canonical
    near = by_name.near(name)
    hint = f"did you mean {near}?" if near else "remove the line, or correct it"
    raise ConfigurationError(f"{where}: Bio-Formats has no reader {name}: {hint}")
