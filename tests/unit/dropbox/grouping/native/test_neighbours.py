from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping import opening
from omero_fs_plugin.dropbox.grouping.native.grouper import NativeGrouper
from tests import samples
from tests.groupings import as_table, files_below, grouped


def put(root: Path, name: str, content: bytes = b"x") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".tif", ".svs", ".lsm"):
        samples.tiff(path)
    else:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("index", "content", "image"),
    [
        ("a.xdce", b"x", "x.tif"),
        ("A.HTD", b"x", "TimePoint_1/ZStep_1/x.tif"),
        ("a.lei", b"x", "x.tif"),
        ("a.afi", b"x", "x.svs"),
        ("a.mdb", b"x", "x.lsm"),
        ("Experiment.exp", b"x", "Well A01/x.tif"),
        ("x_metadata.txt", b"{}", "x.tif"),
        ("experiment_descriptor.xml", b"<x/>", "data/x.tif"),
        ("x.txt", b"\r\n[SemImageFile]\r\n", "x.tif"),
        ("MeasurementIndex.ColumbusIDX.xml", b"<?xml?><ColumbusMeasurementIndex>", "1/1/x.tif"),
        ("x.xml", b"<?xml?><PVScan>", "x.tif"),
        ("x.xml", "\ufeff<PVScan>".encode("utf-16-le"), "x.tif"),
        ("MeasurementDetail.xml", b"<bts:MeasurementDetail>", "Image/x.tif"),
    ],
)
def test_an_index_holds_the_images_around_it(
    tmp_path: Path, index: str, content: bytes, image: str
) -> None:
    put(tmp_path, index, content)
    put(tmp_path, image)
    found = grouped(NativeGrouper(), tmp_path)
    (held,) = found.candidates
    assert {*held.files} == {*files_below(tmp_path)}
    assert held.files[0] == f"{tmp_path}/{index}" and index in held.held
    # A question about the image alone does not take it out of its set.
    (held,) = grouped(NativeGrouper(), tmp_path, [f"{tmp_path}/{image}"]).candidates
    assert held.held


@pytest.mark.parametrize(
    ("index", "content", "image"),
    [
        ("a.xdce", b"x", "below/x.tif"),
        ("sub/a.xdce", b"x", "x.tif"),
        ("a.afi", b"x", "x.tif"),
        ("x.xml", b"<notes/>", "x.tif"),
        (".a.xdce", b"x", "x.tif"),
    ],
    ids=["directory below", "above", "another kind", "another XML", "hidden"],
)
def test_and_no_others(tmp_path: Path, index: str, content: bytes, image: str) -> None:
    put(tmp_path, index, content)
    put(tmp_path, image)
    found = grouped(NativeGrouper(), tmp_path)
    assert {files for files, _, _ in as_table(found.candidates)} == {(f"{tmp_path}/{image}",)}


def test_what_lies_above_the_users_directory_claims_nothing(tmp_path: Path) -> None:
    put(tmp_path, "a.htd")
    put(tmp_path, "amy/x.tif")
    assert len(as_table(grouped(NativeGrouper(), tmp_path / "amy").candidates)) == 1


def test_an_index_that_cannot_be_read_now_lets_nothing_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "index.xml", b"<x/>")
    put(tmp_path, "x.tif")
    opened = opening.open_beneath

    def away(root: str, path: str) -> int:
        if path.endswith(".xml"):
            raise OSError(5, "Input/output error")
        return opened(root, path)

    monkeypatch.setattr(opening, "open_beneath", away)
    found = grouped(NativeGrouper(), tmp_path)
    assert not found.unreadable
    assert {c.incomplete for c in found.candidates} == {"cannot be read now: Input/output error"}
