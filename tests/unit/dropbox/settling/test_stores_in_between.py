"""A directory becomes a store, or is none any more, while other threads have looked at its files.

Over a disk in memory.  Whoever looks at a path takes the lock after that, so another thread may
act in between: each act here may come at each question that another one asks the disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import above, is_marker, is_store, is_store_name, store_at
from tests.conftest import examples
from tests.memory import MEMORY
from tests.rules import places_of

from .test_pipeline import QUIET, ROOT, Disk

AMY = f"{ROOT}/amy"
OUTER = f"{AMY}/plain/"
# One that only its metadata tells, and one that its name tells, if it is not within another.
INNER, NAMED = f"{OUTER}1/", f"{OUTER}2.zarr/"
MARKERS = [f"{store}.zattrs" for store in (OUTER, INNER)]
FILES = [*MARKERS, f"{OUTER}a.tif", f"{INNER}b.tif", f"{NAMED}c.tif", f"{AMY}/d.tif"]
MOMENTS = 12  # more questions than an act asks


class Tree(Disk):
    """Its directories, too, and which of them are stores."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Callable[[], None] = lambda: None  # called after each answer

    def remove(self, path: str) -> None:
        self.files.pop(path, None)

    def stat(self, path: str) -> FileStat | None:
        found = self._store(path) if is_store(path) else super().stat(path)
        self.asked()
        return found

    def _store(self, path: str) -> FileStat | None:
        found = [stat for name, stat in self.files.items() if name.startswith(path)]
        if not found:
            return None
        changed = max(stat.ctime_ns for stat in found)
        return FileStat(1, 1000 + len(path), len(found), sum(s.mtime_ns for s in found), changed)

    def around(self, path: str) -> str:
        found = self._around(path)
        self.asked()
        return found

    def _around(self, path: str) -> str:
        for directory in above(AMY, path):
            store = store_at(directory)
            if is_store_name(directory.rpartition("/")[2]) or any(
                is_marker(name) and name.rpartition("/")[0] == directory for name in self.files
            ):
                return store
        return ""

    def filesets(self) -> set[str]:
        """The files that lie in no store, and the outermost stores."""
        return {self._around(path) or path for path in self.files}


class Scene:
    """What a user does, and the threads of DropBox."""

    def __init__(self, directory: str) -> None:
        self.journal = Journal(f"sqlite:///{directory}/journal.sqlite")
        self.disk = Tree()
        self.now = 0.0
        self.events: list[str] = []
        self.removed = False
        self.plan: list[tuple[str, int]] = []  # acts, and at which question the next one comes
        self.left = -1  # questions until then; -1: it comes after the act
        self.disk.asked = self.between
        self.pipeline = Pipeline(
            self.journal,
            places_of(ROOT, dirImportWait=str(QUIET)),
            Settler(QUIET),
            Outside(self.disk.stat, {"amy"}.__contains__, store_around=self.disk.around),
        )

    def between(self) -> None:
        if self.left == 0 and self.plan:
            self.begin()
        elif self.left > 0:
            self.left -= 1

    def begin(self) -> None:
        """The next act of the plan, and perhaps others in it."""
        act, self.left = self.plan.pop(0)
        self.act(act)
        self.left = -1

    def act(self, act: str) -> None:
        verb, _, path = act.partition(" ")
        if verb in ("write", "drop"):
            self.disk.write(path, 1)
            self.events.append(path)
            if verb == "drop":
                self.tell()
        elif verb == "remove":
            self.removed |= path in self.disk.files
            self.disk.remove(path)
            self.events.append(path)
        else:
            getattr(self, verb)()

    def tell(self) -> None:
        events, self.events = self.events, []
        self.pipeline.heard(events, self.now)

    def rescan(self) -> None:
        seen = [Found(path, self._now(path)) for path in sorted(self.disk.filesets())]
        self.between()
        files = [(met.path, as_lstat(met.stat)) for met in seen if not is_store(met.path)]
        stores = [met for met in seen if is_store(met.path)]
        self.pipeline.looked_at(files, stores, self.now)

    def _now(self, path: str) -> FileStat:
        found = self.disk._store(path) if is_store(path) else self.disk.files[path]
        assert found is not None
        return found

    def revisit(self) -> None:
        self.pipeline.revisit(self.now)

    def step(self) -> None:
        self.pipeline.step(self.now)

    def look(self) -> None:
        """As Looks, at all stores that are known."""
        for store in self.journal.stores():
            found = self.disk.stat(store)
            if found is not None:
                self.pipeline.scanned([Found(store, found)], self.now)

    def run(self, plan: list[tuple[str, int]]) -> None:
        self.plan = list(plan)
        while self.plan:
            self.begin()
        self.left = -1
        self.tell()
        if self.removed:  # that a store has lost its metadata is known by a rescan
            self.rescan()
            self.revisit()
        for _ in range(4):
            self.now += QUIET
            self.step()
            while (lot := self.pipeline.next_lot(self.now)) is not None:
                each = Grouping(tuple(Candidate((path,)) for path in lot.files))
                self.pipeline.grouped(lot, each, self.now, 0.0)

    def assert_each_once(self) -> None:
        rows = self.journal.select()
        assert [row.path for row in rows if row.state is State.WAITING] == []
        queued = sorted(row.path for row in rows if row.state is State.QUEUED)
        assert queued == sorted(self.disk.filesets())
        assert self.pipeline.pending() == 0 == len(self.pipeline.lots)


def as_lstat(stat: FileStat) -> Any:
    return SimpleNamespace(
        st_dev=stat.device,
        st_ino=stat.inode,
        st_size=stat.size,
        st_mtime_ns=stat.mtime_ns,
        st_ctime_ns=stat.ctime_ns,
        st_uid=stat.owner,
    )


@contextmanager
def scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        scene = Scene(directory)
        yield scene
        scene.journal.close()


@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("act", ["tell", "rescan", "look", "revisit", "step"])
def test_its_metadata_comes(act: str, moment: int) -> None:
    """Its files, and stores in it, were met before, and somebody looks at them again."""
    with scene() as one:
        parts = [path for path in FILES if path != MARKERS[0]]
        before = [(f"write {path}", -1) for path in parts] + [("tell", -1)]
        again = [(f"write {path}", -1) for path in parts if act in ("tell", "rescan")]
        one.run([*before, *again, (act, moment), (f"drop {MARKERS[0]}", -1)])
        one.assert_each_once()


@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("act", ["tell", "rescan", "look", "revisit", "step"])
def test_it_is_known_and_made_anew(act: str, moment: int) -> None:
    """Files came in its place, and while somebody meets these it is a store again."""
    with scene() as one:
        whole = [f"{OUTER}a.tif", f"{INNER}b.tif", MARKERS[0]]
        before = [f"write {path}" for path in whole] + ["tell"]
        before += [f"remove {path}" for path in whole]
        before += [f"write {path}" for path in whole[:2]]
        one.run([*((one, -1) for one in before), (act, moment), (f"drop {MARKERS[0]}", -1)])
        one.assert_each_once()


ACTS = st.sampled_from(
    [
        *(f"{verb} {path}" for verb in ("write", "drop", "remove") for path in FILES),
        *("tell", "rescan", "look", "revisit", "step") * 2,
    ]
)


@settings(max_examples=examples(150), deadline=None)
@given(plan=st.lists(st.tuples(ACTS, st.integers(-1, MOMENTS)), max_size=12))
def test_in_any_order(plan: list[tuple[str, int]]) -> None:
    with scene() as one:
        one.run(plan)
        one.assert_each_once()
