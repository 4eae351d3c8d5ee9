"""Large stores and sets, in a process of their own: killed, stopped or late, each is imported once.

Which calls to OMERO and which questions there are is not written here: an import without a fault is
counted.  Then each is met by each fault, in an import of its own.
"""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.config.readers import PIXEL_BUFFER
from omero_fs_plugin.dropbox.disks.calls import Calls
from omero_fs_plugin.dropbox.importing import activity, store_importer
from omero_fs_plugin.dropbox.importing.apart import job
from omero_fs_plugin.dropbox.importing.attempts import Attempt
from omero_fs_plugin.dropbox.importing.importers import DiskAway
from omero_fs_plugin.dropbox.importing.leftovers import Leftovers
from omero_fs_plugin.dropbox.importing.pool import SessionPool
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.processes.order import Process
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.sandbox.handles import Handle
from tests.stores import KINDS, Store, image

from .attempts import PATIENCE_S, Killed, no_patience, until
from .stored import Stored
from .test_attempts import _killing

TURNS = 6  # attempts until a store is imported, at most
END_S = 60.0  # for a process that was killed; also for the start of one
# The steps of an import at OMERO, and what DropBox is asked.
STEPS = (
    "ManagedRepository.importFileset", "ImportProcess.verifyUpload", "ImportRequest.",
    "IUpdate.saveAndReturnIds", "ask ",
)  # fmt: skip
POLLED = "Handle.getResponse"  # as often as the import is long, so only its first call counts


@dataclass(frozen=True)
class Moment:
    """The so-many-th call or question of that name."""

    name: str
    number: int
    after: bool  # it has been carried out, and its answer is on its way


