"""What a store promises: each kind whole, and with each file of metadata late, empty or cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping.filesets import Candidate
from omero_fs_plugin.dropbox.grouping.zarr import look_at
from tests.stores import ALL_KINDS, AXES, KINDS, Store, image, plate


def looked(store: Store) -> Candidate:
    return look_at(str(store.top.parent), str(store.path))


def metadata(store: Store) -> list[str]:
    """The files of metadata on which the store depends."""
    return [name for name in store.files if name.rpartition("/")[2].startswith((".z", "zarr.json"))]


@pytest.mark.parametrize(("kind", "zarr"), ALL_KINDS)
class TestEachKind:
    def test_whole_it_is_complete(self, tmp_path: Path, kind: str, zarr: int) -> None:
        store = KINDS[kind](tmp_path / "a.zarr", zarr)
        store.write()
        found = looked(store)
        assert found.files == (str(store.path),)
        assert found.complete and not found.refused and not found.slow
        assert found.plate == (kind == "plate")

    def test_without_any_file_of_its_metadata_it_waits(
        self, tmp_path: Path, kind: str, zarr: int
    ) -> None:
        store = KINDS[kind](tmp_path / "a.zarr", zarr)
        store.write()
        complete = []
        for name in metadata(store):
            (store.top / name).unlink()
            if looked(store).complete:
                complete.append(name)
            store.write(name)
        # That these are there follows from nothing: then they are no labels, or no series.
        optional = {"labels/.zgroup", "labels/zarr.json", "labels/.zattrs", "OME/.zattrs"}
        optional |= {"OME/zarr.json", "A/.zgroup", "B/.zgroup", "A/zarr.json", "B/zarr.json"}
        optional |= {"A/.zattrs", "B/.zattrs"}
        assert set(complete) <= optional

    @pytest.mark.parametrize("part", [0.0, 0.6], ids=["empty", "cut"])
    def test_with_any_file_of_its_metadata_cut_it_waits(
        self, tmp_path: Path, kind: str, zarr: int, part: float
    ) -> None:
        store = KINDS[kind](tmp_path / "a.zarr", zarr)
        store.write()
        complete = []
        for name in metadata(store):
            if store.files[name] == b"{}" or (
                name.split("/")[0] in ("A", "B") and name.count("/") == 1
            ):
                continue  # a row of a plate says nothing
            whole = store.files[name]
            (store.top / name).write_bytes(whole[: int(len(whole) * part)])
            found = looked(store)
            if found.complete:
                complete.append(name)
            store.write(name)
        assert complete == []


@pytest.mark.parametrize("zarr", [2, 3])
def test_an_array_that_is_not_there_is_waited_for_by_name(tmp_path: Path, zarr: int) -> None:
    store = image(tmp_path / "a.zarr", zarr, levels=3)
    store.write(*(name for name in store.files if not name.startswith("2/")))
    wanted = "2/zarr.json" if zarr == 3 else "2/.zarray"
    assert looked(store).missing == (f"{store.path}{wanted}",)


@pytest.mark.parametrize("zarr", [2, 3])
def test_consolidated_metadata_names_an_array(tmp_path: Path, zarr: int) -> None:
    store = image(tmp_path / "a.zarr", zarr)
    if zarr == 3:
        top = json.loads(store.files["zarr.json"])
        top["consolidated_metadata"] = {"kind": "inline", "metadata": {"0": {}, "5/deep": {}}}
        store.files["zarr.json"] = json.dumps(top).encode()
    else:
        said = {"metadata": {".zgroup": {}, "0/.zarray": {}, "5/deep/.zarray": {}}}
        store.files[".zmetadata"] = json.dumps(said).encode()
    store.write()
    wanted = "5/deep/zarr.json" if zarr == 3 else "5/deep/.zarray"
    assert looked(store).missing == (f"{store.path}{wanted}",)


def test_chunks_may_be_missing(tmp_path: Path) -> None:
    store = image(tmp_path / "a.zarr")
    store.write(*(name for name in store.files if name not in ("0/0.1", "0/1.1")))
    assert looked(store).complete and not looked(store).slow


@pytest.mark.parametrize("zarr", [2, 3])
def test_an_array_without_any_chunk_must_rest_longer(tmp_path: Path, zarr: int) -> None:
    store = image(tmp_path / "a.zarr", zarr, levels=2)
    store.write(*(n for n in store.files if not n.startswith("1/") or n in metadata(store)))
    found = looked(store)
    assert found.complete
    assert found.slow == f"{store.path}1 has no chunk yet"


def test_a_group_that_is_no_image_waits(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.zarr")
    store.group()
    store.array("0")
    store.write()
    assert "has no metadata of OME-NGFF yet" in looked(store).incomplete


def test_a_store_without_its_top_waits(tmp_path: Path) -> None:
    store = image(tmp_path / "a.zarr")
    store.write("0/.zarray", "0/0.0")
    assert "no zarr.json and no .zgroup at its top" in looked(store).incomplete


@pytest.mark.parametrize("name", ["../b.tif", "/etc/passwd", "0/../../b"])
@pytest.mark.parametrize("zarr", [2, 3])
def test_a_name_that_leads_out_of_it_is_refused(tmp_path: Path, zarr: int, name: str) -> None:
    store = Store(tmp_path / "a.zarr", zarr)
    store.group(multiscales=[{"datasets": [{"path": name}]}])
    store.write()
    assert "leads out of it" in looked(store).refused


@pytest.mark.parametrize(
    "said",
    [
        {"multiscales": 3},
        {"multiscales": []},
        {"multiscales": [3]},
        {"multiscales": [{"datasets": {}}]},
        {"multiscales": [{"datasets": [{"path": 3}]}]},
        {"plate": []},
        {"plate": {"wells": [3]}},
        {"bioformats2raw.layout": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("zarr", [2, 3])
def test_what_cannot_be_understood_waits(
    tmp_path: Path, zarr: int, said: dict[str, object]
) -> None:
    store = Store(tmp_path / "a.zarr", zarr)
    store.group(**said)
    store.write()
    assert looked(store).incomplete


def test_metadata_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    store = image(tmp_path / "a.zarr")
    store.files[".zattrs"] = b"[" * 200_000
    store.write()
    found = looked(store)
    assert found.refused or found.incomplete
    assert not (found.complete and not found.refused)


def test_metadata_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omero_fs_plugin.dropbox.grouping.zarr_files.MOST_BYTES", 100)
    store = image(tmp_path / "a.zarr", levels=9)
    store.write()
    assert "MiB of metadata" in looked(store).refused


def test_many_missing_files_are_named_up_to_a_number(tmp_path: Path) -> None:
    wells = [f"{chr(65 + n // 24)}/{n % 24 + 1}" for n in range(96)]
    store = plate(tmp_path / "a.zarr", wells=wells)
    store.write(".zgroup", ".zattrs")
    assert len(looked(store).missing) == 50


def test_metadata_behind_a_link_is_not_read(tmp_path: Path) -> None:
    store = image(tmp_path / "a.zarr")
    store.write()
    elsewhere = tmp_path / "elsewhere"
    (store.top / ".zattrs").rename(elsewhere)
    (store.top / ".zattrs").symlink_to(elsewhere)
    assert not looked(store).complete


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.parametrize("release", [2, 3])
def test_a_store_as_the_zarr_library_writes_it(
    tmp_path: Path, release: int, consolidated: bool
) -> None:
    zarr = pytest.importorskip("zarr", reason="needs Python 3.11")
    store = Store(tmp_path / "a.zarr", release)
    group = zarr.open_group(str(store.top), mode="w", zarr_format=release)
    scales = [{"axes": AXES, "datasets": [{"path": "0"}, {"path": "1"}]}]
    ome = {"multiscales": scales}
    group.attrs.update({"ome": ome} if release == 3 else ome)
    for level in ("0", "1"):
        array = group.create_array(level, shape=(8, 8), chunks=(4, 4), dtype="uint8")
        assert not looked(store).complete or looked(store).slow
        array[:] = 1
    if consolidated:
        zarr.consolidate_metadata(str(store.top), zarr_format=release)
    found = looked(store)
    assert (found.missing, found.incomplete, found.refused, found.slow) == ((), "", "", "")
    (store.top / "1" / ("zarr.json" if release == 3 else ".zarray")).unlink()
    assert len(looked(store).missing) == 1
