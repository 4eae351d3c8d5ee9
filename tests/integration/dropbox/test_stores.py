"""Directories that are one image, from the directory to OMERO, in DropBox as a whole."""

from __future__ import annotations

import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling import forming, looks
from omero_fs_plugin.stores import in_order
from tests.integration.whole import QUIET_S, Whole
from tests.stores import ALL_KINDS, AXES, KINDS, Store, collection, image, labelled, plate

# What file managers and servers put beside the files of a store.
BESIDE = (".DS_Store", "0/._0.0", "0/Thumbs.db", "1/@eaDir/zarr.json@SynoEAStream/x")
IMAGES = {"image": 1, "labelled": 1, "plate": 4, "collection": 2}
# As it is without a Whole: DropBox's clock goes on meanwhile.
slowly = Store.write


@pytest.fixture
def omerodir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An OMERO.server that has a reader for OME-Zarr, as far as its jars tell."""
    directory = tmp_path / "OMERO.server"
    (directory / "lib" / "server").mkdir(parents=True)
    monkeypatch.setenv("OMERODIR", str(directory))
    install_reader(directory)
    return directory


def install_reader(omerodir: Path) -> None:
    with zipfile.ZipFile(omerodir / "lib" / "server" / "OMEZarrReader.jar", "w") as jar:
        jar.writestr("loci/formats/in/ZarrReader.class", b"\xca\xfe\xba\xbe")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trees of stores that wait are looked at often."""
    for name in ("_LOOK_S", "_SOONEST_S", "_LATEST_S", "_KNOWN_S"):
        monkeypatch.setattr(looks, name, 0.2)
    monkeypatch.setattr("omero_fs_plugin.dropbox.settling.groupers._UNREAD_S", 0.2)


@pytest.fixture
def stored(omerodir: Path, whole: Whole) -> Whole:
    """All of it, with a server that reads stores."""
    return whole


def assert_alone(whole: Whole, store: Store) -> None:
    """The journal has one fileset of the store, and of no file in it."""
    rows = [row.path for row in whole.journal.select() if row.path.startswith(str(store.top))]
    assert set(rows) == {str(store.path)}


def in_omero(whole: Whole, store: Store) -> list[tuple[str, ...]]:
    """Of each fileset with images that OMERO has of the store: the names of its files."""
    first = store.path / in_order(store.files)[0]
    top = f"{store.top}/"[1:]
    return [
        tuple(path.removeprefix(top) for path in found.paths)
        for found in whole.filesets(Path(str(first)))
        if found.images
    ]


@pytest.mark.parametrize(("kind", "zarr"), ALL_KINDS)
def test_each_kind_is_one_fileset_of_all_its_files(stored: Whole, kind: str, zarr: int) -> None:
    store = KINDS[kind](stored.watch_dir / "amy" / "a.zarr", zarr)
    store.write()
    stored.until_known(store.path)
    assert in_omero(stored, store) == [tuple(in_order(store.files))]
    row = stored.row(store.path)
    assert len(row.images) == IMAGES[kind]
    assert row.plate == (kind == "plate")
    assert_alone(stored, store)
    stored.until_settled()


@pytest.mark.parametrize("zarr", [2, 3])
def test_arrays_that_come_with_pauses_are_one_import(stored: Whole, zarr: int) -> None:
    store = image(stored.watch_dir / "amy" / "a.zarr", zarr, levels=3, side=64)
    top = [name for name in store.files if "/" not in name]
    store.write(*top)
    for level in range(3):
        stored.clock.sleep(2 * QUIET_S)
        assert in_omero(stored, store) == []
        other = stored.drop(f"{level}.tif", user="zak")
        stored.until_known(other)
        store.write(*(name for name in store.files if name.startswith(f"{level}/")))
    stored.until_known(store.path)
    stored.until_settled()
    assert in_omero(stored, store) == [tuple(in_order(store.files))]
    assert_alone(stored, store)
    assert stored.row(store.path).revision_of is None


