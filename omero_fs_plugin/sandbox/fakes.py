"""What the name of a `.fake` file says of its images; the file itself is empty.

Sites try out a server with such files.  The rules are those of Bio-Formats' FakeReader, as its
documentation has them: ``name&sizeX=64&sizeZ=3.fake``, keys in any order, 512 x 512 bytes each
where the name says nothing.  Keys that say nothing about the sizes are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass

SUFFIX = ".fake"


@dataclass(frozen=True)
class Said:
    """What it says of all images of the file."""

    images: int
    name: str
    size_x: int  # pixels
    size_y: int  # pixels
    size_z: int
    size_c: int
    size_t: int
    pixel_type: str


def says(file: str) -> Said:
    """What the file's name says.  Raises ValueError if a number is none."""
    name, *pairs = file.removesuffix(SUFFIX).split("&")
    said = dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def number(key: str, default: int) -> int:
        return int(said.get(key, default))

    return Said(
        number("series", 1),
        name,
        number("sizeX", 512),
        number("sizeY", 512),
        number("sizeZ", 1),
        number("sizeC", 1),
        number("sizeT", 1),
        said.get("pixelType", "uint8"),
    )
