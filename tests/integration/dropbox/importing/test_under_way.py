"""Slow imports in OMERO, and calls that OMERO does late: each gives one set of images, no half.

The sandbox stands still where a test holds it, so that its minutes take no time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from omero_fs_plugin.dropbox.importing import activity, earlier, leftovers
from omero_fs_plugin.dropbox.importing.importers import (
    CutShort,
    DiskAway,
    StillRunning,
    Stopped,
    native,
)
from omero_fs_plugin.dropbox.importing.importers.native import NativeImport, NativeImporter
from omero_fs_plugin.dropbox.importing.importers.protocol import Outcome, Task
from omero_fs_plugin.dropbox.importing.leftovers import Leftovers
from omero_fs_plugin.dropbox.importing.pool import SessionPool
from omero_fs_plugin.dropbox.journal.database import LeaseLost
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import Lease
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ImportRefused, ServerAwayError, ServerBusyError
from omero_fs_plugin.sandbox import moods
from omero_fs_plugin.sandbox.pace import FINISH, READ, SAVE
from omero_fs_plugin.sandbox.store import TABLES

from .attempts import (
    PATIENCE_S,
    Killed,
    World,
    begin_by_another_client,
    no_patience,
    until,
    world,
)

__all__ = ["world"]


def killed_while_omero_imports(world: World, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """DropBox dies just after OMERO was told to import."""

    def killed(self: NativeImport, handle: Any) -> tuple[int, ...]:
        raise Killed("_await")

    world.queue(path)
    with monkeypatch.context() as patch:
        patch.setattr(NativeImport, "_await", killed)
        with pytest.raises(Killed):
            world.attempt()
    world.restart()


@contextmanager
def impatient(monkeypatch: pytest.MonkeyPatch, *, verify: bool) -> Iterator[None]:
    """The begin of an import, or the verification of its upload, is given up at once.

    Every other call has the usual patience.
    """
    real = native.patience_ms
    with monkeypatch.context() as patch:
        patch.setattr(
            native,
            "patience_ms",
            lambda size, files=0: 300 if bool(size) is verify else real(size, files),
        )
        yield


def logged(world: World) -> int:
    """Bytes that OMERO's imports have written into their logs."""
    logs = (world.sandbox.data_dir / "ManagedRepository").rglob("*.log")
    return sum(path.stat().st_size for path in logs)


@pytest.fixture
def sweep(world: World) -> Iterator[Callable[[], None]]:
    """Looks once for what was left in OMERO."""
    pool = SessionPool(world.omero)
    yield lambda: Leftovers(world.journal, world.omero, pool, world.watch, lambda _: "").sweep()
    pool.tidy(everything=True)