@pytest.mark.parametrize(("kind", "zarr"), ALL_KINDS)
def test_of_each_kind_arrays_that_come_with_pauses_are_one_import(
    stored: Whole, kind: str, zarr: int
) -> None:
    """The metadata of the groups comes first, then array after array."""
    store = KINDS[kind](stored.watch_dir / "amy" / "a.zarr", zarr)
    of_arrays = [name for name in store.files if _array_of(store, name)]
    store.write(*(name for name in store.files if name not in of_arrays))
    arrays = dict.fromkeys(_array_of(store, name) for name in of_arrays)
    assert len(arrays) >= IMAGES[kind]
    for number, array in enumerate(arrays):
        stored.clock.sleep(2 * QUIET_S)
        assert in_omero(stored, store) == []
        other = stored.drop(f"{number}.tif", user="zak")
        stored.until_known(other)
        store.write(*(name for name in of_arrays if _array_of(store, name) == array))
    stored.until_known(store.path)
    stored.until_settled()
    assert in_omero(stored, store) == [tuple(in_order(store.files))]
    assert_alone(stored, store)
    assert stored.row(store.path).revision_of is None


def _array_of(store: Store, name: str) -> str:
    """The array whose file this is; empty: it is of a group."""
    metadata = "zarr.json" if store.zarr == 3 else ".zarray"
    for above in Path(name).parents:
        said = store.files.get(f"{above}/{metadata}", b"")
        if b"chunk_grid" in said or b'"chunks"' in said:
            return str(above)
    return ""


def scaled(top: Path, zarr: int, side: int) -> Store:
    """An image whose five arrays all have the same size."""
    store = Store(top, zarr)
    store.group(multiscales=[{"axes": AXES, "datasets": [{"path": str(n)} for n in range(5)]}])
    for number in range(5):
        store.array(str(number), side, seed=number)
    return store


# Kind -> what makes it, and the side of its arrays with which it has 10,000 chunks.
LARGE: dict[str, tuple[Callable[..., Store], int]] = {
    "image": (scaled, 180),
    "labelled": (labelled, 268),
    "plate": (plate, 200),
    "collection": (collection, 284),
}


@pytest.mark.parametrize(
    ("kind", "zarr", "side", "quiet"),
    [
        *(pytest.param(kind, 3, 40, 0.5, id=f"{kind}-few chunks") for kind in LARGE),
        *(
            pytest.param(kind, zarr, side, 2.0, id=f"{kind}-{zarr}-10000", marks=pytest.mark.long)
            for kind, (_, side) in LARGE.items()
            for zarr in (2, 3)
        ),
    ],
)
def test_while_a_store_is_written_nobody_else_waits(
    omerodir: Path,
    make_whole: Callable[..., Whole],
    kind: str,
    zarr: int,
    side: int,
    quiet: float,
) -> None:
    """Array after array, with pauses between them, and with each a file of another user, which is
    imported before the next array comes.

    At full size, the time that such a file takes counts too.  What it takes on this machine at this
    time is measured before the store comes.
    """
    whole = make_whole(dirImportWait=str(quiet))
    make, _ = LARGE[kind]
    store = make(whole.watch_dir / "amy" / "a.zarr", zarr, side=side)
    write = partial(slowly, store) if store_is_large(store) else store.write
    of_array = {name: _array_of(store, name) for name in store.files}
    arrays = list(dict.fromkeys(filter(None, of_array.values())))
    waits: list[float] = []

    def drop(number: int) -> None:
        begun = time.monotonic()
        other = whole.drop(f"{number}.tif", user="zak")
        whole.until_known(other)
        waits.append(time.monotonic() - begun)

    for number in range(3):
        drop(-number - 1)
    alone = max(quiet, *waits)
    waits.clear()
    write(*(name for name, array in of_array.items() if not array))
    most = watches(whole)

    for number, array in enumerate(arrays):
        others = threading.Thread(target=drop, args=(number,))
        others.start()
        write(*(name for name in store.files if of_array[name] == array))
        most = max(most, watches(whole))
        begun = time.monotonic()
        others.join()
        time.sleep(max(0.0, 2 * quiet - (time.monotonic() - begun)))
        if number < len(arrays) - 1:
            assert in_omero(whole, store) == []
    whole.until("it is imported", lambda: len(in_omero(whole, store)) == 1, patience=600.0)
    whole.until_settled()
    told = f"{max(waits):.2f} s, and {alone:.2f} s before the store came"
    sys.stdout.write(f"{len(store.files)} files; the other user waited for at most {told}\n")
    assert in_omero(whole, store) == [tuple(in_order(store.files))]
    assert_alone(whole, store)
    assert whole.row(store.path).revision_of is None
    assert len(waits) == len(arrays)
    assert most <= 4, "the users' directories, and the store"
    if store_is_large(store):
        assert max(waits) <= alone + 1.0


