"""The images of an OME-Zarr, as its metadata describes them.  Pure.

Sources: OME-NGFF 0.4 and 0.5 (multiscales, omero, plates), the layout of bioformats2raw, and the
specifications of Zarr 2 and Zarr 3.  Whether the store is complete was found out before, see
`grouping.zarr`; here it is only read.  Labels are left alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from omero_fs_plugin.errors import ImportRefused

MOST_IMAGES = 20_000  # a plate of 1,536 wells with nine fields has 13,824
MOST_CHANNELS = 200_000  # of all images together: OMERO has some rows for each
_AXES = ("t", "c", "z", "y", "x")
# Zarr's names of data types -> OMERO's pixel types.
_TYPES = {
    "u1": "uint8", "i1": "int8", "u2": "uint16", "i2": "int16", "u4": "uint32", "i4": "int32",
    "f4": "float", "f8": "double",
    "uint8": "uint8", "int8": "int8", "uint16": "uint16", "int16": "int16", "uint32": "uint32",
    "int32": "int32", "float32": "float", "float64": "double",
}  # fmt: skip
_COLOR = re.compile(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})(?:[0-9a-fA-F]{2})?")
_LARGEST = 2**31 - 1  # OMERO's sizes are 32-bit

# The JSON object in a file of the store, by its relative name; None if there is no such file.
Read = Callable[[str], "Mapping[str, Any] | None"]


@dataclass(frozen=True)
class Channel:
    """What the metadata `omero` says of a channel."""

    name: str = ""
    color: tuple[int, int, int] | None = None
    active: bool = True
    window: tuple[float, float] | None = None  # what is shown as black and as white
    extent: tuple[float, float] | None = None  # the least and the largest value


@dataclass(frozen=True)
class StoreImage:
    """One multiscale image."""

    path: str  # of its group, relative to the store; empty: the store itself
    name: str  # empty: the metadata has none
    sizes: Mapping[str, int]  # by axis: X, Y, Z, C, T
    pixel_type: str  # OMERO's name
    # axis, in upper case -> size of a pixel, and its unit as in OME-NGFF
    pixel_size: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()  # one for each; empty: the metadata says nothing of them
    grey: bool = False  # shown in grey, not in colours
    default_z: int = 0
    default_t: int = 0
    well: tuple[int, int] | None = None  # row and column


@dataclass(frozen=True)
class StorePlate:
    """What the metadata says of a plate."""

    name: str
    rows: int
    columns: int
    numbered: tuple[bool, bool]  # rows and columns are called by numbers, not by letters


@dataclass(frozen=True)
class Layout:
    """The images of a store, in the order of its metadata."""

    images: tuple[StoreImage, ...]
    plate: StorePlate | None = None


def layout(store: str, read: Read) -> Layout:
    """What the store at `store` holds.  Raises ImportRefused if OMERO cannot have it as it is."""
    try:
        return _Reader(read).layout()
    except _No as error:
        raise ImportRefused(f"{store}: {error}", final=True) from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        why = f"its metadata is not understood: {type(error).__name__}: {error}"
        raise ImportRefused(f"{store}: {why}", final=True) from error


class _No(Exception):
    """Why it cannot be registered."""


class _Reader:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._three = read("zarr.json") is not None
        self._channels = 0  # of the images so far

    def layout(self) -> Layout:
        ome = self._ome("")
        if "plate" in ome:
            return self._plate(ome["plate"])
        if "bioformats2raw.layout" not in ome:
            return Layout((self._image("", ome),))
        images = tuple(self._image(name, self._ome(name)) for name in self._series())
        if not images:
            raise _No("has no image")
        return Layout(images)

    def _series(self) -> Iterator[str]:
        named = self._ome("OME").get("series")
        if isinstance(named, list):
            yield from dict.fromkeys(_joined("", name) for name in named[:MOST_IMAGES])
            return
        number = 0
        while number < MOST_IMAGES and self._ome(str(number)):
            yield str(number)
            number += 1

    def _plate(self, said: Mapping[str, Any]) -> Layout:
        images: dict[str, StoreImage] = {}
        wells: set[str] = set()  # a well and an image may be named any number of times
        for well in said["wells"]:
            group = _joined("", well["path"])
            if group in wells:
                continue
            wells.add(group)
            place = int(well["rowIndex"]), int(well["columnIndex"])
            if not all(0 <= index < _LARGEST for index in place):
                raise _No(f"{group} is at a place that no well has: {place}")
            for one in self._ome(group)["well"]["images"]:
                path = _joined(group, one["path"])
                if path in images:
                    continue
                if len(images) == MOST_IMAGES:
                    raise _No(f"has more than {MOST_IMAGES} images")
                images[path] = self._image(path, self._ome(path), place)
        if not images:
            raise _No("its plate has no image")
        places = [image.well for image in images.values() if image.well]
        rows, columns = said.get("rows") or (), said.get("columns") or ()
        plate = StorePlate(
            str(said.get("name") or ""),
            max(len(rows), 1 + max(row for row, _ in places)),
            max(len(columns), 1 + max(column for _, column in places)),
            (_numbered(rows), _numbered(columns)),
        )
        return Layout(tuple(images.values()), plate)

    def _image(
        self, group: str, ome: Mapping[str, Any], well: tuple[int, int] | None = None
    ) -> StoreImage:
        where = group or "it"
        if "multiscales" not in ome:
            raise _No(f"{where} has no multiscales, and so no pixels that OMERO could show")
        scales = ome["multiscales"][0]
        axes = [str(axis["name"] if isinstance(axis, Mapping) else axis) for axis in _axes(scales)]
        largest = scales["datasets"][0]
        shape, pixel_type = self._array(_joined(group, largest["path"]))
        strange = sorted(set(axes) - set(_AXES))
        plain = {"x", "y"} <= set(axes) and len(set(axes)) == len(axes) == len(shape)
        if strange or not plain:
            raise _No(f"{where} has axes that no image of OMERO has: {', '.join(axes)}")
        sizes = dict.fromkeys("XYZCT", 1) | {
            axis.upper(): size for axis, size in zip(axes, shape, strict=True)
        }
        if not all(0 < size <= _LARGEST for size in sizes.values()):
            raise _No(f"{where} has a shape that no image of OMERO has: {shape}")
        self._channels += sizes["C"]
        if self._channels > MOST_CHANNELS:
            raise _No(f"has more than {MOST_CHANNELS} channels")
        shown = ome.get("omero")
        shown = shown if isinstance(shown, Mapping) else {}
        rendering = shown.get("rdefs")
        rendering = rendering if isinstance(rendering, Mapping) else {}
        return StoreImage(
            group,
            str(scales.get("name") or ome.get("name") or shown.get("name") or ""),
            sizes,
            pixel_type,
            _pixel_size(scales, largest, axes),
            _channels(shown.get("channels"), sizes["C"]),
            grey=rendering.get("model") == "greyscale",
            default_z=_within(rendering.get("defaultZ"), sizes["Z"]),
            default_t=_within(rendering.get("defaultT"), sizes["T"]),
            well=well,
        )

    def _ome(self, group: str) -> Mapping[str, Any]:
        """What OME-NGFF says of a group; empty if there is no such group."""
        within = f"{group}/" if group else ""
        if not self._three:
            return self._read(f"{within}.zattrs") or {}
        said = self._read(f"{within}zarr.json") or {}
        ome = said.get("attributes", {}).get("ome", {})
        return ome if isinstance(ome, Mapping) else {}

    def _array(self, path: str) -> tuple[list[int], str]:
        """The shape of an array, and OMERO's name of its type."""
        said = self._read(f"{path}/{'zarr.json' if self._three else '.zarray'}")
        if said is None:
            raise _No(f"has no array {path}")
        told = said["data_type"] if self._three else said["dtype"]
        name = told.lstrip("<>|=") if isinstance(told, str) else str(told)
        if name not in _TYPES:
            raise _No(f"{path} has the data type {told}, which OMERO cannot show")
        return [int(size) for size in said["shape"]], _TYPES[name]