class TestAnImportThatLasts:
    @pytest.mark.parametrize("point", [READ, SAVE])
    def test_is_waited_for_and_found_when_it_ends(
        self, world: World, monkeypatch: pytest.MonkeyPatch, point: str
    ) -> None:
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(point)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        for _ in range(3):
            assert world.attempt() is State.QUEUED
            assert "OMERO may still be importing it as Fileset:" in world.row(path).reason
            assert world.in_omero(path) == [()], "neither deleted nor imported beside"
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED
        assert world.in_omero(path) == [world.row(path).images]

    def test_has_images_before_its_end_and_is_not_waited_for(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(FINISH)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        assert world.attempt() is State.IMPORTED
        gate.release()
        assert world.in_omero(path) == [world.row(path).images]

    @pytest.mark.parametrize("by", [-86_400.0, 86_400.0])
    def test_outlives_a_clock_that_is_set(
        self, world: World, monkeypatch: pytest.MonkeyPatch, by: float
    ) -> None:
        """OMERO's, and ours: they are mostly those of one machine."""
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(SAVE, silent=True)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        assert world.attempt() is State.QUEUED
        world.sandbox.pace.let_pass()  # a second import would not be held
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + by)
        for _ in range(2):
            assert world.attempt() is State.QUEUED
            assert world.in_omero(path) == [()], "neither deleted nor imported beside"
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED
        assert world.in_omero(path) == [world.row(path).images]

    @pytest.mark.parametrize("by", [-86_400.0, 86_400.0])
    def test_outlives_a_clock_that_is_set_before_dropbox_starts_anew(
        self, world: World, monkeypatch: pytest.MonkeyPatch, by: float
    ) -> None:
        """By the new clock it was quiet for a day, when it is seen for the first time."""
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(SAVE, silent=True)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        world.sandbox.pace.let_pass()  # a second import would not be held
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + by)
        watched = iter([0.0, 2 * activity.WATCH_S, 4 * activity.WATCH_S])
        now = time.monotonic()
        for _ in range(3):
            seconds = now + next(watched)
            world.watch._clock = lambda seconds=seconds: seconds
            assert world.attempt() is State.QUEUED
            assert world.in_omero(path) == [()], "neither deleted nor imported beside"
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED
        assert world.in_omero(path) == [world.row(path).images]

    def test_goes_on_when_the_session_of_its_client_has_ended(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(SAVE)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        for session in world.sandbox.sessions.live():
            if session.user_name == "amy":
                world.sandbox.sessions.end(session)
        assert world.attempt() is State.QUEUED
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED

    def test_lives_as_long_as_its_log_grows(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(READ)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        assert world.attempt() is State.QUEUED
        before = logged(world)
        no_patience(monkeypatch)
        monkeypatch.setattr(activity, "START_S", 0.001)
        until(lambda: logged(world) > before)  # that is what the test is about
        assert world.attempt() is State.QUEUED
        assert world.in_omero(path) == [()]
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED

    def test_without_a_sign_of_life_is_over_and_imported_anew(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(READ, silent=True)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        assert world.attempt() is State.QUEUED
        no_patience(monkeypatch)
        world.sandbox.pace.let_pass()
        assert world.attempt() is State.IMPORTED
        gate.release()
        world.sandbox.repositories.workers.shutdown()
        assert world.in_omero(path) == [world.row(path).images]

    def test_ends_with_its_server(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(READ)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        world.sandbox.pace.let_pass()
        world.sandbox._note_start()
        assert world.attempt() is State.IMPORTED, "without any waiting"
        assert world.in_omero(path) == [world.row(path).images]

    def test_outlives_a_clock_that_was_ahead_when_omero_started(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was set right before the import, and comes to the time of that start only now.

        DropBox was started anew since, and has not seen the clock while it was before that time.
        """
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(SAVE)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        world.sandbox.pace.let_pass()  # a second import would not be held
        with world.sandbox.store.begin() as db:
            db.execute(TABLES["Node"].update().values(up=round(time.time() * 1000)))
        time.sleep(0.01)  # OMERO's clock goes on beyond that, which is what the test is about
        assert world.attempt() is State.QUEUED
        assert world.in_omero(path) == [()], "neither deleted nor imported beside"
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED
        assert world.in_omero(path) == [world.row(path).images]

    def test_is_met_by_a_fresh_journal(
        self, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(SAVE)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        world.journal.close()
        world.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
        world.queue(path)
        world.recover()
        assert world.attempt() is State.QUEUED
        assert world.attempt() is State.QUEUED
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED
        assert world.in_omero(path) == [world.row(path).images]

    @pytest.mark.parametrize("by", [-86_400.0, 86_400.0])
    @pytest.mark.parametrize("whose", ["DropBox", "unknown"])
    def test_is_met_by_a_fresh_journal_after_the_clock_was_set(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        by: float,
        whose: str,
    ) -> None:
        """Nothing says when OMERO was told to import it, and by the clock it was quiet for a day.

        `whose`: OMERO's own importer does not say that it is DropBox's.
        """
        if whose == "unknown":
            known_by_nobody(monkeypatch)
        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(SAVE, silent=True)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        world.sandbox.pace.let_pass()  # a second import would not be held
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + by)
        world.journal.close()
        world.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
        world.queue(path)
        world.recover()
        now, limit = time.monotonic(), activity.limit_s(1, 1)
        for seconds in (0.0, 2 * activity.WATCH_S, 4 * activity.WATCH_S, limit - 1.0):
            world.watch._clock = lambda seconds=seconds: now + seconds
            assert world.attempt() is State.QUEUED
            assert world.in_omero(path) == [()], "neither deleted nor imported beside"
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED
        assert world.in_omero(path) == [world.row(path).images]

    def test_whose_deletion_omero_refuses_is_not_imported_beside(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(session: Any, ids: Any) -> None:
            raise ImportRefused("deleting: it is in use")

        path = world.drop("plate.tif")
        gate = world.sandbox.pace.hold(SAVE, silent=True)
        killed_while_omero_imports(world, monkeypatch, path)
        assert gate.reached.wait(PATIENCE_S)
        assert world.attempt() is State.QUEUED
        with monkeypatch.context() as patch:
            no_patience(patch)
            patch.setattr(earlier, "delete_filesets", refuse)
            assert world.attempt() is State.QUEUED
            assert "deleting: it is in use" in world.row(path).reason
        assert world.in_omero(path) == [()], "the refusal is a sign of life"
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED
        assert world.in_omero(path) == [world.row(path).images]


def test_a_limit_grows_with_files_and_bytes() -> None:
    small, many, large = (activity.limit_s(*of) for of in ((1, 1), (1000, 1), (1, 10**10)))
    assert small >= 600
    assert many >= small + 9000
    assert large >= small + 9000


def test_one_whose_session_has_ended_never_answers_and_is_left_to_the_next_attempt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "ALIVE_S", 0.1)
    path = world.drop("plate.tif")
    gate = world.sandbox.pace.hold(SAVE)
    world.queue(path)
    ended: list[BaseException] = []

    def attempt() -> None:
        try:
            world.attempt()
        except ServerAwayError as error:
            ended.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    assert gate.reached.wait(PATIENCE_S)
    for session in world.sandbox.sessions.live():
        if session.user_name == "amy":
            world.sandbox.sessions.end(session)
    thread.join(PATIENCE_S)
    assert not thread.is_alive() and ended
    world.restart()
    assert world.attempt() is State.QUEUED
    gate.release()
    until(lambda: world.in_omero(path) != [()])
    assert world.attempt() is State.IMPORTED


class TestACallThatIsCarriedOutLate:
    """The client gives it up, and the server does it all the same."""

    @pytest.mark.parametrize("beside", ["before", "after"])
    def test_the_import_of_a_fileset(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        sweep: Callable[[], None],
        beside: str,
    ) -> None:
        path = world.drop("a.tif")
        world.queue(path)
        gate = world.sandbox.pace.hold("ManagedRepository.importFileset")
        with impatient(monkeypatch, verify=False), pytest.raises(ServerAwayError):
            world.attempt()
        # Given up here, it may still be on its way to there.
        assert gate.reached.wait(PATIENCE_S)
        world.restart()
        world.sandbox.pace.let_pass()
        if beside == "before":
            gate.release()
            until(lambda: world.in_omero(path))
        assert world.attempt() is State.IMPORTED
        gate.release()
        until(lambda: len(world.in_omero(path)) == 2)
        sweep()
        assert len(world.in_omero(path)) == 2, "it is too young to be nobody's"
        no_patience(monkeypatch)
        sweep()
        assert world.in_omero(path) == [world.row(path).images]
        monkeypatch.setattr(leftovers, "LATE_S", -1.0)
        sweep()
        assert world.journal.notes("leftover:") == {}, "and is looked for no longer"

    def test_the_import_of_a_fileset_whose_dropbox_was_killed(
        self, world: World, monkeypatch: pytest.MonkeyPatch, sweep: Callable[[], None]
    ) -> None:
        """Nobody has seen that the call was given up."""

        def killed(self: NativeImport, repository: Any) -> Any:
            repository.begin_importFileset(self._description(), self._settings(repository))
            raise Killed("_begin")

        path = world.drop("a.tif")
        world.queue(path)
        gate = world.sandbox.pace.hold("ManagedRepository.importFileset")
        with monkeypatch.context() as patch:
            patch.setattr(NativeImport, "_begin", killed)
            with pytest.raises(Killed):
                world.attempt()
        assert gate.reached.wait(PATIENCE_S)
        world.restart()
        world.sandbox.pace.let_pass()
        assert world.attempt() is State.IMPORTED
        gate.release()
        until(lambda: len(world.in_omero(path)) == 2)
        no_patience(monkeypatch)
        sweep()
        assert world.in_omero(path) == [world.row(path).images]

    @pytest.mark.parametrize("how", [CutShort, Stopped, StillRunning, DiskAway])
    def test_the_import_of_a_fileset_whose_process_was_ended(
        self, world: World, sweep: Callable[[], None], monkeypatch: pytest.MonkeyPatch, how: Any
    ) -> None:
        session = world.omero.session_for(world.omero.user("amy"))

        class Ended(NativeImporter):
            def run(
                self, tasks: Sequence[Task], stopping: Callable[[], bool]
            ) -> Iterator[tuple[Task, Outcome]]:
                (task,) = tasks
                one = NativeImport(session, task, stopping=stopping)
                repository = session.managed_repository()
                repository.begin_importFileset(one._description(), one._settings(repository))
                yield task, how("it was ended")

        path = world.drop("a.tif")
        world.queue(path)
        gate = world.sandbox.pace.hold("ManagedRepository.importFileset")
        assert world.attempt(importer=Ended(session)) is State.QUEUED
        assert gate.reached.wait(PATIENCE_S)
        world.sandbox.pace.let_pass()
        assert world.attempt() is State.IMPORTED
        gate.release()
        until(lambda: len(world.in_omero(path)) == 2)
        no_patience(monkeypatch)
        sweep()
        assert world.in_omero(path) == [world.row(path).images]

    def test_the_verification_of_an_upload(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = world.drop("a.tif")
        world.queue(path)
        gate = world.sandbox.pace.hold("ImportProcess.verifyUpload")
        with impatient(monkeypatch, verify=True), pytest.raises(ServerAwayError):
            world.attempt()
        assert gate.reached.wait(PATIENCE_S)
        world.restart()
        assert world.attempt() is State.QUEUED
        assert world.in_omero(path) == [()]
        gate.release()
        until(lambda: world.in_omero(path) != [()])
        assert world.attempt() is State.IMPORTED
        assert world.in_omero(path) == [world.row(path).images]

    def test_what_is_another_clients_is_never_taken_away(
        self, world: World, monkeypatch: pytest.MonkeyPatch, sweep: Callable[[], None]
    ) -> None:
        path = world.drop("a.tif")
        begin_by_another_client(world, path)
        world.queue(path)
        no_patience(monkeypatch)
        assert world.attempt() is State.IMPORTED
        leftovers.note_leftover(world.journal, world.row(path).id)
        sweep()
        assert sorted(map(len, world.in_omero(path))) == [0, 1]


def killed_after_the_upload(world: World, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """DropBox dies before OMERO is told to import."""

    def killed(self: NativeImport, process: Any) -> Any:
        raise Killed("_verify")

    world.queue(path)
    with monkeypatch.context() as patch:
        patch.setattr(NativeImport, "_verify", killed)
        with pytest.raises(Killed):
            world.attempt()
    world.restart()
    assert world.in_omero(path) == [()]


def set_clock(world: World, tmp_path: Path, ahead: float) -> None:
    """DropBox's clock is so much (s) ahead of OMERO's."""
    world.journal.close()
    world.journal = Journal(
        f"sqlite:///{tmp_path}/journal.sqlite", clock=lambda: time.time() + ahead
    )


def known_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of OMERO's own importer, which tells in its own words what it is."""
    monkeypatch.setattr(activity, "_clients", lambda query, parameters: {})


class TestWhatADeadAttemptLeft:
    @pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0])
    @pytest.mark.parametrize("known", [True, False])
    def test_goes_whatever_our_clock_says(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        ahead: float,
        known: bool,
    ) -> None:
        """Times of OMERO's are compared by OMERO's clock."""
        set_clock(world, tmp_path, ahead)
        if not known:
            known_by_nobody(monkeypatch)
        path = world.drop("a.tif")
        killed_after_the_upload(world, monkeypatch, path)
        no_patience(monkeypatch)
        assert world.attempt() is State.IMPORTED
        assert world.in_omero(path) == [world.row(path).images]

    @pytest.mark.parametrize("who", ["attempt", "sweep"])
    def test_is_deleted_by_nobody_who_has_lost_the_journal(
        self,
        world: World,
        sweep: Callable[[], None],
        monkeypatch: pytest.MonkeyPatch,
        who: str,
    ) -> None:
        """The winner may be going on with that upload."""
        path = world.drop("a.tif")
        killed_after_the_upload(world, monkeypatch, path)
        no_patience(monkeypatch)
        if who == "sweep":
            row = world.row(path)
            leftovers.note_leftover(world.journal, row.id)
            world.journal.move(row.id, State.QUEUED, State.FAILED, "a try")
        lost = LeaseLost("another DropBox has taken over")
        monkeypatch.setattr(world.journal, "make_sure", Mock(side_effect=lost))
        with pytest.raises(LeaseLost):
            world.attempt() if who == "attempt" else sweep()
        assert world.in_omero(path) == [()]

    @pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0])
    def test_is_not_what_another_client_began_before(
        self, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ahead: float
    ) -> None:
        path = world.drop("a.tif")
        begin_by_another_client(world, path)
        time.sleep(0.05)  # OMERO's clock goes on, which is what the test is about
        set_clock(world, tmp_path, ahead)
        world.queue(path)
        assert world.journal.take("amy") is not None
        world.restart()
        no_patience(monkeypatch)
        assert world.attempt() is State.IMPORTED
        assert sorted(map(len, world.in_omero(path))) == [0, 1]

    def test_goes_also_after_the_journal_was_lost(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        sweep: Callable[[], None],
    ) -> None:
        path = world.drop("a.tif")
        killed_after_the_upload(world, monkeypatch, path)
        world.journal.close()
        world.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
        world.recover()
        world.queue(path)
        assert world.attempt() is State.IMPORTED
        assert sorted(map(len, world.in_omero(path))) == [0, 1], "somebody may be at it"
        no_patience(monkeypatch)
        sweep()
        assert world.in_omero(path) == [world.row(path).images]
        assert world.row(path).reason == ""

    def test_is_told_where_nobody_knows_whose_it_is(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        sweep: Callable[[], None],
    ) -> None:
        known_by_nobody(monkeypatch)
        path = world.drop("a.tif")
        killed_after_the_upload(world, monkeypatch, path)
        (dead,) = world.omero.filesets(world.omero.user("amy"), str(path)[1:])
        world.journal.close()
        world.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
        world.queue(path)
        assert world.attempt() is State.IMPORTED
        monkeypatch.setattr(leftovers, "LATE_S", -1.0)
        sweep()
        assert world.row(path).reason == "", "somebody may be at it"
        no_patience(monkeypatch)
        sweep()
        assert world.row(path).reason == (
            f"imported, but OMERO has an unfinished Fileset:{dead.id} of the same file, and "
            "DropBox does not know who made it: delete it there if nobody uploads it"
        )
        assert sorted(map(len, world.in_omero(path))) == [0, 1]
        assert world.journal.notes("leftover:") == {}, "and it is told once"


# OMERO answers calls in any order: the file may be closed before it is asked for its id.
@pytest.mark.parametrize("closed", [False, True], ids=["asked in time", "closed before"])
def test_one_that_omero_has_answered_with_a_no_is_not_waited_for(
    world: World, closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_ANSWER_S", PATIENCE_S)  # it comes, however busy the machine is
    path = world.drop("a.tif")
    world.queue(path)
    busy = moods.Fault("ImportRequest.begin", "DatabaseBusyException", "busy", 1)
    late = moods.Fault("RawFileStore.getFileId", "InternalException", "closed", 1)
    moods.write(world.sandbox.data_dir, moods.Moods(faults=(busy, late) if closed else (busy,)))
    with pytest.raises(ServerBusyError):
        world.attempt()
    world.restart()
    assert world.in_omero(path) == [()]
    assert world.attempt() is State.IMPORTED, world.row(path).reason
    assert world.in_omero(path) == [world.row(path).images]


def test_an_attempt_learns_that_another_dropbox_has_taken_over(
    world: World, tmp_path: Path
) -> None:
    """Its importer asks before it deletes something."""
    session = world.omero.session_for(world.omero.user("amy"))
    first, told = Lease(world.journal), []
    assert first.hold(0.0)
    world.journal.work_as(first.held)

    class TakenOver(NativeImporter):
        def run(
            self, tasks: Sequence[Task], stopping: Callable[[], bool]
        ) -> Iterator[tuple[Task, Outcome]]:
            (task,) = tasks
            told.append(task.ours())
            first.release()
            other = Journal(f"sqlite:///{tmp_path}/journal.sqlite")
            assert Lease(other).hold(0.0)
            told.append(task.ours())
            other.close()
            yield task, ImportRefused("no")

    world.queue(world.drop("a.tif"))
    with pytest.raises(LeaseLost):
        world.attempt(importer=TakenOver(session))
    assert told == [True, False]
