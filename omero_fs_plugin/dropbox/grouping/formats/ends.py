"""Whether a file was cut short, for formats whose end can be known; `tiff_chain` does TIFF.

A format is known by its first bytes.  Each is read in pieces, as many as it needs and at most
some megabytes; nothing is decoded.  What is odd but not cut short is left to the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from . import containers, deflated, dicom, netcdf, pictures, volumes
from .holes import Holes
from .reading import Cut, Enough, Pieces

_HEAD = 512  # bytes that show the format


@dataclass(frozen=True)
class End:
    """How the end of one format is found."""

    format: str  # its name for people
    known: Callable[[bytes, str], bool]  # by its first bytes and its suffix, in lower case
    look: Callable[[Pieces], None]  # raises Cut and Enough
    # Whether all of its bytes are data, so that a hole anywhere is something not yet written.
    dense: bool = True


def _at(offset: int, *marks: bytes) -> Callable[[bytes, str], bool]:
    return lambda head, suffix: any(head.startswith(mark, offset) for mark in marks)


def _is_deltavision(head: bytes, suffix: str) -> bool:
    return suffix in ("dv", "r3d", "r3d_d3d") and head[96:98] in (b"\xa0\xc0", b"\xc0\xa0")


def _is_dicom(head: bytes, suffix: str) -> bool:
    groups = (b"\2\0", b"\x08\0")
    return head.startswith(b"DICM", 128) or (suffix in ("dcm", "dicom") and head[:2] in groups)


def _is_lif(head: bytes, suffix: str) -> bool:
    return head[:4] in (b"\x70\0\0\0", b"\0\0\0\x70") and head[8:9] == b"\x2a"


def _is_ics(head: bytes, suffix: str) -> bool:
    return suffix == "ics" and b"ics_version" in head[:256]


ENDS = (
    End("PNG", _at(0, b"\x89PNG\r\n\x1a\n"), pictures.png),
    End("JPEG", _at(0, b"\xff\xd8\xff"), pictures.jpeg),
    End("GIF", _at(0, b"GIF87a", b"GIF89a"), pictures.gif),
    End("BMP", pictures.is_bmp, pictures.bmp),
    End("PGM", pictures.is_pnm, pictures.pnm),
    End("MNG", _at(0, b"\x8aMNG\r\n\x1a\n", b"\x8bJNG\r\n\x1a\n"), pictures.png),
    End("JPEG 2000", _at(0, b"\0\0\0\x0cjP  \r\n\x87\n"), pictures.jp2),
    End("JPEG 2000", _at(0, b"\xff\x4f\xff\x51"), pictures.j2k),
    End("MRC", _at(208, b"MAP ", b"MAP\0"), volumes.mrc),
    End("NIfTI", _at(344, b"n+1\0"), volumes.nifti),
    End("NIfTI", _at(4, b"n+2\0\r\n\x1a\n"), volumes.nifti),
    End("gzip", _at(0, deflated.GZIP), volumes.gzip),
    End("NRRD", _at(0, b"NRRD000"), volumes.nrrd),
    End("FITS", _at(0, b"SIMPLE  ="), volumes.fits),
    End("DeltaVision", _is_deltavision, volumes.deltavision),
    End("ICS", _is_ics, volumes.ics),
    End("DICOM", _is_dicom, dicom.dicom),
    End("CZI", _at(0, b"ZISRAWFILE"), containers.czi, dense=False),
    End("ND2", _at(0, b"\xda\xce\xbe\x0a"), containers.nd2, dense=False),
    End("LIF", _is_lif, containers.lif, dense=False),
    End("OLE", _at(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), containers.ole, dense=False),
    End("HDF5", _at(0, containers.HDF5), containers.hdf5, dense=False),
    End("ETS", _at(0, b"SIS\0"), containers.ets, dense=False),
    End("MINC", _at(0, b"CDF\1", b"CDF\2"), netcdf.netcdf),
    End("QuickTime", _at(4, b"ftypqt", b"moov", b"mdat"), containers.quicktime),
    End("AVI", _at(0, b"RIFF"), containers.riff),
)


def slice_of(file: BinaryIO, name: str, size: int) -> tuple[str, int] | None:
    """The series of a DICOM file and its number in that; None if it is or says no such thing.

    Raises OSError.
    """
    file.seek(0)
    if not _is_dicom(file.read(min(_HEAD, size)), name.rpartition(".")[2].lower()):
        return None
    return dicom.slice_of(Pieces(file, size))


def fault(file: BinaryIO, name: str, size: int, holes: Holes | None = None) -> str:
    """What shows that a file of `size` bytes is not whole; empty if nothing does.

    `name` counts for formats that no signature shows.  Raises OSError.
    """
    file.seek(0)
    head = file.read(min(_HEAD, size))
    suffix = name.rpartition(".")[2].lower()
    end = next((end for end in ENDS if end.known(head, suffix)), None)
    if end is not None:
        try:
            end.look(Pieces(file, size))
        except Cut as cut:
            return f"it is cut short or not written to its end ({end.format}): {cut}"
        except Enough:
            pass
    if not size or not holes:
        return ""
    if end is not None and end.dense and holes.meet(0, size):
        return f"a part of it is not written yet, though the file has its length ({end.format})"
    if holes.meet(size - 1, size):
        return "its end is not written yet, though the file has its length"
    return ""
