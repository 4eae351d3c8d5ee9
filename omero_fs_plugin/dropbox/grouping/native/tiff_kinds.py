"""The kinds of TIFF: which program wrote a file, if that decides which reader takes it.

It looks at private tags and texts of the first directory.  The makers of the
programs, or of their readers, have published these.  It holds files of a kind whose
planes may be in other files too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from omero_fs_plugin.dropbox.grouping.formats import omexml, tiff

_PLAIN = "TiffDelegateReader"
_TEXT = 4096  # bytes of a text that are looked at
_SOFTWARE, _COPYRIGHT, _XMP = 305, 33432, 700


@dataclass(frozen=True)
class TiffKind:
    """As signatures.Kind, but `held` has only the reason."""

    format: str
    reader: str
    rule: str = ""
    held: str = ""


_SIBLINGS = "may have its planes in several files"
# Private tags, in the order in which Bio-Formats asks its readers.
_BY_TAG = (
    (34412, TiffKind("LSM", "ZeissLSMReader")),
    (65200, TiffKind("Flex", "FlexReader", held=_SIBLINGS)),
    (33923, TiffKind("Leica LEI", "LeicaReader", held=_SIBLINGS)),
    (34361, TiffKind("Fluoview", "FluoviewReader")),
    (33630, TiffKind("Prairie", "PrairieReader", held=_SIBLINGS)),
    (51123, TiffKind("Micro-Manager", "MicromanagerReader", held=_SIBLINGS)),
    (65004, TiffKind("SlideBook TIFF", "SlidebookTiffReader", held=_SIBLINGS)),
    (33560, TiffKind("Olympus SIS", "SISReader")),
    (50706, TiffKind("DNG", "DNGReader")),
)
# Texts in the description or the name of the software.
_BY_TEXT = (
    (b"<MetaData>", TiffKind("MetaMorph TIFF", "MetamorphTiffReader", held=_SIBLINGS)),
    (b"Improvision", TiffKind("Improvision TIFF", "ImprovisionTiffReader", held=_SIBLINGS)),
    (b"PerkinElmer-QPI", TiffKind("Vectra QPTIFF", "VectraReader", held=_SIBLINGS)),
    (b"TCSNTV", TiffKind("Leica TCS", "TCSReader", held=_SIBLINGS)),
    (b"Prairie", TiffKind("Prairie", "PrairieReader", held=_SIBLINGS)),
    (b"MATROX Imaging Library", TiffKind("BD Pathway", "BDReader", held=_SIBLINGS)),
    (b"Trestle", TiffKind("Trestle", "TrestleReader", held=_SIBLINGS)),
)
# Suffixes by which Bio-Formats chooses readers of formats based on TIFF.
_BY_SUFFIX = {
    "svs": ("Aperio SVS", "SVSReader", b"Aperio"),
    "scn": ("Leica SCN", "LeicaSCNReader", b"leica-microsystems.com/scn"),
    "bif": ("Ventana BIF", "VentanaReader", b"iScan"),
}
_NDPI_TAGS = range(65420, 65450)


def kind_of(file: BinaryIO, layout: tiff.Layout, suffix: str) -> TiffKind:
    """The kind of a TIFF file whose name has that suffix.

    Raises tiff.TiffError if its first directory, or a text in it, is not whole.
    """
    directory = tiff.read_directory(file, layout, layout.first)
    entries = directory.entries

    def text(tag: int) -> bytes:
        entry = entries.get(tag)
        return tiff.read_value(file, entry, _TEXT) if entry is not None else b""

    description = text(tiff.IMAGE_DESCRIPTION)
    texts = b"\n".join((description, text(_SOFTWARE), text(_COPYRIGHT), text(_XMP)))
    if suffix == "ndpi" and any(tag in entries for tag in _NDPI_TAGS):
        return TiffKind("NDPI", "NDPIReader")
    if suffix in _BY_SUFFIX:
        format, reader, words = _BY_SUFFIX[suffix]
        if words in texts:
            return TiffKind(format, reader)
    if omexml.is_omexml(description):
        return TiffKind("OME-TIFF", "OMETiffReader", "ome")
    if suffix == "stk" and 33628 in entries:
        return TiffKind("MetaMorph STK", "MetamorphReader")
    for tag, kind in _BY_TAG:
        if tag in entries:
            return kind
    for words, kind in _BY_TEXT:
        if words in texts:
            return kind
    return TiffKind("BigTIFF" if layout.big else "TIFF", _PLAIN)
