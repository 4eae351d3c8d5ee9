"""A directory becomes a store, or is none any more, while other threads have looked at its files.

Over a disk in memory.  Whoever looks at a path takes the lock after that, so another thread may
act in between: each act here may come at each question that another one asks the disk.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omero_fs_plugin.dropbox import places
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import GONE, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.events import SEVERAL, UNKNOWN, FileStat
from omero_fs_plugin.names import is_utf8
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
# Where a rename brings them, and from where.
ELSEWHERE = {OUTER: f"{AMY}/other/", f"{AMY}/other/": OUTER, INNER: f"{AMY}/1/", f"{AMY}/1/": INNER}
MOMENTS = 12  # more questions than an act asks


class Tree(Disk):
    """Its directories, too, and which of them are stores."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Callable[[], None] = lambda: None  # called after each answer
        self.away = False
        self.owner = UNKNOWN

    def write(self, path: str, size: int) -> None:
        super().write(path, size)
        self.files[path] = replace(self.files[path], owner=self.owner)

    def remove(self, path: str) -> None:
        self.files.pop(path, None)

    def stat(self, path: str) -> FileStat | None:
        found = self.at(path)
        self._answer()
        return found

    def at(self, path: str) -> FileStat | None:
        """What is there, and nothing comes in between."""
        return self._store(path) if is_store(path) else self.files.get(path)

    def is_there(self, directory: str) -> bool:
        inside = any(path.startswith(store_at(directory)) for path in self.files)
        return not self.away and (inside or directory == AMY)

    def _answer(self) -> None:
        self.asked()
        if self.away:
            raise OSError(errno.EIO, "it is away")

    def _store(self, path: str) -> FileStat | None:
        found = [stat for name, stat in self.files.items() if name.startswith(path)]
        if not found or not self._is_store(path.rstrip("/")):
            return None
        changed = max(stat.ctime_ns for stat in found)
        total = sum(stat.mtime_ns for stat in found)
        owners = {stat.owner for stat in found}
        owner = owners.pop() if len(owners) == 1 else SEVERAL
        return FileStat(1, 1000 + len(path), len(found), total, changed, owner)

    def around(self, path: str) -> str:
        found = self._around(path)
        self._answer()
        return found

    def _around(self, path: str) -> str:
        root = AMY if path.startswith(f"{AMY}/") else ROOT
        for directory in above(root, path):
            if self._is_store(directory):
                return store_at(directory)
        return ""

    def _is_store(self, directory: str) -> bool:
        return is_store_name(directory.rpartition("/")[2]) or any(
            is_marker(name) and name.rpartition("/")[0] == directory for name in self.files
        )

    def filesets(self) -> set[str]:
        """The files that lie in no store, and the outermost stores."""
        return {self._around(path) or path for path in self.files}


