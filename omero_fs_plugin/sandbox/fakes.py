"""The images that the name of a `.fake` file describes; the file itself is empty.

Sites try out a server with such files.  The rules are those of Bio-Formats' FakeReader, as its
documentation has them: ``name&sizeX=64&sizeZ=3.fake``, keys in any order, 512 x 512 bytes each
where the name says nothing.  Keys that say nothing about the sizes are passed over.
"""

from __future__ import annotations

from pathlib import Path

from .pixels import MAX_IMAGES, OME_TYPES, Series

SUFFIX = ".fake"
_SIZES = {"sizeX": 512, "sizeY": 512, "sizeZ": 1, "sizeC": 1, "sizeT": 1}


def read(path: Path) -> list[Series]:
    """The images of this file.  Raises ValueError if its name describes none."""
    name, *pairs = path.name.removesuffix(SUFFIX).split("&")
    said = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    sizes = [int(said.get(key, default)) for key, default in _SIZES.items()]
    count, pixel_type = int(said.get("series", 1)), said.get("pixelType", "uint8")
    if not 0 < count <= MAX_IMAGES:
        raise ValueError(f"{count} series")
    if pixel_type not in OME_TYPES:
        raise ValueError(f"no pixel type {pixel_type}")
    return [Series(name, *sizes, pixel_type) for _ in range(count)]
