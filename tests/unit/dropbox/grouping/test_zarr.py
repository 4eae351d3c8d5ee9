"""What a store promises: each kind whole, and with each file of metadata late, empty or cut."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping.filesets import Candidate
from omero_fs_plugin.dropbox.grouping.zarr import look_at
from omero_fs_plugin.dropbox.grouping.zarr_files import LARGE, MOST_BYTES, Metadata
from tests.stores import ALL_KINDS, AXES, KINDS, Store, collection, image, plate

# What may be wrong with a chunk of 16 bytes that nothing compresses.
CHUNK_FAULTS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, 9),
    "short": lambda path: os.truncate(path, 15),
    "a hole": lambda path: (path.write_bytes(b""), os.truncate(path, 16)),
}


def looked(store: Store) -> Candidate:
    return look_at(str(store.top.parent), str(store.path))


def chunks(store: Store) -> list[str]:
    """The files that are no metadata."""
    return [name for name in store.files if name not in metadata(store)]


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

    @pytest.mark.parametrize("fault", CHUNK_FAULTS)
    def test_with_any_chunk_that_is_not_whole_it_waits(
        self, tmp_path: Path, kind: str, zarr: int, fault: str
    ) -> None:
        store = KINDS[kind](tmp_path / "a.zarr", zarr)
        store.write()
        complete = []
        for name in chunks(store):
            CHUNK_FAULTS[fault](store.top / name)
            found = looked(store)
            if found.complete or f"{store.path}{name}: " not in found.incomplete:
                complete.append(name)
            store.write(name)
        assert complete == []
        assert looked(store).complete


@pytest.mark.parametrize("zarr", [2, 3])
@pytest.mark.parametrize("name", ["9.9", "0", "0.0.0", "a", "c/9/9", "x/0/0", "c"])
def test_what_is_no_chunk_of_its_array_may_be_anything(
    tmp_path: Path, zarr: int, name: str
) -> None:
    """No reader looks at it."""
    store = image(tmp_path / "a.zarr", zarr)
    store.write()
    path = store.top / "0" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch()
    assert looked(store).complete and not looked(store).slow


@pytest.mark.parametrize("zarr", [2, 3])
@pytest.mark.parametrize("name", [".0.0.x7Y2k1", "0.0.part", "c/0/.1.x7Y2k1", "0.0.tmp", "1.1~"])
def test_with_a_file_of_a_copy_under_way_it_must_rest_longer(
    tmp_path: Path, zarr: int, name: str
) -> None:
    store = image(tmp_path / "a.zarr", zarr)
    store.files[f"0/{name}"] = b""
    store.write()
    found = looked(store)
    assert found.complete and found.slow == f"{store.path}0/{name} may be on its way"


@pytest.mark.parametrize("zarr", [2, 3])
def test_what_file_managers_leave_is_no_chunk(tmp_path: Path, zarr: int) -> None:
    store = image(tmp_path / "a.zarr", zarr)
    store.write(*metadata(store))
    for name in (".DS_Store", "Thumbs.db", "@eaDir/0.0@SynoEAStream", "._0.0"):
        (store.top / "0" / name).parent.mkdir(exist_ok=True)
        (store.top / "0" / name).write_bytes(b"x")
    assert looked(store).slow == f"{store.path}0 has no chunk yet"


@pytest.mark.parametrize("zarr", [2, 3])
def test_of_compressed_chunks_only_empty_ones_show(tmp_path: Path, zarr: int) -> None:
    store = image(tmp_path / "a.zarr", zarr)
    name = "0/zarr.json" if zarr == 3 else "0/.zarray"
    said = json.loads(store.files[name])
    if zarr == 3:
        said["codecs"] += [{"name": "zstd", "configuration": {"level": 0}}]
    else:
        said["compressor"] = {"id": "zstd"}
    store.files[name] = json.dumps(said).encode()
    chunk = chunks(store)[-1]
    store.files[chunk] = b"x"
    store.write()
    assert looked(store).complete
    (store.top / chunk).write_bytes(b"")
    assert looked(store).incomplete == f"{store.path}{chunk}: is empty"


def test_a_disk_on_which_chunks_take_long_is_not_looked_at_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omero_fs_plugin.dropbox.grouping.zarr_files.MOST_S", -1.0)
    store = image(tmp_path / "a.zarr", levels=2)
    store.files["1/0.0"] = b""
    store.write()
    assert looked(store).complete and not looked(store).slow


@pytest.mark.parametrize("zarr", [2, 3])
@pytest.mark.parametrize("left", ["a directory", "a hidden file", "a link"])
def test_what_is_no_file_or_hidden_is_no_chunk(tmp_path: Path, zarr: int, left: str) -> None:
    store = image(tmp_path / "a.zarr", zarr)
    store.write(*metadata(store))
    if left == "a directory":
        (store.top / "0" / "c" / "0").mkdir(parents=True)
    elif left == "a hidden file":
        (store.top / "0" / ".0.0.x7Y2k1").write_bytes(b"x" * 16)
    else:
        (store.top / "0" / "0.0").symlink_to("/etc/hostname")
    assert looked(store).slow == f"{store.path}0 has no chunk yet"


OME = b"<OME xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'>"


@pytest.mark.parametrize("kind", ["collection", "plate"])
@pytest.mark.parametrize("zarr", [2, 3])
def test_the_ome_xml_of_bioformats2raw_must_be_whole(tmp_path: Path, zarr: int, kind: str) -> None:
    store = KINDS[kind](tmp_path / "a.zarr", zarr)
    if kind == "plate":
        top = "zarr.json" if zarr == 3 else ".zattrs"
        said = json.loads(store.files[top])
        (said["attributes"]["ome"] if zarr == 3 else said)["bioformats2raw.layout"] = 3
        store.files[top] = json.dumps(said).encode()
    name = "OME/METADATA.ome.xml"
    whole = OME + b"<Image ID='Image:0'/><Image ID='Image:1'/></OME>"
    for data in (b"", whole[:-6], whole[:70]):
        store.files[name] = data
        store.write()
        assert looked(store).incomplete.startswith(f"{store.path}{name}: ")
    store.files[name] = whole
    store.write()
    assert looked(store).complete


@pytest.mark.parametrize("zarr", [2, 3])
def test_without_series_each_image_of_the_ome_xml_has_its_group(tmp_path: Path, zarr: int) -> None:
    store = collection(tmp_path / "a.zarr", zarr)
    for name in [name for name in store.files if name.startswith("OME/")]:
        del store.files[name]
    store.files["OME/METADATA.ome.xml"] = OME + b"<Image ID='Image:0'/>" * 3 + b"</OME>"
    store.write()
    wanted = "2/zarr.json" if zarr == 3 else "2/.zgroup"
    assert looked(store).missing == (f"{store.path}{wanted}",)
    store.image("2")
    store.write()
    assert looked(store).complete


@pytest.mark.parametrize("zarr", [2, 3])
@pytest.mark.parametrize("name", ["a" * 256, "a/" * 2048, "\ud800", "\udc80", "a\0"], ids=ascii)
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, zarr: int, name: str) -> None:
    store = Store(tmp_path / "a.zarr", zarr)
    store.group(multiscales=[{"datasets": [{"path": name}]}])
    store.write()
    found = looked(store)
    assert "no file can be called" in found.refused or "is not UTF-8" in found.refused
    assert len(found.refused) < 1000


@pytest.mark.parametrize("zarr", [2, 3])
@pytest.mark.parametrize("kind", ["series", "wells", "scales"])
def test_what_is_named_many_times_is_looked_at_once(
    tmp_path: Path, zarr: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "a.zarr", zarr)
    store.image("A/1/0", levels=1)
    many = 300
    if kind == "series":
        store.group("", **{"bioformats2raw.layout": 3})
        store.group("OME", series=["A/1/0"] * many)
    elif kind == "wells":
        store.group("", plate={"wells": [{"path": "A/1"}] * many})
        store.group("A/1", well={"images": [{"path": "0"}] * many})
    else:
        scales = {"axes": AXES, "datasets": [{"path": "A/1/0/0"}] * many}
        store.group("", multiscales=[scales] * many)
    store.write()
    asked: list[str] = []
    is_there = Metadata.is_there
    monkeypatch.setattr(
        Metadata, "is_there", lambda self, name: asked.append(name) or is_there(self, name)
    )
    assert looked(store).complete
    assert len(asked) < 50


@pytest.mark.parametrize("zarr", [2, 3])
@pytest.mark.parametrize("path", [".", "./"])
def test_one_that_names_itself_as_an_image_is_refused(tmp_path: Path, zarr: int, path: str) -> None:
    store = Store(tmp_path / "a.zarr", zarr)
    store.group("", **{"bioformats2raw.layout": 3})
    store.group("OME", series=[path])
    store.write()
    assert "is named as an image within itself" in looked(store).refused


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


@pytest.mark.parametrize("zarr", [2, 3])
def test_consolidated_metadata_of_a_large_plate(tmp_path: Path, zarr: int) -> None:
    """It takes little more memory than it is long."""
    store = plate(tmp_path / "a.zarr", zarr)
    leaf = "zarr.json" if zarr == 3 else ".zarray"
    array = json.loads(store.files[f"A/1/0/0/{leaf}"])
    array["filters"] = [{"id": "delta", "dtype": "<u2", "astype": "<u2"}]
    named = {f"A/1/0/{n}{'' if zarr == 3 else '/.zarray'}": array for n in range(8_000)}
    if zarr == 3:
        top = json.loads(store.files["zarr.json"])
        top["consolidated_metadata"] = {"kind": "inline", "metadata": named}
        store.files["zarr.json"] = json.dumps(top, indent=2).encode()
    else:
        said = {"metadata": named, "zarr_consolidated_format": 1}
        store.files[".zmetadata"] = json.dumps(said, indent=4).encode()
    size = max(map(len, store.files.values()))
    assert LARGE < size < MOST_BYTES // 20  # that of a plate has 120,000 and more
    store.write()
    tracemalloc.start()
    try:
        found = looked(store)
        assert tracemalloc.get_traced_memory()[1] < 3 * size
    finally:
        tracemalloc.stop()
    assert found.plate and found.missing[0] == f"{store.path}A/1/0/1/{leaf}"
    assert len(found.missing) == 50


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


def test_it_says_at_each_chunk_that_it_goes_on(tmp_path: Path) -> None:
    """Else a large store on a slow disk would be taken for one that ends its reader."""
    store = image(tmp_path / "a.zarr", side=64)
    store.write()
    beats: list[None] = []
    look_at(str(store.top.parent), str(store.path), beat=lambda: beats.append(None))
    assert len(beats) >= len(chunks(store)) == 256


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("zarr", [2, 3])
def test_which_file_of_its_metadata_may_not_be_read_is_told(tmp_path: Path, zarr: int) -> None:
    """So it is looked at until it may."""
    for kind in KINDS:
        store = KINDS[kind](tmp_path / f"{kind}.zarr", zarr)
        store.write()
        for name in metadata(store):
            (store.top / name).chmod(0)
            found = looked(store)
            (store.top / name).chmod(0o600)
            if found.refused:  # else nobody reads it
                assert found.unread == (f"{store.path}{name}",)
                assert found.refused.startswith(f"{store.path}{name}: cannot be read by the server")
        assert looked(store).unread == ()
