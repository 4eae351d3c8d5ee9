from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omero_fs_plugin.config.readers import KNOWN
from omero_fs_plugin.dropbox.grouping import userfiles
from omero_fs_plugin.dropbox.grouping.native.grouper import NativeGrouper
from omero_fs_plugin.dropbox.grouping.native.signatures import (
    Kind,
    UnknownFormat,
    identify,
    is_image_name,
)
from tests import samples
from tests.conftest import examples
from tests.groupings import files_below, grouped

# Of one file of some hundred bytes; directories of TIFF and XML have bounds of their own.
MOST_READ = 1 << 20
SUFFIXES = (
    *("tif", "ome.tif", "companion.ome", "nhdr", "nrrd", "ics", "ids", "dcm", "dv", "mrc", "lif"),
    *("nii", "hdr", "img", "czi", "nd2", "oib", "svs", "ndpi", "stk", "nd", "xml", "pattern", ""),
    *("metadata.txt", "bmp", "pgm", "avi", "vsi", "oir"),
)


@pytest.mark.parametrize("name", ["a.tif", "A.OZX", "a.zarr.zip", "a.ome.Zarr.Zip", "b.czi"])
def test_what_is_meant_to_be_an_image_has_failed_if_no_reader_takes_it(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a.zip", "notes.txt", "zarr.zip", "a.zarr.zip.txt"])
def test_what_is_not_is_passed_over(name: str) -> None:
    assert not is_image_name(name)


def kind(data: bytes, name: str) -> Kind:
    return identify(io.BytesIO(data), name)


def padded(start: bytes, at: int = 0) -> bytes:
    return (b"\1" * at + start).ljust(2000, b"\0")


OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"


@pytest.mark.parametrize(
    ("start", "at", "name", "reader"),
    [
        (b"\xda\xce\xbe\x0a", 0, "a.nd2", "ND2Reader"),
        (JP2, 0, "old.ND2", "ND2Reader"),
        (JP2, 0, "a.jp2", "JPEG2000Reader"),
        (b"ZISRAWFILE", 0, "a.czi", "ZeissCZIReader"),
        (b"\x70\0\0\0\x10\0\0\0\x2a", 0, "a.lif", "LIFReader"),
        (OLE2, 0, "a.oib", "FV1000Reader"),
        (OLE2, 0, "a.zvi", "ZeissZVIReader"),
        (b"\x89HDF\r\n\x1a\n", 0, "a.ims", "ImarisHDFReader"),
        (b"MAP ", 208, "a.map", "MRCReader"),
        (b"\xa0\xc0", 96, "a.dv", "DeltavisionReader"),
        (b"\xc0\xa0", 96, "a_R3D.dv", "DeltavisionReader"),
        (b"8BPS\0\1", 0, "a.psd", "PSDReader"),
        (b"\0\0\0\3", 0, "a.dm3", "GatanReader"),
        (b"DICM", 128, "1.2.840.10008", "DicomReader"),
        (b"\x08\0\x05\0", 0, "a.dcm", "DicomReader"),
        (b"\0\0\0\x14ftypqt", 0, "a.mov", "QTReader"),
    ],
)
def test_by_the_first_bytes(start: bytes, at: int, name: str, reader: str) -> None:
    found = kind(padded(start, at), name)
    assert (found.reader, found.held) == (reader, "")


@pytest.mark.parametrize("file", ["CT_small.dcm", "SC_rgb_jpeg.dcm", "ExplVR_LitEndNoMeta.dcm"])
def test_real_dicom(file: str) -> None:
    assert kind(samples.real_dicom(file), file).rule == "dicom"


@pytest.mark.parametrize(
    ("name", "tags", "reader", "held"),
    [
        ("a.lsm", {34412: b"LSM"}, "ZeissLSMReader", False),
        ("a.stk", {33628: b"x"}, "MetamorphReader", False),
        ("a.ndpi", {65420: b"x"}, "NDPIReader", False),
        ("a.tif", {65420: b"x"}, "TiffDelegateReader", False),
        ("a.svs", {270: b"Aperio Image Library"}, "SVSReader", False),
        ("a.svs", {270: b"another"}, "TiffDelegateReader", False),
        ("a.scn", {270: b"www.leica-microsystems.com/scn/"}, "LeicaSCNReader", False),
        ("a.bif", {700: b"<iScan>"}, "VentanaReader", False),
        ("a.tif", {34361: b"x"}, "FluoviewReader", False),
        ("a.tif", {51123: b"{}"}, "MicromanagerReader", True),
        ("a.tif", {270: b"<MetaData>"}, "MetamorphTiffReader", True),
        ("a.tif", {305: b"Prairie View"}, "PrairieReader", True),
        ("a.tif", {33432: b"Trestle Corp."}, "TrestleReader", True),
        ("a.flex", {65200: b"x"}, "FlexReader", True),
        ("a.vsi", {256: b"x"}, "CellSensReader", True),
    ],
)
def test_kinds_of_tiff(name: str, tags: dict[int, bytes], reader: str, held: bool) -> None:
    found = kind(tiff_of(tags), name)
    assert found.reader == reader
    assert bool(found.held) == held
    assert not held or "install Java" in found.held


def tiff_of(tags: dict[int, bytes]) -> bytes:
    """A TIFF of one directory of ASCII tags."""
    at = 8 + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, value in tags.items():
        value = value.ljust(5, b"\0")
        entries += struct.pack("<HHII", tag, 2, len(value), at + len(values))
        values += value
    head = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(tags))
    return head + entries + bytes(4) + values


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"", "a.tif", "an empty file"),
        (b"hello", "notes.txt", "no format that is known without Bio-Formats: install Java"),
        (padded(OLE2), "letter.doc", "no format that is known"),
        (padded(b"ZISRAWFIL"), "a.czi", "no format that is known"),
        (b"II*\0\xff\xff\xff\xff", "a.tif", "TIFF that is cut short or corrupt"),
        (b"II+\0\x08\0\0\0" + b"\xff" * 8, "a.tif", "no directory can lie at byte"),
    ],
)
def test_what_is_not_known(data: bytes, name: str, said: str) -> None:
    with pytest.raises(UnknownFormat, match=said):
        kind(data, name)


