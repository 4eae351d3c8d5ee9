"""Files as microscopes and scanners write them.  Each call gives other bytes."""

from __future__ import annotations

import io
import itertools
import os
from pathlib import Path

import numpy
import pytest
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

_numbers = itertools.count()
_RUN = int.from_bytes(os.urandom(6), "big")


def _pixels(shape: tuple[int, ...], kind: type) -> numpy.ndarray:
    generator = numpy.random.default_rng([_RUN, next(_numbers)])
    return generator.integers(0, 250, size=shape).astype(kind)


def tiff(*, side: int = 16) -> bytes:
    """A grey TIFF of side * side pixels of one byte."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, _pixels((side, side), numpy.uint8), photometric="minisblack")
    return buffer.getvalue()


def refused() -> bytes:
    """A TIFF that every reader takes, of pixels that OMERO has no type for."""
    buffer = io.BytesIO()
    pixels = _pixels((16, 16), numpy.uint8).astype(numpy.float16)
    tifffile.imwrite(buffer, pixels, photometric="minisblack")
    return buffer.getvalue()


def png(*, side: int = 16) -> bytes:
    """A grey PNG of side * side pixels of one byte."""
    buffer = io.BytesIO()
    Image.fromarray(_pixels((side, side), numpy.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def ome_tiff(*, c: int = 2, z: int = 3, y: int = 48, x: int = 64) -> bytes:
    """An OME-TIFF of c * z planes of 16-bit pixels."""
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        _pixels((c, z, y, x), numpy.uint16),
        ome=True,
        photometric="minisblack",
        metadata={"axes": "CZYX", "Channel": {"Name": [f"channel {n}" for n in range(c)]}},
    )
    return buffer.getvalue()


def ome_tiff_set(directory: Path, names: list[str]) -> list[Path]:
    """Writes one OME-TIFF for each time point of an image; each names all of them."""
    uuids = [f"urn:uuid:{_RUN >> 16:08x}-0000-4000-8000-{next(_numbers):012x}" for _ in names]
    planes = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1"><UUID FileName="{name}">{uuids[t]}</UUID>'
        "</TiffData>"
        for t, name in enumerate(names)
    )
    paths = []
    for name, uuid in zip(names, uuids, strict=True):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            f'SizeX="16" SizeY="16" SizeZ="1" SizeC="1" SizeT="{len(names)}">'
            f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
        )
        path = directory / name
        tifffile.imwrite(
            path,
            _pixels((16, 16), numpy.uint8),
            photometric="minisblack",
            description=xml.encode(),
            metadata=None,
        )
        paths.append(path)
    return paths


def dicom(name: str = "CT_small.dcm") -> bytes:
    """A file of pydicom's own, from a hospital's scanner, its data untouched.

    Only the preamble is ours, 128 bytes that DICOM (part 10, 7.1) leaves to
    whoever writes the file: dropped anew in each run, the bytes must be new.
    """
    found = get_testdata_file(name, download=False)
    if not found:
        pytest.fail(f"pydicom came without its {name}")
    content = Path(str(found)).read_bytes()
    assert content[128:132] == b"DICM"
    mark = f"omero-fs-plugin acceptance {_RUN} {next(_numbers)}".encode()
    return mark.ljust(128, b"\0") + content[128:]