class Apart(Stored):
    """Each store is large here.  At one moment its process gets a signal."""

    levels = 9  # of a store: with fewer than 20 files an upload is never gone on with

    def __init__(self, place: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(place, seeded)
        self._monkeypatch = monkeypatch
        self.carried_out = threading.Event()  # until then OMERO does not begin a killed one's call
        self.carried_out.set()
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._numbers = itertools.count(1)
        self._working: set[Handle] = set()
        self.begin()
        no_patience(monkeypatch)
        monkeypatch.setattr(store_importer, "FEW", 0)
        mood = self.sandbox.mood
        monkeypatch.setattr(mood, "meet", lambda call, user="": self._meet(call, after=False))
        monkeypatch.setattr(mood, "answer", lambda call, user="": self._meet(call, after=True))
        make, answer = job._process, job._Watch._answer
        start, work = Handle.start, Handle._run

        def made(*given: Any) -> Process:
            self._process = make(*given)
            return self._process

        def answered(watch: Any, name: str, of: Any) -> Any:
            self._meet(f"ask {name}", after=False)
            said = answer(watch, name, of)
            self._meet(f"ask {name}", after=True)
            return said

        def started(handle: Handle, workers: Any, what: Any) -> Handle:
            self._working.add(handle)
            return start(handle, workers, what)

        def worked(handle: Handle, what: Any) -> None:
            try:
                work(handle, what)
            finally:
                self._working.discard(handle)

        monkeypatch.setattr(job, "_process", made)
        monkeypatch.setattr(job._Watch, "_answer", answered)
        monkeypatch.setattr(Handle, "start", started)
        monkeypatch.setattr(Handle, "_run", worked)

    def begin(self, moment: Moment | None = None, number: int = signal.SIGKILL) -> None:
        """Counts anew; at `moment` the process gets the signal, once."""
        self.met: Counter[tuple[str, bool]] = Counter()
        self._moment, self._signal, self.sent = moment, number, False

    def _meet(self, name: str, *, after: bool) -> None:
        with self._lock:
            process = self._process
            if process is None or process.ended() is not None:
                return  # it is a call of the test or of DropBox itself
            self.met[name, after] += 1
            if Moment(name, self.met[name, after], after) != self._moment:
                return
            self.sent = True
        process.send(self._signal)
        if self._signal == signal.SIGKILL:
            assert process.wait(END_S) == -signal.SIGKILL
            assert self.carried_out.wait(END_S)
        else:  # from now on it is silent, and not before, however slow its start was
            self._monkeypatch.setattr(job, "SILENT_S", 0.5)

    def once(self, moment: Moment | None = None, number: int = signal.SIGKILL) -> str:
        """What is wrong after an import of a store with this fault; empty: nothing."""
        dropped = self.put(next(self._numbers))
        self.begin(moment, number)
        said = []
        for _ in range(TURNS):
            self._monkeypatch.setattr(job, "SILENT_S", END_S)
            said.append(self.attempt().value)
            until(lambda: not self._working)
            if said[-1] != "queued":
                break
        sent, self.met_then = self.sent, self.met.copy()
        self.begin()
        if sent:
            self.sweep(lambda: all(self.found(dropped)[1]))
        row, there, files = self.found(dropped)
        wrong = [
            f"it is {row.state.value}: {row.reason}" if row.state is not State.IMPORTED else "",
            f"OMERO has {there}" if there != [row.images] else "",
            "no SHA1s" if not (all(row.sha1s) and len(row.files) == files) else "",
            "no signal was sent" if moment and not sent else "",
        ]
        return "; ".join(filter(None, [*wrong, *(said if any(wrong) else [])]))

    def put(self, seed: int) -> Any:
        """Drops and queues something that nothing else equals."""
        store = self.made(self.root / f"{seed}.zarr", 2 + seed % 2, seed)
        store.write()
        self.queue_store(store)
        return store

    def found(self, dropped: Any) -> tuple[Fileset, list[tuple[int, ...]], int]:
        """Its row, its images in OMERO, and how many files the row is to have."""
        registered = self.reader == PIXEL_BUFFER
        there = self.in_omero(dropped.path) if registered else self.images_of(dropped)
        return self.row_of(dropped), there, 1

    def sweep(self, done: Callable[[], bool]) -> None:
        """As DropBox does from time to time: an empty fileset of a late call goes.

        Ends when it is `done`, or when it should long have been.
        """
        pool = SessionPool(self.omero)
        leftovers = Leftovers(self.journal, self.omero, pool, self.watch, lambda _: "")
        end = time.monotonic() + PATIENCE_S
        while not done() and time.monotonic() < end:
            leftovers.sweep()
        pool.tidy(everything=True)

    def made(self, top: Path, zarr: int, seed: int) -> Store:
        """A store that no other one equals."""
        return image(top, zarr, levels=self.levels, seed=seed)

    def moments(self) -> list[Moment]:
        """All of an import."""
        assert self.once() == ""
        return [
            Moment(name, number, after)
            for (name, after), times in sorted(self.met_then.items())
            for number in range(1, 2 if name == POLLED else times + 1)
        ]

    def wrong_after(self, number: int, moments: list[Moment]) -> str:
        """What is wrong after an import with each of these; empty: nothing."""
        told = {moment: self.once(moment, number) for moment in moments}
        return "\n".join(f"{moment}: {wrong}" for moment, wrong in told.items() if wrong)


class Registered(Apart):
    """Stores that are registered."""

    reader = PIXEL_BUFFER
    levels = 1


class OfKind(Apart):
    """Stores of another kind."""

    kind = "plate"  # of at least 20 files

    def made(self, top: Path, zarr: int, seed: int) -> Store:
        store = KINDS[self.kind](top, zarr, side=12)
        chunk = next(name for name in reversed(store.files) if name[-1].isdigit())
        store.files[chunk] = seed.to_bytes(16, "big")
        return store


class OfSets(Apart):
    """Sets of several files, each of which the journal has."""

    files = 24  # with fewer than 20 an upload is never gone on with

    def put(self, seed: int) -> Path:
        (self.root / f"{seed}").mkdir()
        first = self.drop(f"{seed}/a.tif", seed)
        members = [first, *(first.with_name(f"{n:02}.raw") for n in range(1, self.files))]
        for number, path in enumerate(members[1:]):
            path.write_bytes(f"{seed} {number}".encode())
        found = [Found(str(path), FileStat.of(path.lstat())) for path in members]
        self.journal.hand_over("amy", str(self.root), *found, reader=self.reader)
        return first

    def found(self, dropped: Any) -> tuple[Fileset, list[tuple[int, ...]], int]:
        return self.row(dropped), self.in_omero(dropped), self.files


class RegisteredPlates(OfKind):
    reader = PIXEL_BUFFER


class Labelled(OfKind):
    kind = "labelled"


@pytest.fixture(params=[Apart, Registered], ids=["uploaded", "registered"])
def apart(
    tmp_path: Path,
    seeded_once: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Apart]:
    world = request.param(tmp_path, seeded_once, monkeypatch)
    yield world
    world.close()


@pytest.mark.parametrize(
    "apart",
    [
        pytest.param(Apart, id="uploaded", marks=pytest.mark.long),
        pytest.param(OfSets, id="sets", marks=pytest.mark.long),
        pytest.param(Registered, id="registered", marks=pytest.mark.long),
        pytest.param(OfKind, id="plates", marks=pytest.mark.long),
        pytest.param(RegisteredPlates, id="registered plates", marks=pytest.mark.long),
        pytest.param(Labelled, id="labelled", marks=pytest.mark.long),
    ],
    indirect=True,
)
def test_killed_at_each_step_it_is_imported_once(apart: Apart) -> None:
    steps = [moment for moment in apart.moments() if moment.name.startswith(STEPS)]
    assert {(m.name, m.after) for m in steps} >= {("ask verified", False), ("ask verified", True)}
    assert apart.reader == PIXEL_BUFFER or "ask began" in {moment.name for moment in steps}
    assert not apart.wrong_after(signal.SIGKILL, steps)


@pytest.mark.parametrize(
    ("apart", "call"),
    [
        pytest.param(Apart, "ManagedRepository.importFileset", id="uploaded"),
        pytest.param(OfSets, "ManagedRepository.importFileset", id="sets"),
        pytest.param(Registered, "IUpdate.saveAndReturnIds", id="registered"),
    ],
    indirect=["apart"],
)
def test_a_call_that_comes_after_the_next_attempt_leaves_nothing(apart: Apart, call: str) -> None:
    """The next attempt finds nothing of it, and imports; a sweep takes away what comes then."""
    dropped = apart.put(1)
    apart.begin(Moment(call, 1, after=False))
    apart.carried_out.clear()
    assert apart.attempt() is State.QUEUED
    assert apart.sent
    assert apart.attempt() is State.IMPORTED
    assert len(apart.found(dropped)[1]) == 1
    apart.carried_out.set()
    until(lambda: len(apart.found(dropped)[1]) == 2)
    apart.sweep(lambda: len(apart.found(dropped)[1]) == 1)
    row, there, _ = apart.found(dropped)
    assert there == [row.images]


@pytest.mark.parametrize("apart", [pytest.param(Apart, id="uploaded")], indirect=True)
def test_killed_or_stopped_at_some_steps_it_is_imported_once(apart: Apart) -> None:
    """A third of the steps, others in each run; those that went wrong are named."""
    steps = [moment for moment in apart.moments() if moment.name.startswith(STEPS)]
    assert not apart.wrong_after(signal.SIGKILL, random.sample(steps, len(steps) // 3))
    late = [moment for moment in steps if moment.after]
    assert not apart.wrong_after(signal.SIGSTOP, random.sample(late, len(late) // 3))


@pytest.mark.long
def test_stopped_at_each_step_it_is_imported_once(apart: Apart) -> None:
    """It hangs: after a while it is ended."""
    steps = [moment for moment in apart.moments() if moment.name.startswith(STEPS)]
    assert not apart.wrong_after(signal.SIGSTOP, [moment for moment in steps if moment.after])


@pytest.mark.long
def test_killed_at_each_call_it_is_imported_once(apart: Apart) -> None:
    assert not apart.wrong_after(signal.SIGKILL, apart.moments())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(Attempt, "_earlier"), (Journal, "note_verified"), (Journal, "imported")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_with_dropbox_its_process_ends_and_it_is_imported_once(
    apart: Apart, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, after: bool
) -> None:
    store = _dropped(apart)
    _killing(monkeypatch, owner, name, after=after)
    with pytest.raises(Killed):
        apart.attempt()
    assert apart._process is None or apart._process.ended() is not None
    apart.restart()
    if apart.journal.queued_users():
        assert apart.attempt() is State.IMPORTED
    assert apart.row_of(store).state is State.IMPORTED


def test_what_its_process_finds_wrong_is_told_as_ever(apart: Apart) -> None:
    store = _dropped(apart)
    store.files["0/0.0"] = b"other"
    store.write("0/0.0")
    assert apart.attempt() in (State.WAITING, State.FAILED)
    assert "changed after it had come to rest" in apart.row_of(store).reason


def test_what_dropbox_answers_ends_it(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _dropped(apart)

    def refuses(*_: Any) -> None:
        raise ImportRefused("no, not this one", final=True)

    monkeypatch.setattr(Journal, "note_verified", refuses)
    assert apart.attempt() is State.FAILED
    assert apart.row_of(store).reason == "no, not this one"
    assert not any(apart.images_of(store))


@pytest.mark.parametrize("hears", [True, False], ids=["its process hears of it", "too late"])
def test_when_dropbox_stops_it_is_given_back(
    apart: Apart, monkeypatch: pytest.MonkeyPatch, hears: bool
) -> None:
    """OMERO is not told to import, however long the word to stop takes."""
    store = _dropped(apart)
    real, say = apart._meet, job._Talk.say
    registered = apart.reader == PIXEL_BUFFER
    imports = "IUpdate.saveAndReturnIds" if registered else "ImportProcess.verifyUpload"

    def stops(name: str, *, after: bool) -> None:
        real(name, after=after)
        apart.stopping.set()

    def says(talk: job._Talk, said: Mapping[str, Any]) -> None:
        if hears or "stop" not in said:
            say(talk, said)

    with monkeypatch.context() as patched:
        patched.setattr(apart, "_meet", stops)
        patched.setattr(job._Talk, "say", says)
        assert apart.attempt() is State.QUEUED
    assert (imports, False) not in apart.met
    assert apart.row_of(store).reason.startswith("stopped ")
    apart.stopping.clear()
    assert apart.attempt() is State.IMPORTED
    assert (imports, False) in apart.met


@pytest.mark.parametrize("apart", [OfSets], indirect=True)
def test_a_set_whose_process_was_killed_is_gone_on_with(
    apart: OfSets, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the files that are there, and verified."""
    for name in ("WATCH_S", "LATE_S"):  # else what it left is cleared away at once
        monkeypatch.setattr(activity, name, 60.0)
    caplog.set_level("INFO")
    wrong = apart.once(Moment("ImportProcess.getUploader", 20, after=True))
    assert wrong == ""
    assert f"of its {apart.files} files, OMERO has" in caplog.text


@pytest.mark.parametrize("apart", [Apart], indirect=True)
def test_its_digest_is_that_of_a_small_one(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a copy is known, whichever of the two was imported in a process of its own."""
    first, second = (image(apart.root / name, levels=2, seed=7) for name in ("a.zarr", "b.zarr"))
    for store, few in ((first, 0), (second, 1000)):
        store.write()
        apart.queue_store(store)
        monkeypatch.setattr(store_importer, "FEW", few)
        apart.attempt()
    assert apart.row_of(first).state is State.IMPORTED
    assert "the same content as" in apart.row_of(second).reason


@pytest.mark.parametrize("apart", [Apart], indirect=True)
def test_without_room_for_a_process_it_waits(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _dropped(apart)

    def none(*_: Any) -> Process:
        raise OSError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(job, "_process", none)
        assert apart.attempt() is State.QUEUED
    assert "cannot be started" in apart.row_of(store).reason
    assert apart.attempt() is State.IMPORTED


def _dropped(apart: Apart) -> Store:
    store = image(apart.root / "a.zarr")
    store.write()
    apart.queue_store(store)
    return store


@pytest.mark.parametrize("apart", [Apart], indirect=True)
@pytest.mark.parametrize("changed", [False, True])
def test_what_was_imported_is_removed_by_a_process_too(apart: Apart, changed: bool) -> None:
    store = _dropped(apart)
    apart.attempt()
    if changed:
        store.files["0/0.0"] = b"other"
        store.write("0/0.0")
    row = apart.row_of(store)
    kept = store_importer.remove_store(row, row.sha1s, linked=False, stopping=lambda: False)
    assert kept == ""
    assert store.top.exists() is changed


@pytest.mark.parametrize("apart", [Apart], indirect=True)
def test_killed_while_it_removes_it_goes_on_later(
    apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it has come to the first file."""
    store = _dropped(apart)
    apart.attempt()
    row, make = apart.row_of(store), job._process

    def killed(*given: Any) -> Process:
        process = make(*given)
        process.send(signal.SIGKILL)
        return process

    with monkeypatch.context() as patched:
        patched.setattr(job, "_BEGIN", "import time; time.sleep(600)")
        patched.setattr(job, "_process", killed)
        with pytest.raises(DiskAway, match="has ended in the middle"):
            store_importer.remove_store(row, row.sha1s, linked=False, stopping=lambda: False)
    assert store.top.exists()
    store_importer.remove_store(row, row.sha1s, linked=False, stopping=lambda: False)
    assert not store.top.exists()


class _Says:
    """A process that says one thing at each look."""

    def __init__(self, *said: dict[str, Any]) -> None:
        self._said = iter(said)

    def heard(self) -> list[dict[str, Any]]:
        return [next(self._said)]


def test_while_it_waits_for_a_disk_the_disk_counts_as_one_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So nothing else is begun there, and status says so."""
    now = 0.0
    calls = Calls(lambda: now)
    seen = []

    def looks() -> bool:
        nonlocal now
        now += 3.0
        seen.append("/in/amy" in calls.away())
        return False

    def beat(waits: bool) -> dict[str, Any]:
        return {"beat": [0, 9, waits]}

    says = _Says(*map(beat, (False, True, True, False, False)), {"gives": "it"})
    asked: Any = SimpleNamespace(fileset=SimpleNamespace(root="/in/amy"), advanced=lambda *_: None)
    talk: Any = says
    with calls.at("/in/amy") as call:
        call.rest()
        assert job._Watch(asked, talk, call, looks).end() == "it"
    assert seen == [False, True, True, False, False]