def store_is_large(store: Store) -> bool:
    return len(store.files) >= 10_000


def test_it_says_by_name_what_it_waits_for(stored: Whole) -> None:
    store = image(stored.watch_dir / "amy" / "a.zarr", levels=2)
    store.write(*(name for name in store.files if name != "1/.zarray"))
    why = f"waits for {store.path}1/.zarray"
    stored.until("it says so", lambda: reason(stored, store) == why)
    assert_alone(stored, store)
    store.write("1/.zarray")
    stored.until_known(store.path)
    assert in_omero(stored, store) == [tuple(in_order(store.files))]


def reason(whole: Whole, store: Store) -> str:
    rows = [row for row in whole.journal.select() if row.path == str(store.path)]
    return rows[0].reason if rows else ""


def test_arrays_made_first_and_filled_later_are_one_import(
    stored: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zarr makes every array before it writes a chunk: then only a longer rest can tell."""
    monkeypatch.setattr(forming, "_LONGER", 1_000_000)  # it does not end before they come
    store = image(stored.watch_dir / "amy" / "a.zarr", levels=2, side=16)
    chunks = [name for name in store.files if name.startswith("1/") and name != "1/.zarray"]
    store.write(*(name for name in store.files if name not in chunks))
    stored.until("it says so", lambda: "1 has no chunk yet" in reason(stored, store))
    assert in_omero(stored, store) == []
    store.write(*chunks)
    stored.until_known(store.path)
    stored.until_settled()
    assert in_omero(stored, store) == [tuple(in_order(store.files))]


def test_an_empty_array_is_imported_after_the_longer_rest(
    stored: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forming, "_LONGER", 3)
    store = image(stored.watch_dir / "amy" / "a.zarr")
    store.write(".zgroup", ".zattrs", "0/.zarray")
    stored.until_known(store.path)
    assert in_omero(stored, store) == [(".zattrs", ".zgroup", "0/.zarray")]


def test_one_changed_chunk_is_a_revision(stored: Whole) -> None:
    store = image(stored.watch_dir / "amy" / "a.zarr")
    store.write()
    stored.until_known(store.path)
    former = stored.row(store.path)
    store.files["0/1.1"] = b"\0" * 16
    store.write("0/1.1")
    stored.until("it is met again", lambda: stored.row(store.path).id != former.id)
    stored.until_known(store.path)
    stored.until_settled()
    assert stored.row(store.path).revision_of == former.id
    assert len(in_omero(stored, store)) == 2
    assert_alone(stored, store)


def test_the_same_store_copied_again_is_a_twin(stored: Whole) -> None:
    store = image(stored.watch_dir / "amy" / "a.zarr", levels=2)
    store.write()
    stored.until_known(store.path)
    copy = Store(stored.watch_dir / "amy" / "b.zarr", files=store.files)
    copy.write()
    stored.until_known(copy.path, states=(State.SKIPPED,))
    row = stored.row(copy.path)
    assert row.duplicate_of == stored.row(store.path).id
    assert row.reason.startswith(f"the same content as {store.path}, imported as Fileset:")
    assert in_omero(stored, copy) == []


def test_a_rescan_finds_it_and_finds_it_known_afterwards(stored: Whole) -> None:
    stored.stop_dropbox()
    store = image(stored.watch_dir / "amy" / "sub" / "a.ome.zarr", 3)
    store.write()
    stored.start_dropbox()
    stored.until_known(store.path)
    former = stored.row(store.path)
    for _ in range(2):
        stored.stop_dropbox()
        stored.start_dropbox()
        other = stored.drop("other.tif")
        stored.until_known(other)
    stored.until_settled()
    assert stored.row(store.path) == former
    assert len(in_omero(stored, store)) == 1


def test_a_store_renamed_into_place_is_one_fileset(stored: Whole) -> None:
    store = image(stored.watch_dir / "amy" / "a.zarr", levels=2)
    partial = Store(stored.watch_dir / "amy" / "a.zarr.partial", files=store.files)
    partial.write()
    other = stored.drop("other.tif")
    stored.until_known(other)
    stored.clock.sleep(3 * QUIET_S)
    partial.top.rename(store.top)
    stored.until_known(store.path)
    stored.until_settled()
    assert in_omero(stored, store) == [tuple(in_order(store.files))]
    rows = [row.path for row in stored.journal.select()]
    assert sorted(rows) == sorted([str(store.path), str(other)])


@pytest.mark.parametrize("zarr", [2, 3])
def test_a_directory_is_a_store_from_when_its_metadata_comes(stored: Whole, zarr: int) -> None:
    """What was met of it before, file by file, is a part of it."""
    store = image(stored.watch_dir / "amy" / "plain", zarr, levels=2)
    top = [name for name in store.files if "/" not in name]
    chunks = [n for n in store.files if n not in top and ".z" not in n and "json" not in n]
    with stored.clock.halted():
        store.write(*chunks)
        chunk = chunks[0]
        stored.until(
            "its chunks are met",
            lambda: any(row.path.endswith(f"/{chunk}") for row in stored.journal.select()),
        )
        store.write()
    stored.until_known(store.path)
    stored.until_settled()
    assert in_omero(stored, store) == [tuple(in_order(store.files))]
    others = [row for row in stored.journal.select() if row.path != str(store.path)]
    assert {str(row.state) for row in others} <= {"skipped"}
    assert all(not row.images for row in others)


@pytest.mark.parametrize("zarr", [2, 3])
def test_of_stores_within_each_other_the_outermost_counts(stored: Whole, zarr: int) -> None:
    store = image(stored.watch_dir / "amy" / "plain", zarr, levels=2)
    top = [name for name in store.files if "/" not in name]
    with stored.clock.halted():  # none of them is at rest before the outermost comes
        store.write(*(name for name in store.files if name not in top))
        inner = {f"{store.path}{level}/" for level in (0, 1)}
        stored.until("both are met", lambda: inner <= {row.path for row in stored.journal.select()})
        store.write(*top)
    stored.until_known(store.path)
    stored.until_settled()
    assert in_omero(stored, store) == [tuple(in_order(store.files))]
    assert all(r.state is State.SKIPPED for r in stored.journal.select() if r.path in inner)


def test_a_renamed_store_keeps_its_fileset(stored: Whole) -> None:
    store = image(stored.watch_dir / "amy" / "a.zarr", levels=2)
    store.write(*(name for name in store.files if name != "1/.zarray"))
    stored.until("it waits", lambda: reason(stored, store).startswith("waits for"))
    former = stored.row(store.path)
    moved = Store(stored.watch_dir / "amy" / "b.zarr", files=store.files)
    store.top.rename(moved.top)
    moved.write("1/.zarray")
    stored.until_known(moved.path)
    stored.until_settled()
    assert in_omero(stored, moved) == [tuple(in_order(moved.files))]
    assert in_omero(stored, store) == []
    assert stored.journal.counts()[State.WAITING] == 0
    assert former.state is State.WAITING


def test_a_store_that_is_removed_before_its_import_is_gone(stored: Whole) -> None:
    store = image(stored.watch_dir / "amy" / "a.zarr", levels=2)
    store.write(*(name for name in store.files if name != "1/.zarray"))
    stored.until("it waits", lambda: reason(stored, store).startswith("waits for"))
    shutil.rmtree(store.top)
    stored.until_known(store.path, states=(State.SKIPPED,))
    assert "removed or renamed" in stored.row(store.path).reason


def test_a_server_without_a_reader_holds_it_until_there_is_one(
    omerodir: Path, make_whole: Callable[..., Whole]
) -> None:
    (omerodir / "lib" / "server" / "OMEZarrReader.jar").unlink()
    whole = make_whole()
    store = image(whole.watch_dir / "amy" / "a.zarr")
    store.write()
    whole.until("it says so", lambda: "OMEZarrReader" in reason(whole, store))
    other = whole.drop("a.tif")
    whole.until_known(other)
    row = whole.row(store.path)
    assert row.state is State.WAITING
    assert row.reason.startswith("held: OMERO.server has no reader for OME-Zarr")
    install_reader(omerodir)
    whole.stop_dropbox()  # as with OMERO, which has to start anew to know its jars
    whole.start_dropbox()
    whole.until_known(store.path)
    assert_alone(whole, store)


def test_in_place_each_file_is_a_link(omerodir: Path, make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(transfer="ln_s")
    store = KINDS["plate"](whole.watch_dir / "amy" / "a.zarr")
    store.write()
    whole.until_known(store.path)
    links = [p for p in (whole.watch_dir.parent / "ManagedRepository").rglob("*") if p.is_symlink()]
    assert sorted(str(link.readlink()) for link in links) == sorted(
        str(store.top / name) for name in store.files
    )


def test_moved_into_omero_nothing_of_it_is_left(
    omerodir: Path, make_whole: Callable[..., Whole]
) -> None:
    whole = make_whole(transfer="upload_rm")
    store = image(whole.watch_dir / "amy" / "a.zarr", 3, levels=2)
    for name in BESIDE:
        (store.top / name).parent.mkdir(parents=True, exist_ok=True)
        (store.top / name).write_bytes(b"x")
    store.write()
    whole.until_known(store.path)
    whole.until("it is removed", lambda: not store.top.exists())
    assert len(in_omero(whole, store)) == 1


def test_what_never_comes_is_quarantined_and_brought_back_as_a_whole(
    omerodir: Path, make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    whole = make_whole(completeTimeout="3000", quarantine=str(tmp_path / "bad"))
    store = image(whole.watch_dir / "amy" / "a.zarr", levels=2)
    store.write(*(name for name in store.files if name != "1/.zarray"))
    whole.until("it waits", lambda: reason(whole, store).startswith("waits for"))

    def failed() -> bool:
        whole.clock.pass_by(600)
        return whole.journal.counts()[State.FAILED] == 1

    whole.until("it has failed", failed)
    whole.until("it is moved", lambda: not store.top.exists())
    (row,) = whole.journal.select(State.FAILED)
    kept = tmp_path / "bad" / "amy" / str(row.id) / "a.zarr"
    whole.until("the journal says so", lambda: whole.row_of(row.id).files[0].path == f"{kept}/")
    assert {p.name for p in kept.rglob("*") if p.is_file()} == {
        Path(name).name for name in store.files
    } - {"1/.zarray"}
    # Before that DropBox is still at it, and nobody else may move it: `alone.Busy`.
    whole.until("the move has its end", lambda: not list(kept.parents[1].glob(".*.lock")))
    back = whole.dropbox.parts.quarantine.bring_back(whole.row_of(row.id))
    assert back == [str(store.path)]
    store.write("1/.zarray")
    whole.until_known(store.path)
    assert in_omero(whole, store) == [tuple(in_order(store.files))]


def test_a_note_lies_beside_the_store_and_not_in_it(
    omerodir: Path, make_whole: Callable[..., Whole]
) -> None:
    whole = make_whole(completeTimeout="3000", notes="on")
    store = image(whole.watch_dir / "amy" / "a.zarr", levels=2)
    store.write(*(name for name in store.files if name != "1/.zarray"))
    whole.until("it waits", lambda: reason(whole, store).startswith("waits for"))

    def failed() -> bool:
        whole.clock.pass_by(600)
        return whole.journal.counts()[State.FAILED] == 1

    whole.until("it has failed", failed)
    note = store.top.with_name("a.zarr.not-imported.txt")
    whole.until("its note is there", note.exists)
    assert {path.name for path in store.top.iterdir()} == {".zattrs", ".zgroup", "0", "1"}
    store.write("1/.zarray")
    whole.dropbox.parts.rescanner.ask("a test")
    whole.until_known(store.path)
    whole.until("its note is gone", lambda: not note.exists())


def test_the_kernel_watches_one_directory_of_it(stored: Whole) -> None:
    stored.until("the directories are watched", lambda: watches(stored) == 3)
    store = image(stored.watch_dir / "amy" / "a.zarr", 3, side=128)
    store.write()
    directories = sum(path.is_dir() for path in store.top.rglob("*"))
    assert directories > 30
    stored.until_known(store.path)
    assert watches(stored) == 4
    shutil.rmtree(store.top)
    stored.until("it is forgotten", lambda: watches(stored) == 3)


@pytest.mark.parametrize("last", ["metadata", "chunks"])
def test_of_a_store_without_the_suffix_too(stored: Whole, last: str) -> None:
    """Also where its metadata comes last: then the watches are given back."""
    stored.until("the directories are watched", lambda: watches(stored) == 3)
    store = image(stored.watch_dir / "amy" / "plain", 3, side=128)
    chunks = [name for name in store.files if not name.endswith("zarr.json")]
    metadata = [name for name in reversed(store.files) if name not in chunks]
    if last == "metadata":
        store.write(*chunks)
        stored.until("its directories are watched", lambda: watches(stored) > 30)
        store.write(*metadata)
    else:
        store.write(*reversed(metadata))
        store.write(*chunks)
    stored.until("one is", lambda: watches(stored) == 4)
    stored.until_known(store.path)
    assert in_omero(stored, store) == [tuple(in_order(store.files))]
    assert watches(stored) == 4
    shutil.rmtree(store.top)
    stored.until("it is forgotten", lambda: watches(stored) == 3)


def watches(whole: Whole) -> int:
    """Of all monitors together."""
    return sum(int(m.figures()["watches"]) for m in whole.monitors())


@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
def test_one_that_has_lost_its_metadata_is_an_ordinary_directory(
    stored: Whole, restarted: bool
) -> None:
    """And stays one, whoever looks at it again."""
    store = image(stored.watch_dir / "amy" / "plain", 2)
    store.write()
    stored.until_known(store.path)
    if restarted:
        stored.stop_dropbox()
    for name in store.files:
        (store.top / name).unlink()
    if restarted:
        stored.start_dropbox()
    path = stored.drop("plain/a.tif")
    stored.until_known(path)
    stored.until_settled()
    stored.clock.sleep(5 * looks._LATEST_S)
    other = stored.drop("b.tif", user="zak")
    stored.until_known(other)
    stored.until_settled()
    stored.assert_once(path)
    assert stored.row(path).state is State.IMPORTED