class Scene:
    """What a user does, and the threads of DropBox."""

    def __init__(self, directory: str, **properties: str) -> None:
        self.properties = {"dirImportWait": str(QUIET), **properties}
        self.journal = Journal(f"sqlite:///{directory}/journal.sqlite")
        self.disk = Tree()
        self.now = 0.0
        self.events: list[str] = []
        self.unheard = False  # a rescan has to tell of something
        self.acts = 0  # under way, one in the other
        self.plan: list[tuple[str, int]] = []  # acts, and at which question the next one comes
        self.left = -1  # questions until then; -1: it comes after the act
        self.disk.asked = self.between
        self.pipeline = self.started()

    def started(self) -> Pipeline:
        return Pipeline(
            self.journal,
            places_of(ROOT, **self.properties),
            Settler(QUIET),
            Outside(
                self.disk.stat,
                {"amy", "zak"}.__contains__,
                is_there=self.disk.is_there,
                store_around=self.disk.around,
            ),
        )

    def between(self) -> None:
        if self.left == 0 and self.plan:
            self.begin()
        elif self.left > 0:
            self.left -= 1

    def begin(self) -> None:
        """The next act of the plan, and perhaps others in it, or in that in which it comes."""
        act, self.left = self.plan.pop(0)
        self.acts += 1
        self.act(act)
        self.acts -= 1

    def act(self, act: str) -> None:
        verb, _, path = act.partition(" ")
        if verb in ("write", "drop", "last"):
            self.disk.write(path, 1)
            self.events.append(path)
            if verb != "write":
                self.tell()
            if verb == "last":
                self.leave()
        elif verb == "remove":
            self.unheard |= path in self.disk.files
            self.disk.remove(path)
            self.events.append(path)
        elif verb == "rename":
            self.rename(path, ELSEWHERE[path])
        else:
            getattr(self, verb)()

    def rename(self, old: str, new: str) -> None:
        """A directory.  Nothing is said of what lies in it."""
        if not any(name.startswith(new) for name in self.disk.files):
            for name in [name for name in self.disk.files if name.startswith(old)]:
                self.disk.rename(name, new + name.removeprefix(old))
                self.unheard = True

    def leave(self) -> None:
        self.disk.away = True

    def answer(self) -> None:
        """The disk answers again: what was said of it meanwhile counts for nothing."""
        self.unheard |= self.disk.away
        self.disk.away = False

    def restart(self) -> None:
        """Of a process in which nothing is under way."""
        if self.acts == 1:
            self.pipeline = self.started()
            self.unheard = True

    def tell(self) -> None:
        events, self.events = self.events, []
        self.pipeline.heard(events, self.now)

    def rescan(self) -> None:
        if self.disk.away:
            return
        seen = [Found(path, self._now(path)) for path in sorted(self.disk.filesets())]
        self.between()
        files = [(met.path, as_lstat(met.stat)) for met in seen if not is_store(met.path)]
        stores = [met for met in seen if is_store(met.path)]
        self.pipeline.looked_at(files, stores, self.now)

    def _now(self, path: str) -> FileStat:
        found = self.disk.at(path)
        assert found is not None
        return found

    def revisit(self) -> None:
        self.pipeline.revisit(self.now)

    def rescan_soon(self) -> None:
        """As the rescanner, if something was unsure."""
        if self.pipeline.files.unsure:
            self.pipeline.files.unsure.clear()
            self.rescan()
            self.revisit()

    def step(self) -> None:
        self.pipeline.step(self.now)

    def queue(self) -> None:
        """What has rested meanwhile is queued."""
        self.now += QUIET
        self.pipeline.step(self.now)
        while (lot := self.pipeline.next_lot(self.now)) is not None:
            each = Grouping(tuple(Candidate((path,)) for path in lot.files))
            self.pipeline.grouped(lot, each, self.now, 0.0)

    def take(self) -> None:
        """What is queued is imported, if it is there as it was."""
        for row in self.journal.select(State.QUEUED):
            now = self.disk.at(row.path)
            if now is None:
                self.journal.move(row.id, State.QUEUED, State.SKIPPED, GONE)
            elif now == row.files[0].stat:
                self.journal.move(row.id, State.QUEUED, State.IMPORTING)
                self.journal.move(row.id, State.IMPORTING, State.IMPORTED)
            else:
                self.journal.move(row.id, State.QUEUED, State.WAITING)
                self.events.append(row.path)

    def look(self) -> None:
        """As Looks, at all stores that are known."""
        for store in self.journal.stores():
            try:
                found = self.disk.stat(store)
            except OSError:
                continue
            if found is not None:
                self.pipeline.scanned([Found(store, found)], self.now)

    def run(self, plan: list[tuple[str, int]]) -> None:
        self.plan = list(plan)
        while self.plan:
            self.begin()
        self.left = -1
        self.answer()
        self.tell()
        if self.unheard:  # that a store has lost its metadata is known by a rescan
            self.rescan()
            self.revisit()
        for _ in range(4):
            self.queue()
            self.rescan_soon()
        self.look()
        for _ in range(4):
            self.queue()
            self.rescan_soon()

    def assert_each_once(self) -> None:
        rows = self.journal.select()
        assert [row.path for row in rows if row.state is State.WAITING] == []
        queued = [row for row in rows if row.state is State.QUEUED]
        # Of what has gone since, whoever imports it finds that out.
        queued = [row for row in queued if self.disk.at(row.path) is not None]
        imported = [row for row in rows if row.state is State.IMPORTED]
        taken = [row.path for row in imported if self.disk.at(row.path) == row.files[0].stat]
        whole = self.disk.filesets()
        known = [row.path for row in queued] + [path for path in taken if path in whole]
        assert sorted(known) == sorted(whole)
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
def scene(**properties: str) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        scene = Scene(directory, **properties)
        try:
            yield scene
        finally:
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


