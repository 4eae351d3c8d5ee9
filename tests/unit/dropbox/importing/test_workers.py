"""Importers and a journal that cannot be written: no fileset is left between two states."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.attempts import TRIES
from omero_fs_plugin.dropbox.importing.importing import Plan
from omero_fs_plugin.dropbox.importing.methods import Methods
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.targets.sidecar import Sidecar
from omero_fs_plugin.errors import JournalError, RecordRefused
from omero_fs_plugin.events import FileStat
from tests.rules import places_of

RUN = 30  # filesets


@pytest.fixture
def importers(journal: Journal, tmp_path: Path) -> Importers:
    return _importers(journal, places_of(tmp_path))


def _importers(journal: Journal, places: Places, number: int = 1) -> Importers:
    return Importers(
        journal,
        None,  # type: ignore[arg-type]
        places=places,
        number=number,
        held=lambda user: "",
        import_duplicates=lambda: False,
        quarantine=lambda fileset: None,
        changed=lambda fileset: None,
        methods=Methods(None),
    )


def test_a_whole_run_is_given_back_when_the_journal_is_there_again(
    journal: Journal, importers: Importers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(RUN):
        path = f"/dropbox/amy/{number}"
        journal.hand_over("amy", "/dropbox/amy", Found(path, FileStat(1, number, 1, 1, 1)))
    run = [journal.take("amy") for _ in range(RUN)]
    with monkeypatch.context() as patch:

        def down(*_: Any, **__: Any) -> bool:
            raise JournalError("the disk is full")

        patch.setattr(journal, "move", down)
        with pytest.raises(JournalError):
            importers._give_back([one for one in run if one is not None], "OMERO is away")
    assert journal.counts()[State.IMPORTING] == RUN
    importers._take()  # before anything else
    assert journal.counts()[State.IMPORTING] <= 1
    assert journal.counts()[State.QUEUED] >= RUN - 1


@pytest.mark.parametrize("attempts", [1, 100, 5000])
def test_however_often_it_was_tried_it_rests_a_minute_at_most(
    journal: Journal, importers: Importers, attempts: int
) -> None:
    """An import that OMERO is at for a week is looked at some ten thousand times."""
    journal.hand_over("amy", "/dropbox/amy", Found("/dropbox/amy/a", FileStat(1, 7, 1, 1, 1)))
    fileset = journal.take("amy")
    assert fileset is not None
    begun = time.monotonic()
    importers._ended(replace(fileset, attempts=attempts), State.QUEUED)
    assert 0 < importers._resting[fileset.id] - begun <= 61


class TestASlowJournal:
    """It holds up the thread that asks it, and nobody else."""

    @pytest.mark.parametrize("call", ["take", "queued_users", "move"])
    def test_neither_a_stop_nor_status_waits_for_it(
        self,
        journal: Journal,
        importers: Importers,
        monkeypatch: pytest.MonkeyPatch,
        call: str,
    ) -> None:
        journal.hand_over("amy", "/dropbox/amy", Found("/dropbox/amy/a", FileStat(1, 7, 1, 1, 1)))
        real, called, answered = getattr(journal, call), threading.Event(), threading.Event()

        def slow(*arguments: Any, **named: Any) -> Any:
            called.set()
            answered.wait(30)
            return real(*arguments, **named)

        if call == "move":
            fileset = journal.take("amy")
            assert fileset is not None
            importers._not_given_back[fileset.id] = "OMERO is away"
        monkeypatch.setattr(journal, call, slow)
        thread = threading.Thread(target=importers._take)
        thread.start()
        try:
            assert called.wait(10)
            asked: list[Callable[[], object]] = [
                importers.wake,
                importers.stopped,
                lambda: importers.busy,
                importers.ask_to_stop,
            ]
            for ask in asked:
                asking = threading.Thread(target=ask)
                asking.start()
                asking.join(5)
                assert not asking.is_alive(), ask
        finally:
            answered.set()
            thread.join(10)
        assert not thread.is_alive()

    def test_while_it_is_asked_for_one_user_no_other_import_starts_within_the_throttle(
        self, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        importers = _importers(journal, places_of("/dropbox", throttleImport="60"))
        for name in "ab":
            stat = FileStat(1, ord(name), 1, 1, 1)
            journal.hand_over("amy", "/dropbox/amy", Found(f"/dropbox/amy/{name}", stat))
        real, called, answered = journal.take, threading.Event(), threading.Event()

        def slow(*arguments: Any, **named: Any) -> Any:
            called.set()
            answered.wait(30)
            return real(*arguments, **named)

        monkeypatch.setattr(journal, "take", slow)
        thread = threading.Thread(target=importers._take)
        thread.start()
        assert called.wait(10)
        assert importers._take() == []
        answered.set()
        thread.join(10)
        assert journal.counts()[State.IMPORTING] == 1


class TestAWriteWhoseAnswerWasLost:
    """The journal has done it, and its server went away before it could say so."""

    @contextmanager
    def lost(self, journal: Journal, monkeypatch: pytest.MonkeyPatch, call: str) -> Iterator[None]:
        real = getattr(journal, call)

        def done_and_lost(*arguments: Any, **options: Any) -> Any:
            real(*arguments, **options)
            raise JournalError("server closed the connection unexpectedly")

        with monkeypatch.context() as patch:
            patch.setattr(journal, call, done_and_lost)
            yield

    def test_what_was_taken_is_taken_again(
        self, journal: Journal, importers: Importers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal.hand_over("amy", "/dropbox/amy", Found("/dropbox/amy/a", FileStat(1, 7, 1, 1, 1)))
        with self.lost(journal, monkeypatch, "take"), pytest.raises(JournalError):
            importers._take()
        assert journal.counts()[State.IMPORTING] == 1
        importers._adrift = True  # as `_work` does
        (taken,) = importers._take()
        assert taken.path == "/dropbox/amy/a"
        importers._adrift = True
        assert importers._take() == [], "it is under way"
        assert journal.counts()[State.IMPORTING] == 1

    def test_what_is_left_to_finish_is_not_forgotten(
        self, journal: Journal, importers: Importers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal.hand_over("amy", "/dropbox/amy", Found("/dropbox/amy/a", FileStat(1, 7, 1, 1, 1)))
        fileset = journal.take("amy")
        assert fileset is not None
        with self.lost(journal, monkeypatch, "imported"), pytest.raises(JournalError):
            journal.imported(fileset.id, 1, [1], ["ab"], finished=False)
        importers._adrift = True
        for _ in range(2):
            importers._take()
            assert list(importers._importing.unfinished) == [fileset.id]
        with monkeypatch.context() as patch:

            def down(*_: Any) -> None:
                raise JournalError("the disk is full")

            patch.setattr(journal, "get", down)
            with pytest.raises(JournalError):
                importers._finish()
        assert list(importers._importing.unfinished) == [fileset.id]


class TestAnImporterThatFails:
    """A defect of ours, or a write that the journal refuses: it hurts its own fileset alone."""

    @pytest.fixture
    def queued(self, journal: Journal) -> list[int]:
        """amy's two filesets, the first of which meets the defect."""
        return [
            journal.hand_over(
                "amy",
                "/dropbox/amy",
                Found(f"/dropbox/amy/{name}", FileStat(1, ord(name), 1, 1, 1)),
            ).id
            for name in "ab"
        ]

    @pytest.fixture(
        params=[ZeroDivisionError("x"), RecordRefused("CHECK constraint failed"), OSError(28, "y")],
        ids=lambda error: type(error).__name__,
    )
    def error(self, request: pytest.FixtureRequest) -> Exception:
        error: Exception = request.param
        return error

    def work(self, importers: Importers, times: int) -> list[int]:
        """What is taken, in `times` turns of a thread."""
        taken = []
        for _ in range(times):
            if found := importers._take():
                taken += [one.id for one in found]
                with suppress(Exception):
                    importers._import(found)
        return taken

    @pytest.fixture
    def failing(
        self,
        importers: Importers,
        queued: list[int],
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
        journal: Journal,
        where: str,
    ) -> Importers:
        importing = importers._importing

        def plan(fileset: Fileset) -> Plan:
            if where == "plan" and fileset.id == queued[0]:
                raise error
            return Plan(importers._methods.of(None), Sidecar())

        def run(_: Plan, filesets: Sequence[Fileset]) -> Iterator[tuple[Fileset, State]]:
            for fileset in filesets:
                if fileset.id == queued[0]:
                    raise error
                journal.imported(fileset.id, fileset.id, [fileset.id], ["ab"])
                yield fileset, State.IMPORTED

        monkeypatch.setattr(importing, "plan", plan)
        monkeypatch.setattr(importing, "run", run)
        monkeypatch.setattr(importers._recovery, "of", lambda user: None)
        return importers

    @pytest.mark.parametrize("where", ["plan", "run"])
    def test_the_others_of_the_same_user_go_on(
        self, failing: Importers, queued: list[int], journal: Journal
    ) -> None:
        assert self.work(failing, 3) == queued
        states = {one.id: one for one in map(journal.get, queued) if one is not None}
        assert states[queued[1]].state is State.IMPORTED
        assert states[queued[0]].state is State.QUEUED
        assert states[queued[0]].reason, "status says why"

    @pytest.mark.parametrize("where", ["plan", "run"])
    def test_when_others_went_through_meanwhile_it_ends_as_failed(
        self, failing: Importers, queued: list[int], journal: Journal
    ) -> None:
        for number in range(8):
            path = f"/dropbox/amy/more {number}"
            journal.hand_over("amy", "/dropbox/amy", Found(path, FileStat(1, number, 1, 1, 1)))
            failing._resting.clear()  # its rest is over
            self.work(failing, 2)
        fileset = journal.get(queued[0])
        assert fileset is not None and fileset.state is State.FAILED
        assert fileset.refusals == TRIES
        assert journal.counts()[State.IMPORTING] == 0

    def test_one_that_cannot_be_finished_keeps_nothing_from_being_imported(
        self,
        importers: Importers,
        queued: list[int],
        journal: Journal,
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
    ) -> None:
        first = journal.take("amy")
        assert first is not None
        journal.imported(first.id, 1, [1], ["ab"], finished=False)
        importers._importing.unfinished.append(first.id)

        def finish(_: Fileset) -> None:
            raise error

        monkeypatch.setattr(importers._importing, "finish", finish)
        taken: list[int] = []
        for _ in range(2):
            with suppress(type(error)), importers._turn_of_one():
                taken += [one.id for one in importers._take()]
        assert taken == [queued[1]]
        for _ in range(TRIES):
            importers._resting.clear()
            importers._went_through += 1
            with suppress(type(error)):
                importers._finish()
        assert not importers._importing.unfinished
        assert not journal.unfinished()
        told = journal.get(first.id)
        assert told is not None and told.reason.startswith("imported, but ")


