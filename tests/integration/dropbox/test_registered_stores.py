"""Stores that OMERO reads where they lie, in DropBox as a whole.

The server has omero-zarr-pixel-buffer and no reader for OME-Zarr, as far as its jars tell.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omero.rtypes import unwrap

from omero_fs_plugin.config.readers import PIXEL_BUFFER
from omero_fs_plugin.dropbox.grouping.zarr import READER
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling import looks
from tests.integration.cli.test_audit import audited, later
from tests.integration.cli.test_commands_on_sets import runner
from tests.integration.whole import Whole
from tests.stores import ALL_KINDS, KINDS, Store, image

IMAGES = {"image": 1, "labelled": 1, "plate": 4, "collection": 2}
BUFFER = (
    "com/glencoesoftware/omero/zarr/ZarrPixelsService.class",
    "com/glencoesoftware/omero/zarr/ZarrPixelBuffer$Axes.class",
    "dev/zarr/zarrjava/v3/Group.class",
)


@pytest.fixture
def omerodir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "OMERO.server"
    (directory / "lib" / "server").mkdir(parents=True)
    monkeypatch.setenv("OMERODIR", str(directory))
    install(directory, "omero-zarr-pixel-buffer.jar", *BUFFER)
    return directory


def install(omerodir: Path, name: str, *classes: str) -> None:
    with zipfile.ZipFile(omerodir / "lib" / "server" / name, "w") as jar:
        for one in classes:
            jar.writestr(one, b"\xca\xfe\xba\xbe")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trees of stores that wait are looked at often."""
    for name in ("_LOOK_S", "_SOONEST_S", "_LATEST_S", "_KNOWN_S"):
        monkeypatch.setattr(looks, name, 0.2)


@pytest.fixture
def registering(omerodir: Path, whole: Whole) -> Whole:
    return whole


def ask(whole: Whole, text: str) -> list[list[Any]]:
    rows = whole.services("amy").getQueryService().projection(text, None)
    return [[unwrap(value) for value in row] for row in rows]


def places(whole: Whole) -> list[str]:
    """Where OMERO reads its images."""
    rows = ask(whole, "select x.lsid from Image i join i.details.externalInfo x order by x.lsid")
    return [place for (place,) in rows]


@pytest.mark.parametrize(("kind", "zarr"), ALL_KINDS)
def test_each_kind_is_registered_where_it_lies(registering: Whole, kind: str, zarr: int) -> None:
    store = KINDS[kind](registering.watch_dir / "amy" / "a.zarr", zarr)
    store.write()
    registering.until_known(store.path)
    row = registering.row(store.path)
    assert row.reader == PIXEL_BUFFER
    assert len(row.images) == IMAGES[kind]
    (found,) = registering.filesets(store.path)
    assert (found.id, found.images) == (row.server_fileset, row.images)
    for place in places(registering):
        group = Path(place)
        assert (group / ("zarr.json" if zarr == 3 else ".zattrs")).is_file()
        assert group.is_relative_to(store.top)
    assert len(places(registering)) == IMAGES[kind]
    repository = registering.watch_dir.parent / "ManagedRepository"
    assert [path for path in repository.rglob("*") if path.is_file()] == []
    registering.until_settled()


