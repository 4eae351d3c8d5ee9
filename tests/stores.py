"""OME-Zarr stores for tests, small ones, written file by file in the order that a test wants."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AXES = [{"name": name, "type": "space"} for name in "yx"]


@dataclass(frozen=True)
class Store:
    """An OME-Zarr below `top`, of Zarr `zarr` (2 or 3)."""

    top: Path
    zarr: int = 2
    files: dict[str, bytes] = field(default_factory=dict)  # in the order in which they are written

    def group(self, name: str = "", **ome: Any) -> None:
        """A group; `ome` is what OME-NGFF says of it."""
        within = f"{name}/" if name else ""
        if self.zarr == 3:
            said = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
            self.files[f"{within}zarr.json"] = _json(said)
        else:
            self.files[f"{within}.zgroup"] = _json({"zarr_format": 2})
            self.files[f"{within}.zattrs"] = _json(ome)

    def array(self, name: str, side: int = 8, chunk: int = 4, seed: int = 1) -> None:
        """An array of uint8 with all of its chunks."""
        if self.zarr == 3:
            said: Mapping[str, Any] = {
                "zarr_format": 3,
                "node_type": "array",
                "shape": [side, side],
                "data_type": "uint8",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [chunk, chunk]}},
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                "fill_value": 0,
                "codecs": [{"name": "bytes"}],
            }
            self.files[f"{name}/zarr.json"] = _json(said)
        else:
            said = {
                "zarr_format": 2,
                "shape": [side, side],
                "chunks": [chunk, chunk],
                "dtype": "|u1",
                "compressor": None,
                "fill_value": 0,
                "order": "C",
                "filters": None,
            }
            self.files[f"{name}/.zarray"] = _json(said)
        for y in range(0, side, chunk):
            for x in range(0, side, chunk):
                key = (
                    f"{y // chunk}/{x // chunk}" if self.zarr == 3 else f"{y // chunk}.{x // chunk}"
                )
                inner = "c/" if self.zarr == 3 else ""
                self.files[f"{name}/{inner}{key}"] = bytes(
                    (seed + y + x + n) % 256 for n in range(chunk**2)
                )

    def image(self, name: str = "", levels: int = 1, seed: int = 1, side: int = 8) -> None:
        """A multiscale image."""
        within = f"{name}/" if name else ""
        paths = [{"path": str(level)} for level in range(levels)]
        self.group(name, multiscales=[{"axes": AXES, "datasets": paths}])
        for level in range(levels):
            self.array(f"{within}{level}", max(4, side >> level), seed=seed + level)

    def write(self, *names: str) -> Path:
        """Writes these files, or all.  Gives the directory."""
        for name in names or self.files:
            path = self.top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.files[name])
        return self.top

    @property
    def path(self) -> Path:
        """As DropBox names it; pathlib drops the slash at its end."""
        return _Named(self.top)


class _Named(type(Path())):  # type: ignore[misc]
    def __str__(self) -> str:
        return super().__str__() + "/"


def image(top: Path, zarr: int = 2, **options: int) -> Store:
    """A store that is one multiscale image."""
    store = Store(top, zarr)
    store.image(**options)
    return store


def labelled(top: Path, zarr: int = 2, side: int = 8) -> Store:
    """An image with two levels and a label image."""
    store = image(top, zarr, levels=2, side=side)
    store.group("labels", labels=["cells"])
    store.image("labels/cells", seed=7, side=side)
    return store


def plate(
    top: Path,
    zarr: int = 2,
    wells: Sequence[str] = ("A/1", "B/2"),
    fields: int = 2,
    side: int = 8,
) -> Store:
    """A plate."""
    store = Store(top, zarr)
    told = [
        {"path": well, "rowIndex": ord(well[0]) - 65, "columnIndex": int(well[2:]) - 1}
        for well in wells
    ]
    rows = [{"name": "A"}, {"name": "B"}]
    store.group("", plate={"name": "P", "wells": told, "rows": rows, "columns": rows})
    for number, well in enumerate(wells):
        store.group(well.split("/")[0])
        store.group(well, well={"images": [{"path": str(f)} for f in range(fields)]})
        for f in range(fields):
            store.image(f"{well}/{f}", seed=number * 20 + f * 3 + 1, side=side)
    return store


def collection(top: Path, zarr: int = 2, side: int = 8) -> Store:
    """Two series in the layout of bioformats2raw."""
    store = Store(top, zarr)
    store.group("", **{"bioformats2raw.layout": 3})
    store.group("OME", series=["0", "1"])
    for number in range(2):
        store.image(str(number), seed=number + 1, side=side)
    return store


KINDS: dict[str, Callable[..., Store]] = {
    "image": image,
    "labelled": labelled,
    "plate": plate,
    "collection": collection,
}


# (kind, Zarr format)
ALL_KINDS = [(kind, zarr) for kind in KINDS for zarr in (2, 3)]


def _json(said: Any) -> bytes:
    return json.dumps(said).encode()