def test_without_importers_nothing_is_taken_and_what_is_left_is_finished(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other machines import; what one that is gone had still to finish is DropBox's."""
    importers = _importers(journal, places_of(tmp_path), number=0)
    for inode in (1, 2):
        path = f"/dropbox/amy/{inode}.tif"
        journal.hand_over("amy", "/dropbox/amy", Found(path, FileStat(1, inode, 1, 1, 1)))
    imported = journal.take("amy")
    assert imported is not None
    journal.imported(imported.id, 70, [71], ["0" * 40], finished=False)
    finished: list[int] = []
    looked = threading.Event()

    def finish(fileset: Fileset) -> None:
        finished.append(fileset.id)
        journal.finished(fileset.id)

    def wait() -> None:
        looked.set()
        importers._stopping.wait(60)

    monkeypatch.setattr(importers._importing, "finish", finish)
    monkeypatch.setattr(importers, "_wait", wait)
    monkeypatch.setattr(importers, "_tidy", lambda: None)
    importers.finish_too([imported.id])
    importers._crew.start()
    assert looked.wait(20)
    importers.ask_to_stop()
    assert importers._crew.stop(time.monotonic() + 20)
    assert finished == [imported.id]
    assert [fileset.state for fileset in journal.select(State.QUEUED)] == [State.QUEUED]


@pytest.mark.parametrize(
    ("number", "elsewhere", "told"), [(0, None, False), (0, 0, True), (0, 1, False), (1, 0, False)]
)
def test_people_are_told_when_nobody_imports(
    journal: Journal, tmp_path: Path, number: int, elsewhere: int | None, told: bool
) -> None:
    importers = _importers(journal, places_of(tmp_path), number)
    importers.elsewhere = elsewhere
    assert bool(importers.nobody) is told