def test_a_plate_is_put_into_its_screen(omerodir: Path, make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(target="Screen:name:plates")
    store = KINDS["plate"](whole.watch_dir / "amy" / "a.zarr")
    store.write()
    whole.until_known(store.path)
    assert ask(
        whole, "select s.name, p.name from ScreenPlateLink l join l.parent s join l.child p"
    ) == [["plates", "P"]]


def test_an_image_is_put_into_its_dataset(omerodir: Path, make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(target="Dataset:name:stores")
    store = image(whole.watch_dir / "amy" / "a.zarr")
    store.write()
    whole.until_known(store.path)
    assert ask(
        whole, "select d.name, i.name from DatasetImageLink l join l.parent d join l.child i"
    ) == [["stores", "a.zarr"]]


def test_one_changed_chunk_is_a_revision_and_the_former_image_stays(registering: Whole) -> None:
    """Both read the store as it is now, so the former one shows the new chunk too."""
    store = image(registering.watch_dir / "amy" / "a.zarr")
    store.write()
    registering.until_known(store.path)
    former = registering.row(store.path)
    (store.top / "0/1.1").write_bytes(b"\0" * 16)
    registering.until("it is met again", lambda: registering.row(store.path).id != former.id)
    registering.until_known(store.path)
    registering.until_settled()
    latest = registering.row(store.path)
    assert latest.revision_of == former.id
    assert latest.images != former.images
    found = registering.filesets(store.path)
    assert {one.images for one in found} == {former.images, latest.images}
    assert places(registering) == [str(store.top)] * 2


def test_nothing_of_it_is_removed(omerodir: Path, make_whole: Callable[..., Whole]) -> None:
    """With a transfer that moves files into OMERO: there they would be, and this one is not."""
    whole = make_whole(transfer="upload_rm")
    store = image(whole.watch_dir / "amy" / "a.zarr", levels=2)
    store.write()
    other = whole.drop("other.tif")
    whole.until_known(store.path, other)
    whole.until("the other one is removed", lambda: not other.exists())
    whole.until_settled()
    assert all((store.top / name).is_file() for name in store.files)


def test_it_is_registered_once_over_restarts_and_rescans(registering: Whole) -> None:
    store = image(registering.watch_dir / "amy" / "a.zarr", 3)
    store.write()
    registering.until_known(store.path)
    for number in range(2):
        registering.stop_dropbox()
        registering.start_dropbox()
        other = registering.drop(f"{number}.tif")
        registering.until_known(other)
    registering.until_settled()
    assert len(registering.filesets(store.path)) == 1
    assert places(registering) == [str(store.top)]


def test_a_copy_is_a_twin(registering: Whole) -> None:
    store = image(registering.watch_dir / "amy" / "a.zarr")
    store.write()
    registering.until_known(store.path)
    copy = Store(registering.watch_dir / "amy" / "b.zarr", files=store.files)
    copy.write()
    registering.until_known(copy.path, states=(State.SKIPPED,))
    assert registering.row(copy.path).duplicate_of == registering.row(store.path).id


def test_what_the_pixel_buffer_cannot_read_is_held(
    omerodir: Path, make_whole: Callable[..., Whole]
) -> None:
    install(omerodir, "omero-zarr-pixel-buffer.jar", *BUFFER[:2])
    whole = make_whole()
    two = image(whole.watch_dir / "amy" / "two.zarr", 2)
    three = image(whole.watch_dir / "amy" / "three.zarr", 3)
    two.write()
    three.write()
    whole.until_known(two.path)
    whole.until("it says why", lambda: "reads Zarr 2 alone" in whole.row(three.path).reason)
    assert whole.row(three.path).reason.startswith("held: ")
    install(omerodir, "omero-zarr-pixel-buffer.jar", *BUFFER)
    whole.stop_dropbox()  # as with OMERO, which has to start anew to know its jars
    whole.start_dropbox()
    whole.until_known(three.path)


def test_with_a_reader_stores_are_imported_as_files(
    omerodir: Path, make_whole: Callable[..., Whole]
) -> None:
    install(omerodir, "OMEZarrReader.jar", "loci/formats/in/ZarrReader.class")
    whole = make_whole()
    store = image(whole.watch_dir / "amy" / "a.zarr")
    store.write()
    whole.until_known(store.path)
    assert whole.row(store.path).reader == READER
    assert places(whole) == []


@pytest.mark.parametrize("others", [True, False], ids=["and files", "stores alone"])
def test_a_store_that_is_removed_is_told_by_an_audit(
    registering: Whole, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    store = image(registering.watch_dir / "amy" / "a.zarr")
    kept = image(registering.watch_dir / "amy" / "b.zarr", seed=9)
    for one in (store, kept):
        one.write()
    paths = [store.path, kept.path, *([registering.drop("other.tif")] if others else [])]
    registering.until_known(*paths)
    registering.stop_dropbox()
    later(monkeypatch)
    run = runner(registering, monkeypatch)
    _, told = audited(run)
    assert told["findings"] == []
    shutil.rmtree(store.top)
    _, told = audited(run)
    (found,) = told["findings"]
    assert (found["kind"], found["path"]) == ("broken-link", str(store.path))
    assert found["why"] == f"OMERO reads the store at {store.path}, and there is none any more"
    registering.start_dropbox()
