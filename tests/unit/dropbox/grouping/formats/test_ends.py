"""Whether a file was cut short, for each format whose end can be known."""

from __future__ import annotations

import io
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pydicom.data
import pytest

from omero_fs_plugin.dropbox.grouping.formats import dicom, ends, pictures
from omero_fs_plugin.dropbox.grouping.formats.holes import Holes
from omero_fs_plugin.dropbox.grouping.formats.reading import Enough, Pieces
from tests import ended


def fault(name: str, data: bytes, holes: Holes | None = None) -> str:
    return ends.fault(io.BytesIO(data), name, len(data), holes)


@pytest.mark.parametrize("name", ended.MAKERS)
def test_a_whole_file_has_no_fault(name: str) -> None:
    assert fault(name, ended.whole(name)) == ""


SHOWN = 512  # bytes that show the format; a file that is shorter is for the reader
# What no pixel needs: a block of FITS is filled, deflated DICOM has an even length, and the last
# sector of OLE may be left short.
FILL = {"a.fits": 2880 - 256, "a.oib": 512, "deflated.dcm": 1}
# Of what has further elements after its pixels, those are no part of the image.
AFTER_PIXELS = {"a.dcm": 200}
# Where an image of several has its end: nobody can know whether another one is to come.
COMPLETE_BEFORE = {
    "padded.jpg": lambda: frozenset(
        range(len(ended.picture("JPEG")), len(ended.picture("JPEG")) + 102)
    ),
    "two.gif": lambda: frozenset(range(len(ended.picture("GIF")), len(ended.picture("GIF")) + 4)),
    "two.mpo": lambda: _first_of_two(ended.whole("two.mpo")),
    "extension.fits": lambda: frozenset(range(2880, 2888)),
    "a.mov": lambda: frozenset(
        range(ended.whole("a.mov").index(b"moov") - 4, ended.whole("a.mov").index(b"moov") + 4)
    ),
}
NEAR = 600  # bytes at the end, where each place is tried


def _first_of_two(data: bytes) -> frozenset[int]:
    end = data.index(b"\xff\xd9\xff\xd8\xff") + 2
    return frozenset(range(end, end + 3))


