"""Stores of other kinds than one image: labels, and plates; of Zarr 2 and Zarr 3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

CHUNK = 64  # bytes, and pixels: 8 * 8
SIDE = 8
IN_A_ROW = 50  # chunks
WELLS, FIELDS = 24, 2  # of a plate

_Said = Mapping[str, Any]


class _Writer:
    """Writes groups and arrays, and counts the files."""

    def __init__(self, top: Path, zarr: int) -> None:
        self._top, self._zarr = top, zarr
        self.files = 0

    def group(self, name: str = "", **ome: Any) -> None:
        if self._zarr == 3:
            said = {"zarr_format": 3, "node_type": "group"}
            self._write(f"{name}/zarr.json", {**said, "attributes": {"ome": ome}})
            return
        self._write(f"{name}/.zgroup", {"zarr_format": 2})
        self._write(f"{name}/.zattrs", ome)

    def image(self, name: str, chunks: int, **more: Any) -> None:
        axes = [{"name": axis, "type": "space"} for axis in "yx"]
        scales = {"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}
        self.group(name, multiscales=[scales], **more)
        rows = -(-chunks // IN_A_ROW)
        shape, chunk = [rows * SIDE, IN_A_ROW * SIDE], [SIDE, SIDE]
        if self._zarr == 3:
            grid = {"name": "regular", "configuration": {"chunk_shape": chunk}}
            keys = {"name": "default", "configuration": {"separator": "/"}}
            said: _Said = {
                "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "uint8",
                "chunk_grid": grid, "chunk_key_encoding": keys, "fill_value": 0,
                "codecs": [{"name": "bytes"}],
            }  # fmt: skip
            self._write(f"{name}/0/zarr.json", said)
        else:
            said = {
                "zarr_format": 2, "shape": shape, "chunks": chunk, "dtype": "|u1",
                "compressor": None, "filters": None, "fill_value": 0, "order": "C",
                "dimension_separator": "/",
            }  # fmt: skip
            self._write(f"{name}/0/.zarray", said)
        inner = "c/" if self._zarr == 3 else ""
        for number in range(chunks):
            at = f"{name}/0/{inner}{number // IN_A_ROW}/{number % IN_A_ROW}"
            path = self._top / at.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            self.files += 1
            path.write_bytes(self.files.to_bytes(8, "little") * (CHUNK // 8))

    def _write(self, name: str, said: _Said) -> None:
        path = self._top / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(said), encoding="utf-8")
        self.files += 1


def _labels(writer: _Writer, chunks: int) -> None:
    writer.image("", chunks // 2)
    writer.group("labels", labels=["cells"])
    writer.image("labels/cells", chunks // 2, **{"image-label": {"source": {"image": "../../"}}})


def _plate(writer: _Writer, chunks: int) -> None:
    names = [f"{'ABCD'[n // 6]}/{n % 6 + 1}" for n in range(WELLS)]
    wells = [
        {"path": name, "rowIndex": n // 6, "columnIndex": n % 6} for n, name in enumerate(names)
    ]
    rows = [{"name": letter} for letter in "ABCD"]
    columns = [{"name": str(n + 1)} for n in range(6)]
    writer.group(plate={"name": "p", "wells": wells, "rows": rows, "columns": columns})
    for row in "ABCD":
        writer.group(row)
    for name in names:
        writer.group(name, well={"images": [{"path": str(field)} for field in range(FIELDS)]})
        for field in range(FIELDS):
            writer.image(f"{name}/{field}", chunks // (WELLS * FIELDS))


def _made(write: Callable[[_Writer, int], None], zarr: int) -> Callable[[Path, int], int]:
    def made(top: Path, chunks: int) -> int:
        writer = _Writer(top, zarr)
        write(writer, chunks)
        return writer.files

    return made


def _all() -> Iterator[tuple[str, tuple[str, Callable[[Path, int], int]]]]:
    for name, write in (("labels", _labels), ("plate", _plate)):
        for zarr in (2, 3):
            yield f"{name}-{zarr}", (f"store with {name}, Zarr {zarr}", _made(write, zarr))


# Name -> what it is called in words, and what writes one below a directory with about so many
# chunks, and gives the number of its files.
KINDS = dict(_all())
