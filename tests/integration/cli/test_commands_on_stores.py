"""`omero fs import`, `explain` and `receipt` on directories that are one image."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.stores import in_order
from tests.integration.whole import Whole
from tests.stores import Store, image

from .test_commands_on_sets import Run, run
from .test_receipt import receipt

__all__ = ["run"]  # a fixture


READER = ("loci/formats/in/ZarrReader.class",)
PIXEL_BUFFER = (
    "com/glencoesoftware/omero/zarr/ZarrPixelsService.class",
    "com/glencoesoftware/omero/zarr/ZarrPixelBuffer$Axes.class",
)


@pytest.fixture
def stored(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> Whole:
    """With a server that has a reader for stores."""
    return having(whole, monkeypatch, *READER)


@pytest.fixture
def registering(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> Whole:
    """With a server that reads stores only where they lie."""
    return having(whole, monkeypatch, *PIXEL_BUFFER)


def having(whole: Whole, monkeypatch: pytest.MonkeyPatch, *classes: str) -> Whole:
    whole.stop_dropbox()
    jars = whole.watch_dir.parent / "lib" / "server"
    jars.mkdir(parents=True)
    with zipfile.ZipFile(jars / "added.jar", "w") as jar:
        for name in classes:
            jar.writestr(name, b"\xca\xfe\xba\xbe")
    monkeypatch.setenv("OMERODIR", str(whole.watch_dir.parent))
    whole.start_dropbox(dirImportWait="3000")
    return whole


def handed_over(run: Run, *paths: object) -> list[str]:
    code, lines = run("import", *paths)
    assert code == 0, lines
    return lines


def paths_in_journal(whole: Whole) -> set[str]:
    return {row.path for row in whole.journal.select()}


@pytest.mark.parametrize("given", ["", "0/0.0"], ids=["the directory", "a chunk of it"])
def test_a_store_is_handed_over_whole(stored: Whole, run: Run, given: str) -> None:
    store = image(stored.watch_dir / "amy" / "day 1" / "a.zarr", levels=2)
    store.write()
    handed_over(run, store.top / given)
    stored.until_known(store.path)
    first = store.top / in_order(store.files)[0]
    (found,) = stored.filesets(first)
    assert len(found.paths) == len(store.files)
    assert paths_in_journal(stored) == {str(store.path)}


def test_a_directory_with_stores_and_files(stored: Whole, run: Run) -> None:
    directory = stored.watch_dir / "amy" / "day 1"
    stores = [image(directory / "a.zarr", seed=1), image(directory / "plain", 3, seed=9)]
    for store in stores:
        store.write()
    single = stored.drop("day 1/a.tif")
    handed_over(run, directory)
    stored.until_known(*(store.path for store in stores), single)
    assert paths_in_journal(stored) == {str(single), *(str(store.path) for store in stores)}


def test_what_is_not_whole_is_named_and_not_handed_over(stored: Whole, run: Run) -> None:
    store = image(stored.watch_dir / "amy" / "a.zarr", levels=2)
    store.write(*(name for name in store.files if name != "1/.zarray"))
    code, lines = run("import", store.top)
    assert code == 1
    assert any(f"waits for {store.path}1/.zarray" in line for line in lines)


def test_a_store_from_elsewhere_is_handed_over(stored: Whole, run: Run, tmp_path: Path) -> None:
    store = image(tmp_path / "elsewhere" / "a.zarr")
    store.write()
    handed_over(run, store.top / "0", "--user", "amy")
    stored.until_known(store.path)


def explained(run: Run, path: Path) -> Any:
    code, lines = run("explain", path, "--json")
    assert code == 0, lines
    return json.loads("\n".join(lines))


def imported(whole: Whole, run: Run) -> Store:
    store = image(whole.watch_dir / "amy" / "a.zarr", levels=2)
    store.write()
    handed_over(run, store.top)
    whole.until_known(store.path)
    return store


def test_explain_tells_of_the_store_also_for_its_files(stored: Whole, run: Run) -> None:
    store = imported(stored, run)
    row = stored.row(store.path)
    for path in (store.top, store.top / "1", store.top / "0" / "0.0"):
        found = explained(run, path)
        assert (found["id"], found["stand"]) == (row.id, "imported")
        assert found["path"] == str(store.path)
    found = explained(run, store.top.parent)
    assert found["counts"] == {"imported": len(store.files)}


def test_a_receipt_has_each_file_of_the_store(stored: Whole, run: Run) -> None:
    store = imported(stored, run)
    for given in (store.top, store.top.parent):
        code, told = receipt(run, given)
        assert code == 0
        assert set(told) == {str(store.top / name) for name in store.files}
    (store.top / "0" / "0.0").write_bytes(b"other")
    (store.top / "0" / "7.7").write_bytes(b"new")
    code, told = receipt(run, store.top)
    unsafe = {path for path, one in told.items() if not one["safe"]}
    assert unsafe == {str(store.top / "0" / name) for name in ("0.0", "7.7")}


def test_a_receipt_says_of_a_registered_store_that_it_is_omeros_data(
    registering: Whole, run: Run
) -> None:
    store = imported(registering, run)
    (found,) = registering.filesets(store.path)
    code, told = receipt(run, store.top)
    assert code == 1
    assert set(told) == {str(store.top / name) for name in store.files}
    for path, one in told.items():
        assert not one["safe"], path
        assert one["why_not"].startswith("its store was registered where it lies")
    assert explained(run, store.top)["id"] == registering.row(store.path).id
    assert found.images == registering.row(store.path).images