@pytest.mark.parametrize("name", ended.MAKERS)
def test_a_file_cut_anywhere_is_not_whole(name: str) -> None:
    data = ended.whole(name)
    last = len(data) - FILL.get(name, 0) - AFTER_PIXELS.get(name, 0)
    first = SHOWN if last > SHOWN else last // 2
    whole_images = COMPLETE_BEFORE.get(name, frozenset)()
    near = range(max(first, last - NEAR), last)
    for size in sorted({*range(first, last, max(1, last // 997)), *near} - whole_images):
        assert "cut short" in fault(name, data[:size]), f"cut to {size} of {len(data)} bytes"


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.mrc", "a.nii", "a.dcm", "a.fits", "a.bmp"])
def test_a_hole_in_pixels_is_not_written_yet(name: str) -> None:
    data = ended.whole(name)
    middle = len(data) // 2
    assert "not written yet" in fault(name, data, Holes([(middle, middle + 10)]))


@pytest.mark.parametrize("name", ["a.czi", "a.ims", "a.oib", "a.lif"])
def test_a_container_may_have_room_that_nobody_uses(name: str) -> None:
    data = ended.whole(name)
    assert fault(name, data, Holes([(len(data) // 2, len(data) // 2 + 10)])) == ""
    assert "its end is not written yet" in fault(name, data, Holes([(len(data) - 9, len(data))]))


TAILS = {
    "zeros": bytes(5000),
    "a line": b"\n",
    "anything": bytes(range(256)) * 20,
    "text": b"these lines were added by somebody\n" * 200,
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("name", ended.MAKERS)
def test_what_somebody_added_to_a_whole_file_is_no_fault(name: str, tail: str) -> None:
    assert fault(name, ended.whole(name) + TAILS[tail]) == ""


@pytest.mark.parametrize(
    ("name", "tail"),
    [("a.jpg", b"\0" * 100_000), ("a.gif", b"\0\0"), ("a.png", b"more"), ("a.dcm", b"\0" * 8)],
)
def test_what_follows_an_image_is_no_fault(name: str, tail: bytes) -> None:
    assert fault(name, ended.whole(name) + tail) == ""


def test_a_thumbnail_at_the_start_is_not_the_end_of_a_jpeg() -> None:
    thumbnail = ended.picture("JPEG")
    data = ended.whole("a.jpg")
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    with_thumbnail = data[:2] + segment + data[2:]
    assert fault("a.jpg", with_thumbnail) == ""
    assert "mark of the end" in fault("a.jpg", with_thumbnail[:-100])


REAL_DICOM = [
    "DICOMDIR",
    "UN_sequence.dcm",
    "SC_rgb_jpeg.dcm",
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "JPEG2000.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "image_dfl.dcm",
    "reportsi.dcm",
    "rtplan.dcm",
]


def _real_dicom() -> list[Path]:
    found = []
    for name in REAL_DICOM:
        path = pydicom.data.get_testdata_file(name, download=False)
        if path is not None:
            found.append(Path(path))
    return found


@pytest.mark.parametrize("path", _real_dicom(), ids=lambda path: path.name)
def test_real_dicom_is_whole(path: Path) -> None:
    assert fault(path.name, path.read_bytes()) == ""


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([1, 2, 3], ""),
        ([3, 1, 2, 2], ""),
        ([7, 8, 9], ""),
        ([1, 3], ""),
        ([10, 20, 30], ""),
        ([1, 2, 4], "slice 3 is not there"),
        ([1, 2, 6, 7], "slices 3 to 5 are not there"),
        ([10, 20, 50, 60, 80], "slices 30 to 40, 70 are not there"),
        ([0, 1, *range(3, 10**6, 2)], "slices 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, "),
    ],
)
def test_slices_that_a_series_lacks(numbers: list[int], told: str) -> None:
    found = dicom.gaps(numbers)
    assert found.startswith(told) and bool(found) == bool(told)
    assert len(found) < 100


# One of them says that it has types, and has none.
@pytest.mark.filterwarnings("ignore:Expected explicit VR:UserWarning")
@pytest.mark.parametrize("path", _real_dicom(), ids=lambda path: path.name)
def test_the_number_of_a_slice_is_what_pydicom_reads(path: Path) -> None:
    read = pydicom.dcmread(path)
    with path.open("rb") as file:
        found = ends.slice_of(file, path.name, path.stat().st_size)
    if (
        path.name == "image_dfl.dcm" or "InstanceNumber" not in read or read.InstanceNumber is None
    ):  # deflated: nobody looks into it
        assert found is None
    else:
        assert found == (str(read.SeriesInstanceUID), int(read.InstanceNumber))


def test_dicom_with_pixels_in_pieces_ends_with_a_mark() -> None:
    path = pydicom.data.get_testdata_file("JPEG2000.dcm", download=False)
    assert path is not None
    data = Path(path).read_bytes()
    for percent in range(25, 100):
        assert "cut short" in fault("a.dcm", data[: len(data) * percent // 100])


def test_hdf5_that_a_program_has_open() -> None:
    data = bytearray(ended.hdf5(3))
    data[11] = 1
    assert "open for writing" in fault("a.ims", bytes(data))


def test_a_czi_whose_labels_are_not_all_there() -> None:
    data = ended.czi()
    assert fault("a.czi", data) == ""
    assert "a segment would end" in fault("a.czi", data[:-1])
    gone = bytearray(data)
    at = data.index(b"ZISRAWATTACH\0")
    gone[at : at + 12] = bytes(12)  # its length is set, and it is not written
    assert "ZISRAWATTACH would begin" in fault("a.czi", bytes(gone))


def test_a_czi_that_zen_is_writing() -> None:
    data = bytearray(ended.czi())
    struct.pack_into("<i", data, 32 + 68, 1)
    assert "update is pending" in fault("a.czi", bytes(data))


def test_a_lif_that_ends_after_a_block() -> None:
    data = ended.lif(blocks=3)
    block = (
        len(ended.lif(blocks=3))
        - len(ended.lif(blocks=2))
        - 2 * len('<Memory Size="1000" MemoryBlockID="MemBlock_2"/>')
    )
    assert "promises 3 blocks of pixels, and 2 are there" in fault("a.lif", data[:-block])


GIF = b"GIF89a" + b"\1\0" * 2 + b"\0\0\0"


@pytest.mark.parametrize(
    ("look", "data"),
    [
        (pictures.gif, GIF + bytes(30 << 20)),
        (pictures.gif, GIF + b"\x21\xff" + b"\1a" * (12 << 20)),
        (pictures.jpeg, b"\xff\xd8" + b"\xff\xd0" * (12 << 20)),
        (pictures.jpeg, b"\xff\xd8\xff\xda\0\2" + b"\xff\xfe\0\2" * (6 << 20)),
    ],
    ids=["zeros in a GIF", "blocks of a byte", "marks without an end", "segments"],
)
def test_a_file_made_to_waste_time_is_left_to_the_reader(
    look: Callable[[Pieces], None], data: bytes
) -> None:
    with pytest.raises(Enough):
        look(Pieces(io.BytesIO(data), len(data)))


def test_a_file_of_many_gigabytes_costs_few_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    head = bytearray(ended.whole("a.mrc")[:1024])
    struct.pack_into("<4i", head, 0, 8192, 8192, 2000, 1)
    path.write_bytes(head)
    os.truncate(path, 1024 + 8192 * 8192 * 2000 * 2)
    begun = time.process_time()
    with path.open("rb") as file:
        assert ends.fault(file, "a.mrc", path.stat().st_size) == ""
        assert "cut short" in ends.fault(file, "a.mrc", path.stat().st_size - 1)
    assert time.process_time() - begun < 1


def test_other_files_have_no_end_that_is_known() -> None:
    assert fault("notes.txt", b"notes") == ""
    assert fault("a.png", b"") == ""
