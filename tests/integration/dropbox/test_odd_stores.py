"""Stores that nobody would write on purpose, in DropBox as a whole.

Rule: each is imported once or not at all, status says why not, and nobody else waits for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing import store_importer
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling import groupers
from omero_fs_plugin.stores import digest, in_order
from tests.integration.whole import QUIET_S, Whole
from tests.stores import AXES, Store, image

from .test_stores import BESIDE, assert_alone, hasty, in_omero, omerodir, reason, stored, watches

__all__ = ["hasty", "omerodir", "stored"]


@pytest.fixture(autouse=True)
def nobody_else_waits(stored: Whole) -> Iterator[None]:
    """Whatever a store is like, a file of another user is imported meanwhile."""
    before = stored.drop("before.tif", user="zak")
    stored.until_known(before)
    yield
    other = stored.drop("other.tif", user="zak")
    stored.until_known(other)
    stored.assert_once(before, other)


def a_store(whole: Whole, name: str = "a.zarr", zarr: int = 2, **options: int) -> Store:
    return image(whole.watch_dir / "amy" / name, zarr, **options)


def until_once(whole: Whole, store: Store) -> None:
    """It is imported, alone, with all of its files."""
    whole.until_known(store.path)
    whole.until_settled()
    assert in_omero(whole, store) == [tuple(in_order(store.files))]
    assert_alone(whole, store)
    assert whole.row(store.path).revision_of is None


def until_failed(whole: Whole, store: Store) -> str:
    """It has failed, and OMERO has nothing of it.  Gives the reason."""
    whole.until_known(store.path, states=(State.FAILED,))
    assert in_omero(whole, store) == []
    assert_alone(whole, store)
    return whole.row(store.path).reason


def rows(whole: Whole) -> list[Fileset]:
    return [row for row in whole.journal.select() if row.user == "amy"]


# -- names ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["A.ZARR", "a.ome.Zarr", "a b.zarr", "ä.zarr", "a.zarr.zarr"])
def test_a_name_in_any_case(stored: Whole, name: str) -> None:
    directories = watches(stored)
    store = a_store(stored, name, zarr=3, side=64)
    store.write()
    until_once(stored, store)
    assert watches(stored) == directories + 1


@pytest.mark.parametrize("zarr", [2, 3])
def test_chunks_with_names_of_255_bytes(stored: Whole, zarr: int) -> None:
    store = a_store(stored, zarr=zarr)
    chunk = next(name for name in store.files if name[-1].isdigit())
    parent = chunk.rpartition("/")[0]
    store.files[f"{parent}/{'1' * 255}"] = b"x"
    store.files[f"{parent}/{'ä' * 127}"] = b"y"
    store.write()
    until_once(stored, store)


@pytest.mark.parametrize("part", ["1", "1" * 20])
def test_forty_directories_deep(stored: Whole, part: str) -> None:
    store = a_store(stored)
    store.files["0/" + f"{part}/" * 39 + "1"] = b"x"
    store.write()
    until_once(stored, store)


def test_deeper_than_any_path(stored: Whole) -> None:
    """No program can open such a file by its path; OMERO neither."""
    store = a_store(stored)
    with stored.clock.halted():
        store.write()
        at = os.open(store.top / "0", os.O_RDONLY)
        for _ in range(40):
            os.mkdir("1" * 200, dir_fd=at)
            inner = os.open("1" * 200, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = inner
        os.close(os.open("1", os.O_WRONLY | os.O_CREAT, dir_fd=at))
        os.close(at)
    stored.until(
        "it is told",
        lambda: any(row.state is State.FAILED for row in rows(stored)) or _left(stored, store),
    )
    assert in_omero(stored, store) == []
    subprocess_rm(store.top)


def _left(whole: Whole, store: Store) -> bool:
    return str(store.top) in json.dumps(whole.dropbox.figures(), default=str)


def subprocess_rm(top: Path) -> None:
    """pathlib and shutil cannot; what is left of it would stop pytest's own clean-up."""
    import subprocess

    subprocess.run(["rm", "-rf", str(top)], check=True)


# -- what is no chunk -------------------------------------------------------


