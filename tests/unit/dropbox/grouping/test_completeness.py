from __future__ import annotations

import errno
import json
import os
import struct
from pathlib import Path
from uuid import UUID

import numpy as np
import pydicom
import pydicom.data
import pytest
import tifffile

from omero_fs_plugin.dropbox.grouping import opening
from omero_fs_plugin.dropbox.grouping.completeness import Findings, check
from omero_fs_plugin.dropbox.grouping.formats import omexml
from omero_fs_plugin.dropbox.grouping.formats.holes import holes_of
from omero_fs_plugin.dropbox.grouping.promises.table import KINDS as INDEXES
from omero_fs_plugin.dropbox.grouping.promises.table import Kind
from omero_fs_plugin.errors import Unreadable
from tests import ended

PLANES = np.arange(6 * 40 * 40, dtype=np.uint16).reshape(6, 40, 40)
NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
WHOLE = Findings()


def uuid(number: int) -> str:
    return f"urn:uuid:{UUID(int=number)}"


def ome(inner: str, number: int | None = None) -> str:
    own = "" if number is None else f' UUID="{uuid(number)}"'
    return f'<?xml version="1.0"?><OME xmlns="{NAMESPACE}"{own}>{inner}</OME>'


def planes(*parts: tuple[str, int]) -> str:
    """The TiffData of an image whose planes are in these files, each (name, number of its UUID)."""
    data = "".join(
        f'<TiffData><UUID FileName="{name}">{uuid(number)}</UUID></TiffData>'
        for name, number in parts
    )
    return f'<Image ID="Image:0"><Pixels>{data}</Pixels></Image>'


def write(path: Path, description: str = "", *, plane: np.ndarray = PLANES[0]) -> str:
    text = description.encode() if description else None
    tifffile.imwrite(path, plane, description=text, metadata=None)
    return str(path)


