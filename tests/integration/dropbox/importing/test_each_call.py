"""OMERO's database is away for one call of an import, whichever call that is.

Which calls there are is not written here: an import without a fault is counted.  Then each call
meets each kind of fault, in an import of its own: instead of being carried out, or after it was.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from omero.rtypes import unwrap

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.sandbox import moods
from omero_fs_plugin.sandbox.handles import Handle

from .attempts import World, until, world
from .site import Site

__all__ = ["world"]

KINDS = (
    ("InternalException", moods.NO_CONNECTION),
    ("ResourceError", "Failed to acquire a connection"),
    ("DatabaseBusyException", moods.NO_CONNECTION_FREE),
)
# The begin, the word to import, and the import itself.
STEPS = ("ManagedRepository.importFileset", "ImportProcess.verifyUpload", "ImportRequest.")
TURNS = 6  # of an importer, at most, until a file is imported
POLLED = "Handle.getResponse"  # as often as the import is long, so only its first call counts


@dataclass(frozen=True)
class Call:
    """The so-many-th call of that name in an import, from 1 on."""

    name: str
    number: int
    after: bool = False  # it has been carried out when the fault comes


class Faulty:
    """Stands for the moods of a sandbox: counts calls, and one of them raises."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begin()

    def begin(self, call: Call | None = None, kind: tuple[str, str] = KINDS[0]) -> None:
        """From now on calls are counted anew, and `call` raises once."""
        self.met: Counter[tuple[str, bool]] = Counter()
        self._call, self._kind = call, kind
        self.raised = False

    def meet(self, call: str, user: str = "") -> None:
        self._count(call, after=False)

    def answer(self, call: str, user: str = "") -> None:
        self._count(call, after=True)

    def _count(self, name: str, *, after: bool) -> None:
        with self._lock:
            self.met[name, after] += 1
            if Call(name, self.met[name, after], after) == self._call:
                self.raised = True
                raise moods.exception(*self._kind)


class Imports:
    """Imports one file after the other, as an importer's thread does."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self._world, self._site = world, Site(world, "upload", monkeypatch)
        self.faulty = Faulty()
        monkeypatch.setattr(world.sandbox.mood, "meet", self.faulty.meet)
        monkeypatch.setattr(world.sandbox.mood, "answer", self.faulty.answer)
        # Commands that OMERO has accepted, and has not ended: on a busy machine its thread may
        # begin them later.  Here nobody waits for an import that is under way, see `world`.
        self._working: set[Handle] = set()
        start, run = Handle.start, Handle._run

        def started(handle: Handle, workers: Any, work: Any) -> Handle:
            self._working.add(handle)
            return start(handle, workers, work)

        def ran(handle: Handle, work: Any) -> None:
            try:
                run(handle, work)
            finally:
                self._working.discard(handle)

        monkeypatch.setattr(Handle, "start", started)
        monkeypatch.setattr(Handle, "_run", ran)

    def once(self, call: Call | None = None, kind: tuple[str, str] = KINDS[0]) -> str:
        """What is wrong after an import of a file with this fault; empty: nothing."""
        site, importers = self._site, self._site.importers
        # As for the first import of a DropBox: it asks what it later keeps.
        importers._importing.pool.tidy(everything=True)
        importers._runs._recovery._done.clear()
        path = site.drop(handed_over=False)
        self.faulty.begin(call, kind)
        said = []
        for _ in range(TURNS):
            try:
                site.look()
            except FsError as error:  # what an importer's thread waits for
                said.append(f"{type(error).__name__}: {error}")
            until(lambda: not self._working)
            row = site.row(path)
            if row.state is State.IMPORTED and not importers._importing.unfinished:
                break
        self.met = self.faulty.met
        self.faulty.begin()  # what follows looks, and is no part of it
        importers._importing.leftovers.sweep()
        wrong = [
            f"it is {row.state.value}: {row.reason}" if row.state is not State.IMPORTED else "",
            f"refused {row.refusals} times" if row.refusals else "",
            f"amy is stopped: {importers.stopped()}" if importers.stopped() else "",
            f"OMERO has {there}" if (there := self._world.in_omero(path)) != [row.images] else "",
            f"tagged {tags} times" if (tags := self._tags(row.images)) != 1 else "",
        ]
        wrong = [one for one in wrong if one]
        return "; ".join(wrong + said) if wrong else ""

    def _tags(self, images: tuple[int, ...]) -> int:
        query = self._world.omero.session_for(self._world.omero.user("amy")).query
        rows = query.projection("select l.parent.id from ImageAnnotationLink l", None)
        return [unwrap(row[0]) for row in rows].count(images[0]) if images else 1


@pytest.fixture
def imports(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Imports]:
    yield Imports(world, monkeypatch)


def calls_of_one(imports: Imports) -> list[Call]:
    """All calls of an import, each before and after it is carried out."""
    assert imports.once() == ""  # the tag is made
    assert imports.once() == ""
    return [
        Call(name, number, after)
        for (name, after), times in sorted(imports.met.items())
        for number in range(1, 2 if name == POLLED else times + 1)
    ]


def wrong_after(imports: Imports, *faults: tuple[Call, tuple[str, str]]) -> str:
    """What is wrong after an import with each of these faults; empty: nothing."""
    told = {fault: imports.once(*fault) for fault in faults}
    return "\n".join(f"{call}, {kind}: {wrong}" for (call, kind), wrong in told.items() if wrong)


def test_a_fault_in_each_step_fails_no_file_and_imports_none_twice(imports: Imports) -> None:
    """The calls after which OMERO has something, with the kinds in turn."""
    calls = [call for call in calls_of_one(imports) if call.name.startswith(STEPS)]
    assert {call.name for call in calls} >= {*STEPS[:2], "ImportRequest.begin"}
    assert not wrong_after(imports, *zip(calls, itertools.cycle(KINDS), strict=False))


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=[name for name, _ in KINDS])
def test_a_fault_in_each_call_fails_no_file_and_imports_none_twice(
    imports: Imports, kind: tuple[str, str]
) -> None:
    """Also the calls of a login, and those for what is told of the images."""
    assert not wrong_after(imports, *((call, kind) for call in calls_of_one(imports)))
