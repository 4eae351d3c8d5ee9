"""Which images an OME-Zarr store holds, from its metadata alone: see `pixels`.

It reads stores of Zarr 2 with OME-NGFF 0.4, and of Zarr 3 with OME-NGFF 0.5.  As its first file,
a store has the metadata at its top.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_JSON = 16 << 20  # bytes of one file
MAX_SERIES = 10_000
TOPS = ("zarr.json", ".zattrs", ".zgroup")
_TYPES = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


def groups(top: Path) -> Iterator[tuple[Path, str, tuple[str, int, int] | None]]:
    """(directory, name, place) of each image; a place is plate, row and column.

    Raises ValueError, KeyError and TypeError for what is no store.
    """
    ome = _ome(top)
    if "plate" in ome:
        plate = ome["plate"]
        for well in plate["wells"]:
            place = plate.get("name", ""), int(well["rowIndex"]), int(well["columnIndex"])
            for image in _ome(_below(top, well["path"]))["well"]["images"]:
                directory = _below(top, f"{well['path']}/{image['path']}")
                yield directory, f"{well['path']}/{image['path']}", place
    elif "bioformats2raw.layout" in ome:
        series = _ome(top / "OME").get("series") if (top / "OME").is_dir() else None
        for name in series or _numbers(top):
            yield _below(top, name), name, None
    else:
        yield top, "", None


def image(directory: Path) -> tuple[dict[str, int], str]:
    """Sizes by axis in upper case, and numpy's name of the pixel type, of the largest resolution.

    Raises as `groups`.
    """
    scales = _ome(directory)["multiscales"][0]
    axes = [a["name"] if isinstance(a, dict) else a for a in scales.get("axes") or "tczyx"]
    array = _below(directory, scales["datasets"][0]["path"])
    three = (array / "zarr.json").is_file()
    said = _json(array / ("zarr.json" if three else ".zarray"))
    if len(axes) != len(said["shape"]):
        raise ValueError(f"{array.name}: {len(axes)} axes and {len(said['shape'])} sizes")
    sizes = dict.fromkeys("XYZCT", 1) | {
        str(axis).upper(): int(size) for axis, size in zip(axes, said["shape"], strict=True)
    }
    if set(sizes) != set("XYZCT"):
        raise ValueError(f"axes that no image has: {axes}")
    for scale in scales["datasets"][1:]:
        level = _below(directory, scale["path"])
        _json(level / ("zarr.json" if three else ".zarray"))  # a level that is not there
    return sizes, said["data_type"] if three else _named(said["dtype"])


def _named(dtype: str) -> str:
    """numpy's name of a type as Zarr 2 writes it, such as `<u2`."""
    kind, size = dtype.lstrip("<>|=")[0], dtype.lstrip("<>|=")[1:]
    name = _TYPES[kind]
    return name if name == "bool" else f"{name}{int(size) * 8}"


def _numbers(top: Path) -> list[str]:
    found = []
    for number in range(MAX_SERIES):
        if not (top / str(number)).is_dir():
            break
        found.append(str(number))
    return found


def _below(top: Path, name: Any) -> Path:
    if not isinstance(name, str) or name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"a name that leads out of the store: {name!r}")
    return top / name


def _ome(directory: Path) -> dict[str, Any]:
    if (directory / "zarr.json").is_file():
        found = _json(directory / "zarr.json").get("attributes", {}).get("ome", {})
    else:
        _json(directory / ".zgroup")
        found = _json(directory / ".zattrs")
    return dict(found)


def _json(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        text = file.read(MAX_JSON + 1)
    if len(text) > MAX_JSON:
        raise ValueError(f"{path.name}: more than {MAX_JSON} bytes")
    return dict(json.loads(text))