@pytest.mark.parametrize("later", range(5))
@pytest.mark.parametrize("moment", range(4))
@pytest.mark.parametrize("act", ["tell", "rescan", "look", "revisit", "step"])
def test_the_disk_goes_away_while_it_is_asked_about(act: str, moment: int, later: int) -> None:
    """Somebody has looked at a file of it before it was met.  Another one has, too."""
    with scene() as one:
        before = [f"drop {INNER}b.tif", f"write {OUTER}a.tif"]
        plan = [*((one, -1) for one in before), (act, moment), (f"drop {MARKERS[0]}", later)]
        one.run([*plan, (f"last {INNER}b.tif", -1), ("queue", -1), ("answer", -1), ("queue", -1)])
        one.assert_each_once()


def test_what_is_made_anew_in_its_place_needs_no_rescan() -> None:
    """Also after a restart, when the journal alone knows that it was one."""
    for restart in (False, True):
        with scene() as one:
            for act in (f"write {OUTER}a.tif", f"drop {MARKERS[0]}", "queue", "take"):
                one.act(act)
            one.disk.files.clear()
            if restart:
                one.pipeline = one.started()
            one.act(f"drop {INNER}b.tif")
            one.queue()
            assert [row.path for row in one.journal.select(State.QUEUED)] == [f"{INNER}b.tif"]


def test_the_journal_does_not_take_that_it_has_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever meets it next says it once more."""
    with scene() as one:
        one.act(f"drop {OUTER}a.tif")
        one.queue()
        with monkeypatch.context() as patched:
            patched.setattr(one.journal, "absorb", _refuses)
            with pytest.raises(JournalError):
                one.act(f"drop {MARKERS[0]}")
        one.unheard = True
        one.run([])
        one.assert_each_once()


def _refuses(user: str, store: str) -> int:
    raise JournalError(f"{user}: {store}")


@pytest.mark.parametrize("name", ["pl\udcffain", "a%_b", "a'b", 'a"b', "a\\b", "PLAIN", "Ä"])
def test_its_name_is_odd(name: str) -> None:
    with scene() as one:
        store = f"{AMY}/{name}/"
        for act in (f"drop {store}a.tif", f"drop {AMY}/plain/b.tif", f"drop {store}.zattrs"):
            one.act(act)
        one.unheard = True
        one.run([])
        if is_utf8(name):
            one.assert_each_once()
        else:
            assert {row.path for row in one.journal.select()} == {f"{AMY}/plain/b.tif"}


def test_the_owners_say_whose_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """What each of them has below a store is a part of it, also if nothing of theirs waits."""
    monkeypatch.setattr(places, "owner_name", lambda uid: {1: "amy", 2: "zak"}.get(uid, ""))
    with scene(layout="{owner}") as one:
        for owner, name in ((1, "a.tif"), (2, "b.tif")):
            one.disk.owner = owner
            one.act(f"drop {ROOT}/plain/{name}")
        one.queue()
        assert len(one.journal.select(State.QUEUED)) == 2
        one.act(f"drop {ROOT}/plain/.zattrs")
        assert one.journal.select(State.QUEUED) == []
        one.disk.files.pop(f"{ROOT}/plain/.zattrs")
        one.rescan()
        one.queue()
        assert len(one.journal.select(State.QUEUED)) == 2


ACTS = st.sampled_from(
    [
        *(f"{verb} {path}" for verb in ("write", "drop", "remove") for path in FILES),
        *(f"rename {store}" for store in ELSEWHERE),
        *("tell", "rescan", "look", "revisit", "step") * 2,
        *(f"last {path}" for path in FILES),
        *("queue", "take", "restart", "leave", "answer"),
    ]
)


@settings(max_examples=examples(150), deadline=None)
@given(plan=st.lists(st.tuples(ACTS, st.integers(-1, MOMENTS)), max_size=12))
def test_in_any_order(plan: list[tuple[str, int]]) -> None:
    with scene() as one:
        one.run(plan)
        one.assert_each_once()