KINDS = {
    "planes": {},
    "BigTIFF": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "tiles": {"tile": (16, 16)},
    "many strips": {"rowsperstrip": 7},
    "compressed": {"compression": "zlib"},
    "OME": {"ome": True},
    "ImageJ": {"imagej": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_cut_anywhere_is_not_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANES, **KINDS[kind])
    assert check(str(tmp_path), [str(path)]) == WHOLE
    data = path.read_bytes()
    for percent in range(1, 100):
        path.write_bytes(data[: len(data) * percent // 100])
        found = check(str(tmp_path), [str(path)])
        assert found.incomplete.startswith(f"{path}: "), f"cut at {percent} %"


def test_the_pyramid_below_a_slide_belongs_to_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(PLANES[0], subifds=1, metadata=None)
        file.write(PLANES[0, ::2, ::2], subfiletype=1, metadata=None)
    assert check(str(tmp_path), [str(path)]) == WHOLE
    os.truncate(path, path.stat().st_size - 300)
    assert "would end at byte" in check(str(tmp_path), [str(path)]).incomplete


def test_the_planes_that_imagej_writes_without_directories(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(PLANES[0], description="ImageJ=1.53t\nimages=6\nslices=6\n", metadata=None)
    with tifffile.TiffFile(path) as written:
        offset = written.pages[0].dataoffsets[0]
    os.truncate(path, offset + PLANES.nbytes)
    assert check(str(tmp_path), [str(path)]) == WHOLE
    os.truncate(path, offset + PLANES.nbytes - 1)
    assert "6 planes would end" in check(str(tmp_path), [str(path)]).incomplete


def test_a_last_strip_of_which_too_much_is_said(tmp_path: Path) -> None:
    """Some writers give the last strip the bytes of a whole one."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANES[0], rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages[0].tags[279]
        assert tag.value == (1280, 1280, 640)
        tag.overwrite((1280, 1280, 1280))
        end = file.pages[0].dataoffsets[-1] + 640
    assert end == path.stat().st_size
    assert check(str(tmp_path), [str(path)]) == WHOLE


def ifd(next_offset: int, *entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    body = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    return struct.pack(order + "H", len(entries)) + body + struct.pack(order + "I", next_offset)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"II*\0" + struct.pack("<I", 8) + ifd(8, (256, 4, 1, 1)), id="a circle"),
        pytest.param(b"II*\0" + struct.pack("<I", 8) + b"\0" * 40, id="a directory of nothing"),
        pytest.param(b"II*\0" + struct.pack("<I", 8) + b"\xff" * 40, id="no directory at all"),
        pytest.param(b"II*\0" + struct.pack("<I", 3) + b"\0" * 40, id="in its own header"),
        pytest.param(
            b"II*\0" + struct.pack("<I", 8) + ifd(0, (273, 99, 9, 9), (279, 4, 1, 9)),
            id="a type that nobody knows",
        ),
        pytest.param(b"PK\3\4" + b"\0" * 40, id="another format"),
        pytest.param(b"", id="empty"),
        pytest.param(
            ended.whole("a.dcm"),
            id="DICOM that looks like TIFF",
        ),
    ],
)
def test_what_is_odd_is_left_to_the_reader(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    assert check(str(tmp_path), [str(tmp_path / "a.tif")]) == WHOLE


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"II*\0" + b"\0" * 40, "no directory has been written yet"),
        (
            b"II*\0" + struct.pack("<I", 8) + ifd(999, (256, 4, 1, 1)),
            "would be at byte 999",
        ),
        (b"II*\0" + struct.pack("<I", 8) + ifd(0, (330, 4, 9, 40)), "tag 330 would end at byte 76"),
        (
            b"II*\0" + struct.pack("<I", 8) + ifd(0, (324, 4, 1 << 31, 40), (325, 4, 1, 9)),
            "tag 324 would end",
        ),
    ],
    ids=["not yet", "next one", "subdirectories", "too many tiles"],
)
def test_how_it_is_known(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    assert said in check(str(tmp_path), [str(tmp_path / "a.tif")]).incomplete


def test_a_companion_that_has_not_come(tmp_path: Path) -> None:
    part = write(
        tmp_path / "a.ome.tif", ome('<BinaryOnly MetadataFile="s.companion.ome" UUID="x"/>', 1)
    )
    companion = tmp_path / "s.companion.ome"
    assert check(str(tmp_path), [part]).missing == (str(companion),)
    companion.write_text(ome(planes(("a.ome.tif", 1), ("b.ome.tif", 2)), 9))
    # It names a part that has not come either, and counts whether a reader used it or not.
    missing = (str(tmp_path / "b.ome.tif"),)
    assert check(str(tmp_path), [part]) == Findings(missing, named=(str(companion), part))
    assert check(str(tmp_path), [part, str(companion)]) == Findings(missing, named=(part,))


def test_a_tiff_that_is_made_longer_than_any_disk(tmp_path: Path) -> None:
    """It takes a few bytes here, and all of its length in OMERO."""
    assert tells_holes(tmp_path), "run this test on a disk with holes, such as ext4 or tmpfs"
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((64, 64), "uint8"))
    assert check(str(tmp_path), [str(path)]) == WHOLE
    whole = path.stat().st_size
    os.truncate(path, 2**40)
    found = check(str(tmp_path), [str(path)])
    assert found.incomplete == (
        f"{path}: its end is not written yet, though the file has its length"
    )
    os.truncate(path, whole + 100)  # some programs leave a little behind the pixels
    assert check(str(tmp_path), [str(path)]) == WHOLE


@pytest.mark.parametrize("used", [True, False], ids=["used by its reader", "passed over"])
@pytest.mark.parametrize("damage", ["empty", "cut", "hole", "zeros", "zeros first"])
def test_a_member_that_is_there_but_not_whole(tmp_path: Path, damage: str, used: bool) -> None:
    def part(name: str, number: int) -> str:
        description = ome(planes(("a.ome.tif", 1), ("b.ome.tif", 2)), number)
        return write(tmp_path / name, description, plane=np.tile(PLANES[0], (4, 4)))

    parts = [part("a.ome.tif", 1), part("b.ome.tif", 2)]
    assert check(str(tmp_path), parts) == Findings(named=tuple(parts))
    member = Path(parts[1])
    size = member.stat().st_size
    if damage == "hole":
        hollow(member)
    elif damage.startswith("zeros"):  # as a share shows what nobody has written yet
        begin = size if damage == "zeros" else 64
        member.write_bytes(bytes(begin) + member.read_bytes()[begin:])
    else:
        os.truncate(member, 0 if damage == "empty" else size * 60 // 100)
    found = check(str(tmp_path), parts if used else parts[:1])
    assert found.incomplete.startswith(f"{member}: ")
    assert not found.missing
    part("b.ome.tif", 2)
    assert not check(str(tmp_path), parts if used else parts[:1]).incomplete


@pytest.mark.parametrize("begin", [8, 64])
@pytest.mark.parametrize("kind", INDEXES, ids=lambda kind: kind.format)
def test_an_index_whose_begin_is_not_written_yet(tmp_path: Path, kind: Kind, begin: int) -> None:
    """Nobody knows what it is: it waits, and with it all that it may name."""
    if kind.words:
        return  # without them it is no index
    path = tmp_path / kind.named[0].replace("*", "x")
    path.write_bytes(bytes(begin) + (b"" if begin < 64 else b"more" * 64))
    found = check(str(tmp_path), [str(path)])
    assert found.incomplete.startswith(f"{path}: ")
    assert not kind.keeps or found.keeps


def test_an_index_with_zeros_among_its_names(tmp_path: Path) -> None:
    path = tmp_path / "x.oif"
    path.write_bytes(b"[ProfileSaveInfo]\nIniFileName0=a\0b.pty\nMainFileName=\0\n")
    assert check(str(tmp_path), [str(path)]) is not None


@pytest.mark.parametrize("zeros", [slice(300, 340), slice(300, None), slice(0, 0)], ids=str)
def test_the_metadata_of_others_must_be_readable(tmp_path: Path, zeros: slice) -> None:
    """Else each would be imported by itself, without it."""
    inner = planes(("m.ome.tif", 1), ("p.ome.tif", 2))
    text = ome(f"{inner}<!--{'x' * 300}-->", 1)
    master = Path(write(tmp_path / "m.ome.tif", text))
    only = f'<BinaryOnly MetadataFile="m.ome.tif" UUID="{uuid(1)}"/>'
    part = write(tmp_path / "p.ome.tif", ome(only, 2))
    data = bytearray(master.read_bytes())
    at = data.index(b"<?xml")
    whole = slice(*zeros.indices(len(text)))
    data[at + whole.start : at + whole.stop] = bytes(whole.stop - whole.start)
    master.write_bytes(data)
    for files in ([str(master)], [part]):
        found = check(str(tmp_path), files)
        assert bool(found.incomplete) == (whole.stop > whole.start), files


def hollow(path: Path, start: int = 4096) -> None:
    """Its bytes from `start` on are a hole, as of a program that sets the length first."""
    data = path.read_bytes()
    path.unlink()
    with path.open("wb") as file:
        file.write(data[:start])
        file.truncate(max(len(data), 3 * start))


def tells_holes(path: Path) -> bool:
    probe = path / "probe"
    with probe.open("wb") as file:
        file.truncate(1 << 16)
    with probe.open("rb") as file:
        return bool(holes_of(file, 1 << 16))


@pytest.mark.parametrize("kind", ["planes", "tiles", "compressed", "BigTIFF"])
def test_a_hole_under_the_pixels_of_a_tiff(tmp_path: Path, kind: str) -> None:
    """Its directories were written first, and then the pixels, one after the other."""
    assert tells_holes(tmp_path), "run this test on a disk with holes, such as ext4 or tmpfs"
    path = tmp_path / "a.tif"
    noise = np.random.default_rng(1).integers(0, 60_000, (6, 256, 256), dtype=np.uint16)
    tifffile.imwrite(path, noise, **KINDS[kind])
    data = path.read_bytes()
    with tifffile.TiffFile(path) as written:
        page = written.pages[-1]
        start, length = page.dataoffsets[-1], page.databytecounts[-1]
    with path.open("wb") as file:
        file.write(data[:start])
        file.seek(start + length)
        file.write(data[start + length :])
        file.truncate(len(data))
    with path.open("rb") as file:
        hollow_now = holes_of(file, len(data)).meet(start, start + length)
    found = check(str(tmp_path), [str(path)])
    # A tile of less than a block may have no hole of its own.
    assert hollow_now or kind == "tiles"
    assert ("is not written yet" in found.incomplete) == hollow_now
    path.write_bytes(data)
    assert check(str(tmp_path), [str(path)]) == WHOLE


def test_a_hole_where_no_pixels_are_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write(path)
    data = path.read_bytes()
    with path.open("wb") as file:
        file.write(data)
        file.truncate(1 << 20)
    assert check(str(tmp_path), [str(path)]) == WHOLE


@pytest.mark.parametrize("name", ["a.ids", "a.mrc", "a.nd2"])
def test_a_hole_at_the_end_of_any_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(os.urandom(4096))
    assert check(str(tmp_path), [str(path)]) == WHOLE
    os.truncate(path, 1 << 16)
    assert check(str(tmp_path), [str(path)]).incomplete == (
        f"{path}: its end is not written yet, though the file has its length"
    )


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.dv").write_bytes(b"x" * 2000)
    (tmp_path / "a.dv.log").touch()
    assert check(str(tmp_path), [str(tmp_path / "a.dv"), str(tmp_path / "a.dv.log")]) == WHOLE


@pytest.mark.parametrize("cut", [10, 100, 200])
def test_a_companion_cut_short(tmp_path: Path, cut: int) -> None:
    companion = tmp_path / "s.companion.ome"
    companion.write_text(ome(planes(("a.ome.tif", 1)), 9)[:cut])
    found = check(str(tmp_path), [str(companion)])
    assert found.incomplete.startswith(f"{companion}: its OME-XML")


def test_entities_are_not_taken(tmp_path: Path) -> None:
    companion = tmp_path / "s.companion.ome"
    companion.write_text('<!DOCTYPE OME [<!ENTITY a SYSTEM "/etc/passwd">]><OME>&a;</OME>')
    assert "entities" in check(str(tmp_path), [str(companion)]).incomplete


def test_more_xml_than_is_read_is_left_to_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    companion = tmp_path / "s.companion.ome"
    companion.write_text(ome(planes(("gone.ome.tif", 1)), 9))
    monkeypatch.setattr(omexml, "LIMIT", 10)
    assert check(str(tmp_path), [str(companion)]) == WHOLE


def test_a_part_that_has_not_come(tmp_path: Path) -> None:
    inner = planes(("a.ome.tif", 1), ("b.ome.tif", 2))
    a, b = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    write(a, ome(inner, 1))
    assert check(str(tmp_path), [str(a)]) == Findings(missing=(str(b),), named=(str(a),))
    write(b, ome(inner, 2))
    assert check(str(tmp_path), [str(a), str(b)]) == Findings(named=(str(a), str(b)))


@pytest.mark.parametrize(
    ("parts", "own"),
    [
        ([("old.ome.tif", 1)], 1),
        ([("old.ome.tif", 2)], None),
        ([("old.ome.tif", 2)], 1),
        ([(r"C:\data\old.ome.tif", 1), ("z.ome.tif", 3)], 1),
    ],
    ids=["its UUID", "no UUID", "the only one", "and another"],
)
def test_a_file_that_was_renamed_is_not_missing(
    tmp_path: Path, parts: list[tuple[str, int]], own: int | None
) -> None:
    path = write(tmp_path / "new.ome.tif", ome(planes(*parts), own))
    write(tmp_path / "z.ome.tif")
    assert check(str(tmp_path), [path]).missing == ()


@pytest.mark.parametrize("name", ["../other/b.ome.tif", "x/../../b.ome.tif"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "amy"
    root.mkdir()
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "b.ome.tif")
    path = write(root / "a.ome.tif", ome(planes(("a.ome.tif", 1), (name, 2)), 1))
    found = check(str(root), [path])
    assert found.refused == f"{path} names {name}, which is not below {root}"
    companion = write(root / "c.ome.tif", ome(f'<BinaryOnly MetadataFile="{name}"/>', 1))
    assert name in check(str(root), [companion]).refused


def test_an_absolute_name_is_below_the_directory_as_java_has_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.tif", ome(planes(("a.ome.tif", 1), ("/etc/hostname", 2)), 1))
    assert check(str(tmp_path), [path]).missing == (f"{tmp_path}/etc/hostname",)


def test_files_that_may_not_be_opened(tmp_path: Path) -> None:
    root = tmp_path / "amy"
    root.mkdir()
    write(tmp_path / "secret.tif")
    (root / "link.tif").symlink_to(tmp_path / "secret.tif")
    os.mkfifo(root / "fifo.tif")
    for path, said in (
        (root / "link.tif", "symbolic link"),
        (root / "fifo.tif", "not a regular file"),
        (tmp_path / "secret.tif", "not below"),
    ):
        found = check(str(root), [str(path)])
        assert said in found.refused and str(path) in found.refused
    assert check(str(root), [str(root / "gone.tif")]).missing == (str(root / "gone.tif"),)


def test_what_cannot_be_read_now_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(root: str, path: str) -> int:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(opening, "open_beneath", stale)
    found = check(str(tmp_path), [str(tmp_path / "a.tif")])
    assert found.incomplete == f"{tmp_path}/a.tif: cannot be read now: Stale file handle"


def test_a_pattern_names_its_planes(tmp_path: Path) -> None:
    pattern = tmp_path / "all.pattern"
    pattern.write_text("t<0-2>.tif\n")
    for t in (0, 2):
        write(tmp_path / f"t{t}.tif")
    found = check(str(tmp_path), [str(pattern)])
    assert found.missing == (str(tmp_path / "t1.tif"),)
    assert found.named == (str(tmp_path / "t0.tif"), str(tmp_path / "t2.tif"))


@pytest.mark.parametrize("text", ["/etc/host<a-c>", "../zak/t<0-2>.tif"])
def test_a_pattern_that_leads_out_is_refused(tmp_path: Path, text: str) -> None:
    root = tmp_path / "amy"
    root.mkdir()
    (root / "all.pattern").write_text(text)
    assert "which is not below" in check(str(root), [str(root / "all.pattern")]).refused


def test_of_many_missing_names_some_are_told(tmp_path: Path) -> None:
    (tmp_path / "all.pattern").write_text("t<0-1999>.tif")
    assert len(check(str(tmp_path), [str(tmp_path / "all.pattern")]).missing) == 1000


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("\ud800.tif", "not UTF-8"),
        ("\udcff.tif", "not UTF-8"),
        ("a\0b.tif", "no file can be called"),
        ("x" * 256, "no file can be called"),
        ("x/" * 2048, "no file can be called"),
    ],
    ids=["half a pair", "a byte", "NUL", "256 bytes", "4096 bytes"],
)
def test_a_name_that_no_file_has_is_refused_and_never_raises(
    tmp_path: Path, name: str, says: str
) -> None:
    notes = tmp_path / "metadata.txt"
    notes.write_text(json.dumps({"Summary": {}, "F": {"FileName": name}}))
    found = check(str(tmp_path), [str(notes)])
    assert says in found.refused and str(notes) in found.refused and not found.missing
    found.refused.encode()
    assert says in check(str(tmp_path), [f"{tmp_path}/{name}"]).refused


def test_what_is_too_much_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.pattern").write_text("t<001-999999>.tif")
    found = check(str(tmp_path), [str(tmp_path / "x.pattern")])
    assert found.refused.startswith(f"{tmp_path}/x.pattern: it names more files than")


@pytest.mark.parametrize(("lacks", "told"), [("", False), ("s4.dcm", True), ("s6.dcm", False)])
def test_a_slice_that_a_series_of_dicom_lacks_is_told_and_holds_nothing(
    tmp_path: Path, lacks: str, told: bool
) -> None:
    source = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm", download=False))
    files = []
    for number in range(1, 7):
        path = tmp_path / f"s{number}.dcm"
        if path.name != lacks:
            source.InstanceNumber = number
            source.save_as(path)
            files.append(str(path))
    remark = "the series has 5 slices from 1 to 6, and slice 4 is not there" if told else ""
    assert check(str(tmp_path), files) == Findings(remark=remark)


@pytest.mark.parametrize(
    ("named", "there", "told"),
    [
        ("z\u00e9.tif", "ze\u0301.tif", "NFD or NFC"),
        ("ze\u0301.tif", "z\u00e9.tif", "NFD or NFC"),
        ("z0.tif", "Z0.TIF", "another case"),
    ],
    ids=["NFD on disk", "NFC on disk", "case"],
)
def test_what_has_the_same_name_for_people_waits_with_the_set_and_is_told(
    tmp_path: Path, named: str, there: str, told: str
) -> None:
    """It would be imported by itself, and the set would wait for it for ever."""
    companion = tmp_path / "s.companion.ome"
    companion.write_text(ome(planes((named, 1), ("b.tif", 2)), 9), encoding="utf-8")
    write(tmp_path / "b.tif")
    twin = write(tmp_path / there)
    found = check(str(tmp_path), [str(companion)])
    assert found.missing == (str(tmp_path / named),)
    assert told in found.alike and there in found.alike
    assert [reach.takes(twin) for reach in found.keeps] == [True]
    assert not found.keeps[0].takes(str(tmp_path / "b.tif"))
    # If its reader has found it all the same, nothing is missing.
    used = check(str(tmp_path), [str(companion), str(tmp_path / "b.tif"), twin])
    assert not used.missing and not used.keeps


@pytest.mark.parametrize("error", [errno.EACCES, errno.ESTALE], ids=["rights", "disk"])
@pytest.mark.parametrize("name", ["s.companion.ome", "exp.nd", "Index.idx.xml"])
def test_an_index_that_cannot_be_read_may_name_any_file_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: int
) -> None:
    """Its images are not imported one by one before its rights are mended."""

    def refused(root: str, path: str) -> int:
        if error == errno.EACCES:
            raise Unreadable("cannot be read by the server", path)
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(opening, "open_beneath", refused)
    index = tmp_path / name
    found = check(str(tmp_path), [str(index)])
    assert found.incomplete
    assert found.unread == ((str(index),) if error == errno.EACCES else ())
    assert found.not_now is (error == errno.ESTALE)
    assert any(reach.takes(str(tmp_path / "a.tif")) for reach in found.keeps)