def test_readers_that_are_told_are_readers() -> None:
    """Of everything that a table names."""
    from omero_fs_plugin.dropbox.grouping.native import neighbours, signatures, tiff_kinds

    names = {signature.kind.canonical for signature in signatures._SIGNATURES}
    names |= {marker.canonical for marker in neighbours.MARKERS}
    tables = (*tiff_kinds._BY_TAG, *tiff_kinds._BY_TEXT)
    names |= {f"loci.formats.in.{found.reader}" for _, found in tables}
    simple = [reader for _, reader in signatures._HELD_SUFFIXES.values() if reader]
    simple += [reader for _, reader, _ in tiff_kinds._BY_SUFFIX.values()]
    assert names | {f"loci.formats.in.{reader}" for reader in simple} <= {*KNOWN}


class Counting(io.BufferedReader):
    """Counts what is asked of a file."""

    read_so_far = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        type(self).read_so_far += len(data)
        return data


@pytest.fixture(scope="module")
def sample_bytes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    files = []
    for sample in samples.SAMPLES:
        to = tmp_path_factory.mktemp("bytes")
        sample.make(to)
        files += [(Path(path).name, Path(path).read_bytes()) for path in files_below(to)]
    return files


def group_one(root: Path, name: str, data: bytes) -> None:
    """Each file gets an answer, whatever it contains, and only a little of it is read."""
    path = root / name
    path.write_bytes(data)
    before = Counting.read_so_far
    try:
        grouped(NativeGrouper(), root)
    finally:
        path.unlink()
    assert Counting.read_so_far - before < MOST_READ


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(self: userfiles.UserFiles, path: str) -> io.BufferedReader:
        return Counting(io.FileIO(userfiles.open_beneath(self.root, path)))

    monkeypatch.setattr(userfiles.UserFiles, "open", opened)


HOSTILE = settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@HOSTILE
@given(st.binary(max_size=600), st.sampled_from(SUFFIXES))
def test_random_bytes(tmp_path: Path, counted: None, data: bytes, suffix: str) -> None:
    group_one(tmp_path, f"x.{suffix}", data)


@HOSTILE
@given(st.data())
def test_samples_cut_and_changed(
    tmp_path: Path,
    counted: None,
    sample_bytes: list[tuple[str, bytes]],
    data: st.DataObject,
) -> None:
    name, whole = data.draw(st.sampled_from(sample_bytes))
    changed = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if changed:
            changed[data.draw(st.integers(0, min(len(changed), 3000) - 1))] = data.draw(
                st.integers(0, 255)
            )
    group_one(tmp_path, data.draw(st.sampled_from([name, "x.tif", "x.nhdr"])), bytes(changed))


def test_a_sparse_giant_is_not_read(tmp_path: Path, counted: None) -> None:
    for name in ("a.tif", "b.xml", "c.companion.ome", "d.nhdr"):
        before = Counting.read_so_far
        with (tmp_path / name).open("wb") as file:
            file.write(b"II*\0\x08\0\0\0\xff\xff" if name == "a.tif" else b"NRRD0004\n")
            file.truncate(4 << 30)
        grouped(NativeGrouper(), tmp_path)
        (tmp_path / name).unlink()
        assert Counting.read_so_far - before < MOST_READ