def _axes(scales: Mapping[str, Any]) -> Sequence[Any]:
    found = scales.get("axes")
    return found if isinstance(found, list) else _AXES  # before OME-NGFF 0.3 there were none


def _pixel_size(
    scales: Mapping[str, Any], dataset: Mapping[str, Any], axes: Sequence[str]
) -> dict[str, tuple[float, str]]:
    """The sizes of a pixel that have a unit: without one OMERO would have to invent it."""
    factors = [1.0] * len(axes)
    scaled = False
    for said in (scales, dataset):
        for one in said.get("coordinateTransformations") or ():
            if one.get("type") == "scale" and len(one.get("scale", ())) == len(axes):
                factors = [a * float(b) for a, b in zip(factors, one["scale"], strict=True)]
                scaled = True
    found = {}
    for axis, size, name in zip(_axes(scales), factors, axes, strict=True):
        unit = axis.get("unit") if isinstance(axis, Mapping) else None
        if scaled and name in ("x", "y", "z") and unit and math.isfinite(size) and size > 0:
            found[name.upper()] = size, str(unit)
    return found


def _channels(said: Any, number: int) -> tuple[Channel, ...]:
    """One for each channel; none if the metadata does not say something of each."""
    if not isinstance(said, list) or len(said) != number:
        return ()
    return tuple(map(_channel, said))


def _channel(said: Any) -> Channel:
    if not isinstance(said, Mapping):
        return Channel()
    window = said.get("window")
    window = window if isinstance(window, Mapping) else {}
    color = _COLOR.fullmatch(str(said.get("color", "")))
    return Channel(
        str(said.get("label") or ""),
        (int(color[1], 16), int(color[2], 16), int(color[3], 16)) if color else None,
        bool(said.get("active", True)),
        _pair(window.get("start"), window.get("end")),
        _pair(window.get("min"), window.get("max")),
    )


def _pair(first: Any, last: Any) -> tuple[float, float] | None:
    try:
        pair = float(first), float(last)
    except (TypeError, ValueError, OverflowError):
        return None
    return pair if all(map(math.isfinite, pair)) and pair[0] <= pair[1] else None


def _within(value: Any, size: int) -> int:
    return value if isinstance(value, int) and 0 <= value < size else 0


def _numbered(names: Sequence[Any]) -> bool:
    first = names[0].get("name") if names and isinstance(names[0], Mapping) else ""
    return str(first).isdigit()


def _joined(above: str, name: Any) -> str:
    """The name of what `above` calls `name`, relative to the store."""
    if not isinstance(name, str) or not name or name.startswith("/") or ".." in name.split("/"):
        raise _No(f"{above or 'its metadata'} names something outside of it: {name!r:.99}")
    return "/".join(filter(None, (above, *PurePosixPath(name).parts)))
