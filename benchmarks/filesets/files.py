"""What is grouped and imported: TIFFs, OME-TIFF sets, and one large TIFF."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

from benchmarks.dropbox.scenarios import SIDE, drop, tiff

IN_DIRECTORY = 100
IN_SET = 20
_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_BLOCK = 1 << 20


def singles(directory: Path, count: int) -> list[list[str]]:
    """Single files, each a fileset.  Returns the paths, by directories of IN_DIRECTORY."""
    lots = []
    for first in range(0, count, IN_DIRECTORY):
        below = directory / f"singles-{first // IN_DIRECTORY:03}"
        below.mkdir(parents=True)
        paths = [
            below / f"image-{number:04}.tif"
            for number in range(first, min(first + IN_DIRECTORY, count))
        ]
        for path in paths:
            drop(path)
        lots.append([str(path) for path in paths])
    return lots


def sets(directory: Path, count: int) -> list[list[str]]:
    """OME-TIFF sets of IN_SET files.  Each names all.  Returns the paths, set by set."""
    lots = []
    for number in range(count):
        below = directory / f"set-{number:03}"
        below.mkdir(parents=True)
        uuids = [f"urn:uuid:{UUID(int=number * IN_SET + t)}" for t in range(IN_SET)]
        names = [f"t{t:02}.ome.tif" for t in range(IN_SET)]
        for name, uuid in zip(names, uuids, strict=True):
            (below / name).write_bytes(tiff(_xml(uuid, names, uuids).encode()))
        lots.append([str(below / name) for name in names])
    return lots


def _xml(own: str, names: list[str], uuids: list[str]) -> str:
    """One image; each of the files has one of its time points."""
    data = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">{uuid}</UUID></TiffData>'
        for t, (name, uuid) in enumerate(zip(names, uuids, strict=True))
    )
    return (
        f'<?xml version="1.0"?><OME xmlns="{_NAMESPACE}" UUID="{own}"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="{SIDE}" SizeY="{SIDE}" '
        f'SizeZ="1" SizeC="1" SizeT="{len(names)}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
    )


def large(path: Path, size: int) -> None:
    """A small TIFF, filled up to `size` bytes that hardly compress."""
    block = os.urandom(_BLOCK)
    with path.open("wb") as file:
        file.write(tiff())
        while (left := size - file.tell()) > 0:
            file.write(block[:left])
