"""Which format a file has: by its first bytes, and only then by its name.

A table of what is certain without Bio-Formats.  The signatures come from public
descriptions of the formats.  The reader is the one that Bio-Formats 7.3 takes for
such a file.  It reads at most 64 KiB of a file, and the first directory of a TIFF
(see tiff.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from omero_fs_plugin.config.readers import PACKAGE
from omero_fs_plugin.dropbox.grouping.formats import tiff
from omero_fs_plugin.errors import FsError

from .tiff_kinds import TiffKind, kind_of

JAVA = "install Java and Bio-Formats' jars (omero.fs.bioformatsJars)"
_HEAD = 4096  # bytes


class UnknownFormat(FsError):
    """This file cannot become a fileset without Bio-Formats; the text says why."""


@dataclass(frozen=True)
class Kind:
    """The format of a file."""

    format: str  # its name for people
    reader: str  # simple name of the class that reads it
    # How the fileset is made: empty for the file alone, otherwise a word that `grouper` knows
    rule: str = ""
    held: str = ""  # why only Bio-Formats can group it

    @property
    def canonical(self) -> str:
        return PACKAGE + self.reader


@dataclass(frozen=True)
class _Signature:
    offset: int
    bytes: bytes
    kind: Kind
    suffixes: Sequence[str] = ()  # the name must have one of these; empty: any name


def _held(format: str, why: str) -> str:
    return f"{format} {why}: {JAVA}"


_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
_SIGNATURES = (
    _Signature(0, b"\xff\xd8\xff", Kind("JPEG", "JPEGReader"), ("jpg", "jpeg", "jpe")),
    _Signature(0, b"\x89PNG\r\n\x1a\n", Kind("PNG", "APNGReader")),
    _Signature(0, b"GIF87a", Kind("GIF", "GIFReader")),
    _Signature(0, b"GIF89a", Kind("GIF", "GIFReader")),
    _Signature(0, _JP2, Kind("ND2 (JPEG 2000)", "ND2Reader"), ("nd2",)),
    _Signature(0, _JP2, Kind("JPEG 2000", "JPXReader"), ("jpx",)),
    _Signature(0, _JP2, Kind("JPEG 2000", "JPEG2000Reader"), ("jp2", "j2k", "jpf")),
    _Signature(0, b"\xff\x4f\xff\x51", Kind("JPEG 2000", "JPEG2000Reader"), ("j2k", "jp2")),
    _Signature(0, b"\xda\xce\xbe\x0a", Kind("ND2", "ND2Reader")),
    _Signature(0, b"ZISRAWFILE", Kind("CZI", "ZeissCZIReader", "czi")),
    _Signature(0, _OLE2, Kind("OIB", "FV1000Reader"), ("oib",)),
    _Signature(0, _OLE2, Kind("ZVI", "ZeissZVIReader"), ("zvi",)),
    _Signature(0, _OLE2, Kind("IPW", "IPWReader"), ("ipw",)),
    _Signature(0, _OLE2, Kind("SimplePCI", "PCIReader"), ("cxd",)),
    _Signature(0, _HDF5, Kind("Imaris", "ImarisHDFReader"), ("ims",)),
    _Signature(0, _HDF5, Kind("CellH5", "CellH5Reader"), ("ch5",)),
    _Signature(0, b"NRRD000", Kind("NRRD", "NRRDReader", "nrrd")),
    _Signature(0, b"SIMPLE  =", Kind("FITS", "FitsReader"), ("fits", "fts")),
    _Signature(208, b"MAP ", Kind("MRC", "MRCReader"), ("mrc", "st", "ali", "map", "rec", "mrcs")),
    _Signature(344, b"n+1\0", Kind("NIfTI", "NiftiReader"), ("nii",)),
    _Signature(344, b"ni1\0", Kind("NIfTI", "NiftiReader", "nifti"), ("hdr",)),
    _Signature(0, b"8BPS\0\1", Kind("Photoshop", "PSDReader"), ("psd",)),
    _Signature(0, b"\x8aMNG\r\n\x1a\n", Kind("MNG", "MNGReader"), ("mng",)),
    _Signature(0, b"\n\5\1", Kind("PCX", "PCXReader"), ("pcx",)),
    _Signature(0, b"%!PS", Kind("EPS", "EPSReader"), ("eps", "epsi")),
    _Signature(0, b"# AmiraMesh", Kind("Amira", "AmiraReader"), ("am", "amiramesh")),
    _Signature(0, b"CDF\1", Kind("MINC", "MINCReader"), ("mnc",)),
    _Signature(0, b"Andor Technology", Kind("Andor SIF", "SIFReader"), ("sif",)),
    _Signature(0, b"OMAS_BF_", Kind("Imspector OBF", "OBFReader"), ("obf", "msr")),
    _Signature(0, b"OLYMPUSRAWFORMAT", Kind("OIR", "OIRReader", "oir"), ("oir",)),
    _Signature(4, b"ftypqt", Kind("QuickTime", "QTReader"), ("mov",)),
    _Signature(4, b"moov", Kind("QuickTime", "QTReader"), ("mov",)),
    _Signature(4, b"mdat", Kind("QuickTime", "QTReader"), ("mov",)),
)

# Parts of sets, and sets, that only Bio-Formats knows.
_HELD_SUFFIXES = {
    "vsi": ("cellSens VSI", "CellSensReader"),
    "ets": ("cellSens VSI", "CellSensReader"),
    "flex": ("Flex", "FlexReader"),
    "mea": ("Flex", "FlexReader"),
    "res": ("Flex", "FlexReader"),
    "oif": ("Olympus OIF", "FV1000Reader"),
    "pty": ("Olympus OIF", "FV1000Reader"),
    "mvd2": ("Volocity", "VolocityReader"),
    "aisf": ("Volocity", "VolocityReader"),
    "aiix": ("Volocity", "VolocityReader"),
    "acff": ("Volocity", "VolocityClippingReader"),
    "c01": ("Cellomics", "CellomicsReader"),
    "sld": ("SlideBook", "SlidebookReader"),
    "sldy": ("SlideBook", "SlideBook7Reader"),
    "xlif": ("Leica XLEF", "XLEFReader"),
    "lof": ("Leica LOF", "LOFReader"),
    "mrxs": ("MIRAX", ""),
    "hed": ("Imagic", "ImagicReader"),
    "pcoraw": ("PCO", "PCORAWReader"),
    "pic": ("Bio-Rad PIC", "BioRadReader"),
    "vws": ("TillVision", "TillVisionReader"),
    "rcpnl": ("RCPNL", "RCPNLReader"),
}
_PART = "has parts in other files"


# Suffixes of formats that are recognised only by their content, or by no signature of ours.
_MORE_SUFFIXES = frozenset(
    {
        "tif",
        "tiff",
        "btf",
        "tf2",
        "tf8",
        "lsm",
        "stk",
        "svs",
        "ndpi",
        "scn",
        "flex",
        "czi",
        "nd2",
        "lif",
        "oib",
        "oif",
        "dv",
        "r3d",
        "dcm",
        "dicom",
        "png",
        "apng",
        "gif",
        "bmp",
        "avi",
        "ics",
        "ids",
        "nrrd",
        "nhdr",
        "dm2",
        "dm3",
        "dm4",
        "pgm",
        "ppm",
        "pnm",
        "ima",
        "img",
        "mvd2",
        "vsi",
        "ets",
        "vms",
        "mrxs",
        "xdce",
        "pic",
        "ipl",
        "seq",
        "l2d",
        "gel",
        "sld",
        "ozx",
    }
)
_ZIPPED = ".zarr.zip"  # a store in one file, as `ozx`: no reader opens it


def is_image_name(name: str) -> bool:
    """Whether a file of that name is meant to be an image, whatever its content is."""
    return suffix_of(name) in _IMAGE_SUFFIXES or name.lower().endswith(_ZIPPED)


def suffix_of(name: str) -> str:
    """What follows the last dot, in lower case."""
    return PurePath(name).suffix[1:].lower()


def identify(file: BinaryIO, name: str) -> Kind:
    """The kind of the file called `name`.

    Raises UnknownFormat if its format is not known, and OSError if it cannot be read.
    """
    suffix = suffix_of(name)
    if suffix in _HELD_SUFFIXES:
        format, reader = _HELD_SUFFIXES[suffix]
        return Kind(format, reader, held=_held(format, _PART))
    file.seek(0)
    head = file.read(_HEAD)
    if not head:
        raise UnknownFormat("an empty file")
    layout = tiff.read_layout(file)
    if layout is not None:
        return _tiff(file, layout, head, suffix)
    for signature in _SIGNATURES:
        if head.startswith(signature.bytes, signature.offset) and (
            not signature.suffixes or suffix in signature.suffixes
        ):
            return signature.kind
    kind = _by_structure(head, suffix)
    if kind is None:
        raise UnknownFormat(f"no format that is known without Bio-Formats: {JAVA}")
    return kind


def _tiff(file: BinaryIO, layout: tiff.Layout, head: bytes, suffix: str) -> Kind:
    if head.startswith(b"DICM", 128):
        return Kind("DICOM", "DicomReader", "dicom")
    try:
        found: TiffKind = kind_of(file, layout, suffix)
    except tiff.TiffError as error:
        raise UnknownFormat(f"TIFF that is cut short or corrupt: {error}") from error
    held = _held(found.format, found.held) if found.held else ""
    return Kind(found.format, found.reader, found.rule, held)


def _by_structure(head: bytes, suffix: str) -> Kind | None:
    """Formats that one signature alone does not show."""
    if is_dicom(head, suffix):
        return Kind("DICOM", "DicomReader", "dicom")
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Kind("AVI", "AVIReader") if suffix == "avi" else None
    if head[:2] == b"BM" and head[26:28] == b"\1\0":  # planes
        return Kind("BMP", "BMPReader")
    if head[:4] in (b"\x70\0\0\0", b"\0\0\0\x70") and head[8:9] == b"\x2a":
        return Kind("LIF", "LIFReader") if suffix == "lif" else None
    if suffix in ("dv", "r3d", "r3d_d3d") and head[96:98] in (b"\xa0\xc0", b"\xc0\xa0"):  # -16224
        return Kind("DeltaVision", "DeltavisionReader", "deltavision")
    if suffix == "ics" and b"ics_version" in head[:256]:
        return Kind("ICS", "ICSReader", "ics")
    if suffix == "ids":
        return Kind("ICS", "ICSReader", "ids")
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n":
        return Kind("PNM", "PGMReader") if suffix in ("pgm", "ppm", "pbm", "pnm") else None
    if suffix in ("dm3", "dm4") and head[:4] in (b"\0\0\0\3", b"\0\0\0\4"):
        return Kind("Gatan", "GatanReader")
    return None


def is_dicom(head: bytes, suffix: str) -> bool:
    """Whether a file that starts so is DICOM.  Without the preamble its name counts too."""
    if head.startswith(b"DICM", 128):
        return True
    groups = (b"\2\0", b"\x08\0", b"\0\2", b"\0\x08")
    return suffix in ("dcm", "dicom", "ima") and head[:2] in groups


_IMAGE_SUFFIXES = _MORE_SUFFIXES | frozenset(
    suffix for signature in _SIGNATURES for suffix in signature.suffixes
)
