"""A store is removed after its import, and before each call to the disk something comes."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.importing.stores import content, remove_whole
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from tests.conftest import examples
from tests.memory import MEMORY

STORE = "a.ome.zarr"
CHUNKS = (".zattrs", ".zgroup", "0/.zarray", "0/0/0", "0/0/1", "0/1/0")
BESIDE = (".DS_Store", "0/._0", "0/0/@eaDir/0/thumbnail")
CALLS = ("open", "scandir", "stat", "unlink", "rmdir")
DIRECTORIES = ("", "0/", "0/0/", "0/1/", "0/2/", "labels/0/")


class Meanwhile:
    """Lets one act come right before the call number `at` of those that the removal makes.

    An act that changes a file does not come between the last look at a file and its removal: no
    system call removes a name only if it is still this file.
    """

    def __init__(self, at: int, act: Callable[[], None], *, changes: bool = False) -> None:
        self._at, self._act, self._changes = at, act, changes
        self.calls = 0
        self._thread = threading.get_ident()
        self._real = {name: getattr(os, name) for name in CALLS}

    def __enter__(self) -> Meanwhile:
        for name, real in self._real.items():
            setattr(os, name, self._counted(real, removes=name == "unlink"))
        return self

    def __exit__(self, *_: object) -> None:
        self._put_back()

    def _put_back(self) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)

    def _counted(self, real: Callable[..., Any], removes: bool) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if threading.get_ident() != self._thread:
                return real(*arguments, **more)
            self.calls += 1
            if self.calls == self._at and removes and self._changes:
                self._at += 1
            elif self.calls == self._at:
                self._put_back()
                try:
                    self._act()
                finally:
                    self.__enter__()
            return real(*arguments, **more)

        return call


class Dropped:
    """A store as it was imported, below a user's directory of its own."""

    _number = itertools.count()

    def __init__(self, scratch: Path) -> None:
        self.root = scratch / f"{next(self._number)}" / "amy"
        self.store = self.root / STORE
        for name in (*CHUNKS, *BESIDE):
            self.write(name, name.encode())
        path = f"{self.store}/"
        stat = tree_stat(str(self.root), path)
        assert stat is not None
        self.fileset = Fileset(
            id=1,
            user="amy",
            root=str(self.root),
            path=path,
            state=State.IMPORTING,
            reason="",
            origin="event",
            attempts=1,
            refusals=0,
            verified=True,
            server_fileset=9,
            images=(7,),
            created=1.0,
            changed=1.0,
            files=(Found(path, stat),),
        )
        self.sha1s = [content(self.fileset, "", lambda: False)]

    def write(self, name: str, bytes_: bytes) -> None:
        path = self.store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes_)

    def remove(self) -> None:
        assert remove_whole(self.fileset, self.sha1s, linked=False, stopping=lambda: False) == ""


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def calls(scratch: Path) -> int:
    """How many calls a removal makes that nobody disturbs."""
    dropped = Dropped(scratch)
    with Meanwhile(-1, lambda: None) as counted:
        dropped.remove()
    assert not dropped.store.exists()
    assert dropped.root.is_dir()
    return counted.calls


def acts(dropped: Dropped) -> Iterator[tuple[dict[str, bytes], Callable[[], None]]]:
    """What each act makes of some files, and the act; first those that make new ones."""
    for directory in DIRECTORIES:
        name = f"{directory}late"
        fork = f"{directory}._late"

        def with_fork(name: str = name, fork: str = fork) -> None:
            dropped.write(fork, b"fork")
            dropped.write(name, b"new")

        yield {name: b"new", fork: b"fork"}, with_fork
    for name in CHUNKS:

        def written(name: str = name) -> None:
            dropped.write(name, b"other bytes")

        def exchanged(name: str = name) -> None:
            dropped.write(f"{name}.part", b"o" * len(name))
            (dropped.store / f"{name}.part").rename(dropped.store / name)

        yield {name: b"other bytes"}, written
        yield {name: b"o" * len(name)}, exchanged


def _come(dropped: Dropped, at: int, stays: dict[str, bytes], act: Callable[[], None]) -> None:
    with Meanwhile(at, act, changes=not stays.keys().isdisjoint(CHUNKS)):
        dropped.remove()
    for name, bytes_ in stays.items():
        assert (dropped.store / name).read_bytes() == bytes_, (at, name)


@given(data=st.data())
@settings(max_examples=examples(100))
def test_what_comes_meanwhile_stays(scratch: Path, calls: int, data: st.DataObject) -> None:
    dropped = Dropped(scratch)
    stays, act = data.draw(st.sampled_from(list(acts(dropped))), "act")
    _come(dropped, data.draw(st.integers(1, calls), "at"), stays, act)


def test_at_each_call_each_new_file_and_each_kind_of_change_stays(
    scratch: Path, calls: int
) -> None:
    last = len(DIRECTORIES) + 2 * len(CHUNKS)
    for at, which in itertools.product(
        range(1, calls + 1), (*range(len(DIRECTORIES)), last - 2, last - 1)
    ):
        dropped = Dropped(scratch)
        _come(dropped, at, *next(itertools.islice(acts(dropped), which, None)))
