"""Sizes and pixel types as the sandbox reads them, and what it refuses."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy
import pytest
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

from omero_fs_plugin.sandbox.pixels import Series, UnreadableImage, read_series


def ome_tiff(path: Path, shape: tuple[int, ...] = (3, 2, 4, 30, 40), axes: str = "TCZYX") -> Path:
    planes = numpy.zeros(shape, numpy.uint16)
    tifffile.imwrite(path, planes, ome=True, metadata={"axes": axes, "Name": "cells"})
    return path


def reason(path: Path) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_series(path)
    return str(caught.value)


def test_ome_tiff_sizes_and_name(tmp_path: Path) -> None:
    assert read_series(ome_tiff(tmp_path / "a.ome.tiff")) == [
        Series("cells", 40, 30, 4, 2, 3, "uint16")
    ]


def test_every_image_of_an_ome_tiff(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as tif:
        tif.write(numpy.zeros((5, 6), numpy.uint8))
        tif.write(numpy.zeros((2, 7, 8), numpy.float32), metadata={"axes": "TYX"})
    first, second = read_series(tmp_path / "two.ome.tif")
    assert (first.size_x, first.size_y, first.pixel_type) == (6, 5, "uint8")
    assert (second.size_x, second.size_t, second.pixel_type) == (8, 2, "float")


@pytest.mark.parametrize(
    ("array", "options", "expected"),
    [
        ((7, 9), {}, Series("", 9, 7, 1, 1, 1, "int16")),
        ((4, 7, 9), {}, Series("", 9, 7, 1, 1, 4, "int16")),
        ((7, 9, 3), {"photometric": "rgb"}, Series("", 9, 7, 1, 3, 1, "int16")),
        ((7, 9), {"bigtiff": True, "byteorder": ">"}, Series("", 9, 7, 1, 1, 1, "int16")),
        ((2, 3, 4, 7, 9), {"imagej": True, "dtype": "uint8"}, Series("", 9, 7, 3, 4, 2, "uint8")),
    ],
    ids=["one plane", "pages", "rgb", "big-endian BigTIFF", "ImageJ"],
)
def test_plain_tiff(tmp_path: Path, array: tuple[int, ...], options, expected: Series) -> None:
    dtype = options.pop("dtype", "int16")
    options.setdefault("photometric", "minisblack")
    tifffile.imwrite(tmp_path / "a.tif", numpy.zeros(array, dtype), **options)
    assert read_series(tmp_path / "a.tif") == [expected]


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    Image.new("RGB", (12, 5)).save(tmp_path / "a.dcm", format="PNG")
    assert read_series(tmp_path / "a.dcm") == [Series("", 12, 5, 1, 3, 1, "uint8")]


@pytest.mark.parametrize(
    ("mode", "kind", "channels", "pixel_type"),
    [
        ("L", "PNG", 1, "uint8"),
        ("I;16", "PNG", 1, "uint16"),
        ("RGBA", "PNG", 4, "uint8"),
        ("P", "PNG", 3, "uint8"),
        ("RGB", "JPEG", 3, "uint8"),
    ],
)
def test_pictures(tmp_path: Path, mode: str, kind: str, channels: int, pixel_type: str) -> None:
    Image.new(mode, (8, 6)).save(tmp_path / "a", format=kind)
    assert read_series(tmp_path / "a") == [Series("", 8, 6, 1, channels, 1, pixel_type)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CT_small.dcm", Series("", 128, 128, 1, 1, 1, "int16")),
        ("examples_rgb_color.dcm", Series("", 320, 240, 1, 3, 1, "uint8")),
        ("rtdose.dcm", Series("", 10, 10, 15, 1, 1, "uint32")),
        ("JPEG2000.dcm", Series("", 256, 1024, 1, 1, 1, "int16")),
    ],
)
def test_dicom_from_elsewhere(name: str, expected: Series) -> None:
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip(f"this pydicom does not carry {name}")
    assert read_series(Path(str(found))) == [expected]


def test_companion_beside_a_binary_only_tiff(tmp_path: Path) -> None:
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image Name="far">'
        '<Pixels Type="uint8" SizeX="3" SizeY="2" SizeZ="1" SizeC="1" SizeT="9"/></Image></OME>'
    )
    only = '<OME><BinaryOnly MetadataFile="all.companion.ome" UUID="urn:uuid:1"/></OME>'
    tiff = tmp_path / "a.ome.tif"
    tifffile.imwrite(tiff, numpy.zeros((2, 3), numpy.uint8), description=only, metadata=None)
    assert "all.companion.ome" in reason(tiff)
    (tmp_path / "all.companion.ome").write_text(xml)
    expected = [Series("far", 3, 2, 1, 1, 9, "uint8")]
    assert read_series(tiff) == expected == read_series(tmp_path / "all.companion.ome")


@pytest.mark.parametrize("percent", [0, 1, 10, 50, 90, 99])
@pytest.mark.parametrize("kind", ["ome", "plain", "png", "jpeg", "dicom"])
def test_cut_short(tmp_path: Path, kind: str, percent: int) -> None:
    whole = tmp_path / "whole"
    noise = numpy.random.default_rng(1).integers(0, 255, (4, 64, 64), numpy.uint8)
    if kind == "ome":
        ome_tiff(whole)
    elif kind == "plain":
        tifffile.imwrite(whole, noise, photometric="minisblack", compression=None, metadata=None)
    elif kind == "dicom":
        whole = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    else:
        Image.fromarray(noise[0]).save(whole, format=kind)
    data = whole.read_bytes()
    read_series(whole)
    (tmp_path / "cut").write_bytes(data[: len(data) * percent // 100])
    assert reason(tmp_path / "cut").startswith("cut: ")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello\n" * 100, id="text"),
        pytest.param(b"II*\0", id="a TIFF's head alone"),
        pytest.param(b"II*\0" + b"\xff" * 64, id="a TIFF's head and junk"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"x" * 90, id="PNG"),
        pytest.param(b"\xff\xd8\xff", id="JPEG"),
        pytest.param(b"\0" * 128 + b"DICM", id="DICOM"),
        pytest.param(b"<?xml version='1.0'?><OME/>", id="OME-XML without an image"),
        pytest.param(b"<OME broken", id="broken XML"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd name.tif").write_bytes(content)
    assert reason(tmp_path / "odd name.tif").startswith("odd name.tif: ")


def test_a_directory_chain_that_loops_ends(tmp_path: Path) -> None:
    tags = [(256, 4, 1, 2), (257, 4, 1, 2), (258, 3, 1, 8), (273, 4, 1, 8), (279, 4, 1, 4)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    (tmp_path / "loop.tif").write_bytes(
        struct.pack("<2sHI", b"II", 42, 8) + directory + b"\x08\0\0\0"
    )
    assert "circle" in reason(tmp_path / "loop.tif")


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a SYSTEM "file:///etc/passwd">]><OME>&a;</OME>'
    (tmp_path / "a.companion.ome").write_text(bomb)
    assert "without an image" in reason(tmp_path / "a.companion.ome")


@pytest.mark.parametrize(
    "claimed", [{"SizeC": 2_000_000_000}, {"SizeZ": 0}, {"SizeT": -1}, {"SizeX": 2**40}]
)
def test_sizes_that_no_image_has(tmp_path: Path, claimed: dict[str, int]) -> None:
    sizes = {f"Size{axis}": 1 for axis in "XYZCT"} | claimed
    text = " ".join(f'{key}="{value}"' for key, value in sizes.items())
    xml = f'<OME ><Image><Pixels Type="uint8" {text}/></Image></OME>'
    (tmp_path / "a.companion.ome").write_text(xml)
    assert "sizes that no image has" in reason(tmp_path / "a.companion.ome")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    assert reason(tmp_path / "pipe.tif") == "pipe.tif: not a regular file"
    assert "missing.tif" in reason(tmp_path / "missing.tif")


def test_a_link_in_place_is_followed(tmp_path: Path) -> None:
    source = ome_tiff(tmp_path / "source")
    (tmp_path / "link").symlink_to(source)
    assert read_series(tmp_path / "link") == read_series(source)