@pytest.mark.parametrize("odd", ["link", "link to a directory", "FIFO", "socket", "dangling"])
def test_a_chunk_that_is_no_file(stored: Whole, tmp_path: Path, odd: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    store = a_store(stored)
    with stored.clock.halted():
        store.write()
        chunk = store.top / "0" / "0.0"
        chunk.unlink()
        if odd == "FIFO":
            os.mkfifo(chunk)
        elif odd == "socket":
            import socket

            here = Path.cwd()
            os.chdir(chunk.parent)
            try:
                with socket.socket(socket.AF_UNIX) as made:
                    made.bind(chunk.name)
            finally:
                os.chdir(here)
        else:
            goal = {"link": outside / "secret", "dangling": outside / "nothing"}.get(odd, outside)
            chunk.symlink_to(goal)
    why = until_failed(stored, store)
    assert "0/0.0: not a regular file" in why


def test_what_others_put_beside_its_files(stored: Whole) -> None:
    """Before its import, and after it: it is imported once, and without that."""
    store = a_store(stored)
    for name in BESIDE[::2]:
        (store.top / name).parent.mkdir(parents=True, exist_ok=True)
        (store.top / name).write_bytes(b"x")
    store.write()
    until_once(stored, store)
    former = stored.row(store.path)
    for name in BESIDE:
        (store.top / name).parent.mkdir(parents=True, exist_ok=True)
        (store.top / name).write_bytes(b"y")
    stored.clock.sleep(3 * QUIET_S)
    stored.dropbox.rescanner.ask()
    stored.until_known(stored.drop("a.tif"))
    until_once(stored, store)
    assert stored.row(store.path) == former


@pytest.mark.parametrize("odd", ["link", "FIFO", "directory"])
@pytest.mark.parametrize("name", [".zgroup", ".zattrs", "0/.zarray"])
def test_metadata_that_is_no_file(stored: Whole, tmp_path: Path, name: str, odd: str) -> None:
    store = a_store(stored)
    place, kept = store.top / name, tmp_path / "kept"
    with stored.clock.halted():
        store.write()
        place.rename(kept)
        if odd == "link":
            place.symlink_to(kept)
        elif odd == "FIFO":
            os.mkfifo(place)
        else:
            place.mkdir()
    stored.until("it says why it is not imported", lambda: reason(stored, store))
    stored.clock.sleep(3 * QUIET_S)
    assert in_omero(stored, store) == []
    assert_alone(stored, store)


@pytest.mark.parametrize("name", ["a.zarr", ".zarr"])
def test_a_file_that_is_called_like_a_store(stored: Whole, name: str) -> None:
    path = stored.watch_dir / "amy" / name
    path.write_bytes(b"no store")
    other = stored.drop("a.tif")
    stored.until_known(other)
    stored.until_settled()
    assert {row.state for row in rows(stored) if row.path != str(other)} <= {
        State.SKIPPED,
        State.FAILED,
    }
    assert stored.in_omero(path) == []


def test_a_file_in_the_place_of_a_store_and_back(stored: Whole) -> None:
    path = stored.watch_dir / "amy" / "a.zarr"
    path.write_bytes(b"no store")
    other = stored.drop("a.tif")
    stored.until_known(other)
    path.unlink()
    store = a_store(stored)
    store.write()
    stored.until_known(store.path)
    stored.until_settled()
    assert in_omero(stored, store) == [tuple(in_order(store.files))]


def test_a_link_to_a_store_elsewhere(stored: Whole, tmp_path: Path) -> None:
    real = image(tmp_path / "elsewhere" / "a.zarr")
    real.write()
    (stored.watch_dir / "amy" / "a.zarr").symlink_to(real.top)
    other = stored.drop("a.tif")
    stored.until_known(other)
    stored.until_settled()
    store = Store(stored.watch_dir / "amy" / "a.zarr", files=real.files)
    assert in_omero(stored, store) == []
    assert not [row for row in rows(stored) if row.images and row.path != str(other)]


# -- where it lies ----------------------------------------------------------


@pytest.mark.parametrize("zarr", [2, 3])
def test_the_metadata_in_a_users_own_directory(stored: Whole, zarr: int) -> None:
    """It makes no store of all that the user has."""
    store = image(stored.watch_dir / "amy", zarr)
    store.write(*(name for name in store.files if "/" not in name))
    path = stored.drop("a.tif")
    inner = a_store(stored, "inner.zarr", zarr)
    inner.write()
    stored.until_known(path, inner.path)
    stored.until_settled()
    stored.assert_once(path)
    assert in_omero(stored, inner) == [tuple(in_order(inner.files))]
    assert {r.path for r in rows(stored) if r.images} == {str(path), str(inner.path)}


@pytest.mark.parametrize("first", ["inner", "outer"])
def test_a_store_inside_a_store(stored: Whole, first: str) -> None:
    store = a_store(stored)
    inner = image(store.top / "b.zarr")
    store.files.update({f"b.zarr/{name}": data for name, data in inner.files.items()})
    names = list(store.files)
    if first == "inner":
        names.sort(key=lambda name: not name.startswith("b.zarr"))
    store.write(*names)
    until_once(stored, store)


@pytest.mark.parametrize("whence", ["outside", "zak"])
def test_moved_in_whole(stored: Whole, tmp_path: Path, whence: str) -> None:
    store = a_store(stored)
    if whence == "zak":
        former = Store(stored.watch_dir / "zak" / "a.zarr", files=store.files)
        former.write()
        stored.until_known(former.path)
    else:
        former = Store(tmp_path / "outside" / "a.zarr", files=store.files)
        former.write()
    former.top.rename(store.top)
    until_once(stored, store)
    if whence == "zak":
        assert in_omero(stored, former) == [tuple(in_order(store.files))]
        assert stored.row(former.path).user == "zak"


def test_copied_from_another_user(stored: Whole) -> None:
    former = image(stored.watch_dir / "zak" / "a.zarr")
    former.write()
    stored.until_known(former.path)
    store = a_store(stored)
    shutil.copytree(former.top, store.top)
    until_once(stored, store)
    assert len(in_omero(stored, former)) == 1


def test_renamed_after_its_import(stored: Whole) -> None:
    """Nothing of it is new."""
    store = a_store(stored)
    store.write()
    stored.until_known(store.path)
    moved = Store(stored.watch_dir / "amy" / "sub" / "b.zarr", files=store.files)
    moved.top.parent.mkdir()
    store.top.rename(moved.top)
    other = stored.drop("a.tif")
    stored.until_known(other)
    stored.until_settled()
    assert len(in_omero(stored, store)) == 1
    assert in_omero(stored, moved) == []


def test_two_with_equal_content_at_once(stored: Whole) -> None:
    """Of one user: one of them is imported, and the other one says so."""
    stores = [a_store(stored, f"{name}.zarr") for name in "ab"]
    for store in stores:
        store.write()
    for store in stores:
        stored.until_known(store.path, states=(State.IMPORTED, State.SKIPPED))
    stored.until_settled()
    found = {stored.row(store.path).state for store in stores}
    assert found == {State.IMPORTED, State.SKIPPED}
    assert sum(len(in_omero(stored, store)) for store in stores) == 1


# -- while it is imported ---------------------------------------------------


@pytest.mark.parametrize("point", ["RawFileStore.write", "ImportProcess.verifyUpload"])
@pytest.mark.parametrize("what", ["renamed", "removed", "moved out", "renamed and back"])
def test_while_it_is_uploaded(stored: Whole, tmp_path: Path, point: str, what: str) -> None:
    store = a_store(stored, levels=2)
    gate = stored.blitz.sandbox.pace.hold(point)
    store.write()
    assert gate.reached.wait(30)
    moved = Store(stored.watch_dir / "amy" / "b.zarr", files=store.files)
    if what == "removed":
        shutil.rmtree(store.top)
    elif what == "moved out":
        store.top.rename(tmp_path / "out.zarr")
    else:
        store.top.rename(moved.top)
        if what == "renamed and back":
            moved.top.rename(store.top)
    gate.release()
    stored.blitz.sandbox.pace.let_pass()
    stored.until("it is met", lambda: rows(stored))
    if what in ("renamed", "renamed and back"):
        stored.until(
            "it is imported",
            lambda: [row for row in rows(stored) if row.state is State.IMPORTED],
        )
    stored.until_settled()
    there = in_omero(stored, store) + in_omero(stored, moved)
    assert len(there) <= 1
    assert all(found == tuple(in_order(store.files)) for found in there)
    if what in ("renamed", "renamed and back"):
        assert len(there) == 1


@pytest.mark.parametrize(
    "few",
    [
        pytest.param(1000, id="here"),
        pytest.param(0, id="in a process of its own", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("point", ["ManagedRepository.importFileset", "ImportProcess.verifyUpload"])
@pytest.mark.parametrize("what", ["a chunk changed", "dropped again", "a chunk removed"])
def test_changed_while_it_is_imported(
    stored: Whole, monkeypatch: pytest.MonkeyPatch, few: int, point: str, what: str
) -> None:
    """Between its hash and its upload, or after that: OMERO has what lies there in the end."""
    monkeypatch.setattr(store_importer, "FEW", few)
    store = a_store(stored, levels=3)
    gate = stored.blitz.sandbox.pace.hold(point)
    store.write()
    assert gate.reached.wait(60)
    chunk = next(name for name in reversed(store.files) if name[-1].isdigit())
    if what == "a chunk changed":
        store.files[chunk] = bytes(reversed(store.files[chunk]))
        store.write(chunk)
    elif what == "a chunk removed":
        (store.top / chunk).unlink()
        del store.files[chunk]
    else:
        store.write()
    gate.release()
    stored.blitz.sandbox.pace.let_pass()
    wanted = digest({name: hashlib.sha1(data).hexdigest() for name, data in store.files.items()})

    def is_there() -> bool:
        newest = max(rows(stored), key=lambda row: row.id, default=None)
        done = [row for row in rows(stored) if row.state is State.IMPORTED]
        return newest is not None and any(row.sha1s == (wanted,) for row in done)

    stored.until("it is imported as it is", is_there, patience=120.0)
    stored.until_settled()
    there = in_omero(stored, store)
    assert there.count(tuple(in_order(store.files))) >= 1
    # What was imported before it changed is one more, and nothing is twice.
    contents = [row.sha1s for row in rows(stored) if row.state is State.IMPORTED]
    assert len(contents) == len(set(contents)) == len(there)


# -- metadata that lies -----------------------------------------------------


def test_metadata_that_changes_its_mind(stored: Whole) -> None:
    """One level is promised, then three, while chunks come."""
    store = a_store(stored, levels=3)
    after = store.files[".zattrs"]
    before = json.dumps({"multiscales": [{"axes": AXES, "datasets": [{"path": "0"}]}]}).encode()
    early = [name for name in store.files if "/" not in name or name.startswith("0/")]
    store.files[".zattrs"] = before
    with stored.clock.halted():
        store.write(*early[:-2])
        stored.clock.sleep(QUIET_S / 2)
        stored.clock.pass_by(QUIET_S / 2)
        store.files[".zattrs"] = after
        store.write(".zattrs", *early[-2:])
    stored.until("it waits", lambda: reason(stored, store).startswith("waits for"))
    assert in_omero(stored, store) == []
    store.write()
    until_once(stored, store)


def test_a_store_that_becomes_one_of_zarr_3(stored: Whole) -> None:
    """A program converts it in place: the former metadata goes when the new one is there."""
    store = a_store(stored)
    names = [name for name in store.files if name != "0/.zarray"]
    store.write(*names)
    stored.until("it waits", lambda: reason(stored, store).startswith("waits for"))
    other = a_store(stored, zarr=3)
    with stored.clock.halted():
        other.write()
        for name in names:
            if name not in other.files:
                (store.top / name).unlink()
    until_once(stored, other)


LIES: dict[str, tuple[Any, str]] = {
    "an array that is not there": ({"9/.zarray": {}}, "waits for {}9/.zarray"),
    "outside": ({"../../zak/.zarray": {}}, "leads out of it"),
    "absolute": ({"/etc/passwd": {}}, "leads out of it"),
    "no mapping": ([1], "its metadata has no usable .zmetadata"),
    "a number": (7, "its metadata has no usable .zmetadata"),
}


@pytest.mark.parametrize("zarr", [2, 3])
@pytest.mark.parametrize("lie", LIES)
def test_consolidated_metadata_that_lies(stored: Whole, zarr: int, lie: str) -> None:
    told, why = LIES[lie]
    store = a_store(stored, zarr=zarr)
    if zarr == 2:
        store.files[".zmetadata"] = json.dumps(
            {"zarr_consolidated_format": 1, "metadata": told}
        ).encode()
    else:
        if isinstance(told, dict):
            told = {name.removesuffix("/.zarray"): {} for name in told}
        said = json.loads(store.files["zarr.json"])
        said["consolidated_metadata"] = {"kind": "inline", "metadata": told}
        store.files["zarr.json"] = json.dumps(said).encode()
        why = why.replace(".zarray", "zarr.json").replace(".zmetadata", "consolidated_metadata")
    store.write()
    stored.until("it says why", lambda: why.format(store.path) in reason(stored, store))
    assert in_omero(stored, store) == []
    assert_alone(stored, store)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
    ids=["empty", "cut", "list", "null", "no UTF-8", "brackets", "braces"],
)
@pytest.mark.parametrize("name", [".zattrs", "0/.zarray"])
def test_metadata_that_is_none(stored: Whole, name: str, text: bytes) -> None:
    store = a_store(stored)
    store.files[name] = text
    store.write()
    stored.until("it says why", lambda: reason(stored, store))
    stored.clock.sleep(3 * QUIET_S)
    assert in_omero(stored, store) == []
    assert_alone(stored, store)


# -- without an end ---------------------------------------------------------


def test_one_that_grows_for_ever(stored: Whole) -> None:
    """Others go on, it is imported when it stops, and once.

    Time passes from chunk to chunk, so that none is ever late.
    """
    store = a_store(stored)
    ended = threading.Event()

    def grow() -> None:
        with stored.clock.halted():
            store.write()
            number = 0
            while not ended.wait(QUIET_S / 6):
                stored.clock.pass_by(QUIET_S / 6)
                number += 1
                name = f"0/9.{number}"
                store.files[name] = b"x"
                store.write(name)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for number in range(4):
            other = stored.drop(f"{number}.tif", user="zak")
            stored.until_known(other)
            assert in_omero(stored, store) == []
    finally:
        ended.set()
        writer.join()
    until_once(stored, store)


@pytest.mark.parametrize(
    "what", ["0/0.0", "0/.zarray", "0", ""], ids=lambda what: what or "its top"
)
def test_what_may_not_be_read_for_a_while(stored: Whole, what: str) -> None:
    """It waits and says why, nobody else does, and no other event is needed once it is mended."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    store = image(stored.watch_dir / "amy" / "a.zarr", levels=2)
    # Nobody meets it while it can be read: a directory with this name is not entered.  And one
    # without rights of its own cannot be moved to another directory.
    aside = image(store.top.with_name("@eaDir"), levels=2)
    aside.write()
    shut = aside.top / what
    rights = shut.stat().st_mode & 0o777
    shut.chmod(0)
    aside.top.rename(store.top)
    shut = store.top / what

    def why() -> str:
        rows = [r.reason for r in stored.journal.select() if r.path == str(store.path) and r.reason]
        left = [v for k, v in stored.dropbox.figures().items() if k.startswith(f"left.{store.top}")]
        return "; ".join((*rows, *left))

    stored.until("it says why", lambda: "Permission denied" in why())
    stored.until_known(stored.drop("beside.tif", user="zak"))
    assert in_omero(stored, store) == []
    # Nothing is under way by then, and nothing that comes of it wakes anybody.
    stored.clock.sleep(3 * groupers._STEP_S)
    shut.chmod(rights)
    stored.until(
        "it is imported",
        lambda: [r for r in stored.journal.select(State.IMPORTED) if r.path == str(store.path)],
    )
    assert_alone(stored, store)
    assert len(in_omero(stored, store)) == 1
    stored.until("nothing is told any more", lambda: not why())
