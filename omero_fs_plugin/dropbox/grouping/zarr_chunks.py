"""What the metadata of an array says of its chunks.  Pure.

Sources: the specifications of Zarr 2 and Zarr 3.  A chunk may be missing.  One that is there has at
least one byte, and as many as its shape says if nothing compresses it: chunks at the edge of an
array have the full shape too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DTYPE = re.compile(r"[<>|]?[biufc](\d{1,2})", re.ASCII)  # of Zarr 2
# Of Zarr 3: data type -> bytes of a value.
_BYTES = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4,
    "uint32": 4, "float32": 4, "int64": 8, "uint64": 8, "float64": 8, "complex64": 8,
    "complex128": 16,
}  # fmt: skip
_SEPARATORS = re.compile(r"[./]")
_DIGITS = 18  # of a number in a name: an array has no more chunks


@dataclass(frozen=True)
class Chunks:
    """The chunks that an array may have."""

    numbers: tuple[int, ...]  # along each axis
    size: int = 0  # bytes of each; 0: nobody can know

    def have(self, name: str) -> bool:
        """Whether the file `name`, relative to the array, is one of them.

        Readers look at no other file.
        """
        if name.startswith(("c/", "c.")):  # Zarr 3
            name = name[2:]
        if not self.numbers:
            return name in ("0", "c")
        parts = _SEPARATORS.split(name)
        return len(parts) == len(self.numbers) and all(
            part.isascii() and part.isdecimal() and len(part) <= _DIGITS and int(part) < number
            for part, number in zip(parts, self.numbers, strict=True)
        )

    def fault(self, size: int) -> str:
        """What shows that a chunk of `size` bytes is not whole; empty if nothing does."""
        if not size:
            return "is empty"
        return f"has {size} of its {self.size} bytes" if size < self.size else ""


def chunks_of(said: Mapping[str, Any], *, three: bool) -> Chunks | None:
    """The chunks of an array with this metadata; None if it cannot be known.

    `three`: it is of Zarr 3.
    """
    shape = _sizes(said.get("shape"), 0)
    grid = _configured(said.get("chunk_grid"), "chunk_shape") if three else said.get("chunks")
    each = _sizes(grid, 1)
    if shape is None or each is None or len(shape) != len(each):
        return None
    numbers = tuple(-(-size // chunk) for size, chunk in zip(shape, each, strict=True))
    value = _bytes_of_three(said) if three else _bytes_of_two(said)
    return Chunks(numbers, math.prod(each) * value)


def _bytes_of_two(said: Mapping[str, Any]) -> int:
    """Bytes of a value, if they lie in a chunk as they are; else 0."""
    dtype = said.get("dtype")
    found = _DTYPE.fullmatch(dtype) if isinstance(dtype, str) else None
    if found is None or said.get("compressor", "?") is not None or said.get("filters"):
        return 0
    return int(found[1])


def _bytes_of_three(said: Mapping[str, Any]) -> int:
    codecs, kind = said.get("codecs"), said.get("data_type")
    if not isinstance(codecs, list) or len(codecs) != 1 or said.get("storage_transformers"):
        return 0
    (codec,) = codecs
    name = codec.get("name") if isinstance(codec, Mapping) else codec
    return _BYTES.get(kind, 0) if name == "bytes" and isinstance(kind, str) else 0


def _configured(grid: Any, key: str) -> Any:
    """A value of the configuration of a regular grid; None for any other grid."""
    if not isinstance(grid, Mapping) or grid.get("name") != "regular":
        return None
    configuration = grid.get("configuration")
    return configuration.get(key) if isinstance(configuration, Mapping) else None


def _sizes(value: Any, least: int) -> list[int] | None:
    """`value` if it is a list of whole numbers that are not less than `least`."""
    if isinstance(value, list) and all(type(one) is int and one >= least for one in value):
        return value
    return None
