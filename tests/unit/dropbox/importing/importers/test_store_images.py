"""What the metadata of an OME-Zarr says of its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers import store_images
from omero_fs_plugin.dropbox.importing.importers.store_images import (
    Channel,
    Layout,
    StorePlate,
    layout,
)
from omero_fs_plugin.errors import ImportRefused

Files = dict[str, Any]
UM = {"type": "space", "unit": "micrometer"}


def read(files: Files) -> Layout:
    def one(name: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = files.get(name)
        return found

    return layout("/in/amy/a.zarr/", one)


def two(axes: Any = "yx", shape: Any = (8, 9), dtype: str = "<u2", **ome: Any) -> Files:
    """Zarr 2 with one image.  An axis is a name, or what the metadata has."""
    said = [{"name": axis} if isinstance(axis, str) else axis for axis in axes]
    scales = {"axes": said, "datasets": [{"path": "0"}]}
    return {
        ".zgroup": {},
        ".zattrs": {"multiscales": [scales], **ome},
        "0/.zarray": {"shape": list(shape), "dtype": dtype},
    }


def only(files: Files) -> store_images.StoreImage:
    (image,) = read(files).images
    return image


@pytest.mark.parametrize(
    ("axes", "shape", "sizes"),
    [
        ("yx", (8, 9), "9 8 1 1 1"),
        ("tczyx", (2, 3, 4, 5, 6), "6 5 4 3 2"),
        ("cxy", (2, 3, 4), "3 4 1 2 1"),
    ],
)
def test_sizes_by_the_names_of_axes(axes: str, shape: tuple[int, ...], sizes: str) -> None:
    found = only(two(axes, shape)).sizes
    assert " ".join(str(found[axis]) for axis in "XYZCT") == sizes


def test_without_axes_they_are_those_of_omero() -> None:
    files = two(shape=(1, 2, 3, 4, 5))
    del files[".zattrs"]["multiscales"][0]["axes"]
    assert only(files).sizes == {"T": 1, "C": 2, "Z": 3, "Y": 4, "X": 5}


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("|u1", "uint8"), ("|i1", "int8"), (">u2", "uint16"), ("<i2", "int16"), ("<u4", "uint32"),
        ("<i4", "int32"), (">f4", "float"), ("<f8", "double"),
    ],
)  # fmt: skip
def test_data_types_of_zarr_2(dtype: str, expected: str) -> None:
    assert only(two(dtype=dtype)).pixel_type == expected


@pytest.mark.parametrize("dtype", ["|b1", "<u8", "<i8", "<f2", "<c8", "|S4", "r16"])
def test_data_types_that_omero_cannot_show(dtype: str) -> None:
    with pytest.raises(ImportRefused, match="which OMERO cannot show") as refused:
        read(two(dtype=dtype))
    assert refused.value.final


def test_zarr_3() -> None:
    scales = {"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "s0"}], "name": "n"}
    files = {
        "zarr.json": {"attributes": {"ome": {"version": "0.5", "multiscales": [scales]}}},
        "s0/zarr.json": {"shape": [4, 5], "data_type": "float32"},
    }
    image = only(files)
    assert (image.name, image.pixel_type, image.sizes["X"]) == ("n", "float", 5)


def test_the_size_of_a_pixel_needs_a_scale_and_a_unit() -> None:
    axes = [{"name": "z", **UM}, {"name": "y", **UM}, {"name": "x", "type": "space"}]
    files = two(axes, (2, 3, 4))
    assert only(files).pixel_size == {}
    scales = files[".zattrs"]["multiscales"][0]
    scales["coordinateTransformations"] = [{"type": "scale", "scale": [2, 2, 2]}]
    scales["datasets"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [0, 0.5, 0.5]},
        {"type": "translation", "translation": [1, 1, 1]},
    ]
    assert only(files).pixel_size == {"Y": (1.0, "micrometer")}, "no size is 0"


def test_channels_are_known_if_each_is_described() -> None:
    said = [
        {"label": "DAPI", "color": "#0000ffcc", "window": {"start": 1, "end": 2, "min": 0}},
        {"label": 7, "color": "blue", "active": False, "window": {"start": 2, "end": 1}},
    ]
    files = two("cyx", (2, 3, 4), omero={"channels": said, "rdefs": {"model": "greyscale"}})
    image = only(files)
    assert image.channels == (
        Channel("DAPI", (0, 0, 255), True, (1.0, 2.0), None),
        Channel("7", None, False, None, None),
    )
    assert image.grey
    files[".zattrs"]["omero"]["channels"] = said[:1]
    assert only(files).channels == ()


@pytest.mark.parametrize("named", [True, False])
def test_the_layout_of_bioformats2raw(named: bool) -> None:
    one = two()
    files: Files = {".zgroup": {}, ".zattrs": {"bioformats2raw.layout": 3}}
    names = ["1", "0"] if named else ["0", "1"]
    if named:
        files["OME/.zattrs"] = {"series": [*names, "1", "./0"]}  # told twice
    for name in names:
        files |= {f"{name}/{path}": said for path, said in one.items()}
    found = read(files)
    assert [image.path for image in found.images] == names
    assert found.plate is None


def test_what_a_plate_names_many_times_is_read_once() -> None:
    asked: list[str] = []
    well = {"path": "A/1", "rowIndex": 0, "columnIndex": 0}
    files: Files = {
        ".zattrs": {"plate": {"wells": [well] * 500}},
        "A/1/.zattrs": {"well": {"images": [{"path": "0"}] * 500}},
        **{f"A/1/0/{path}": said for path, said in two().items()},
    }

    def one(name: str) -> Mapping[str, Any] | None:
        asked.append(name)
        found: Mapping[str, Any] | None = files.get(name)
        return found

    assert len(layout("/in/amy/a.zarr/", one).images) == 1
    assert len(asked) < 20


def test_a_plate() -> None:
    one = two()
    wells = [
        {"path": "1/2", "rowIndex": 0, "columnIndex": 1},
        {"path": "3/1", "rowIndex": 2, "columnIndex": 0},
        {"path": "1/2", "rowIndex": 0, "columnIndex": 1},  # told twice
    ]
    plate = {"name": "P", "wells": wells, "rows": [{"name": "1"}], "columns": [{"name": "A"}]}
    files: Files = {".zgroup": {}, ".zattrs": {"plate": plate}}
    for well in ("1/2", "3/1"):
        files[f"{well}/.zattrs"] = {"well": {"images": [{"path": "0"}]}}
        files |= {f"{well}/0/{path}": said for path, said in one.items()}
    found = read(files)
    assert found.plate == StorePlate("P", 3, 2, (True, False)), "as large as its wells need"
    assert [(image.path, image.well) for image in found.images] == [
        ("1/2/0", (0, 1)),
        ("3/1/0", (2, 0)),
    ]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no multiscales"),
        (two("yy"), "axes"),
        (two("aby", (1, 2, 3)), "axes"),
        (two("zy"), "axes"),
        (two(shape=(8, 2**31)), "a shape"),
        (two(shape=(8, float("inf"))), "not understood"),
        (two("cyx", (10**6, 1, 1)), "channels"),
        (two(dtype="<u2") | {"0/.zarray": {"shape": None, "dtype": "<u2"}}, "not understood"),
        ({**two(), ".zattrs": {"multiscales": 3}}, "not understood"),
        ({**two(), ".zattrs": {"multiscales": [{"datasets": [{"path": "/0"}]}]}}, "outside"),
        ({**two(), ".zattrs": {"multiscales": [{"datasets": [{"path": "1"}]}]}}, "no array 1"),
        ({".zattrs": {"bioformats2raw.layout": 3}}, "has no image"),
        ({".zattrs": {"plate": {"wells": [{"path": "A/1", "rowIndex": -1, "columnIndex": 0}]}}},
         "a place that no well has"),
        ({"zarr.json": {"attributes": None}}, "not understood"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_image_is_refused_for_good(files: Files, why: str) -> None:
    with pytest.raises(ImportRefused, match=why) as refused:
        read(files)
    assert refused.value.final
    assert str(refused.value).startswith("/in/amy/a.zarr/: ")


def test_numbers_that_no_computer_has_are_left_out() -> None:
    said = [{"window": {"start": 10**400, "end": 2}}]
    axes = [{"name": "y", **UM}, {"name": "x", **UM}]
    assert only(two(axes, omero={"channels": said})).channels == (Channel(),)


@pytest.mark.parametrize("limit", ["MOST_IMAGES", "MOST_CHANNELS"])
def test_a_store_has_so_many_images_at_most(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(store_images, limit, 1)
    well = {"path": "A/1", "rowIndex": 0, "columnIndex": 0}
    files: Files = {".zattrs": {"plate": {"wells": [well]}}}
    files["A/1/.zattrs"] = {"well": {"images": [{"path": "0"}, {"path": "1"}]}}
    for name in ("0", "1"):
        files |= {f"A/1/{name}/{path}": said for path, said in two().items()}
    with pytest.raises(ImportRefused, match="has more than 1"):
        read(files)
