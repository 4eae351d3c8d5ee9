"""Which filesets are next: whose turn it is, and which disks have importers enough."""

from __future__ import annotations

import threading
import time as real_time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.config.schedule import Priority
from omero_fs_plugin.dropbox.disks.calls import Calls
from omero_fs_plugin.dropbox.importing import taking, workers
from omero_fs_plugin.dropbox.importing.crew import SLOW_S, Crew
from omero_fs_plugin.dropbox.importing.importers.choice import JAVA
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.order import SMALL_FIRST_S
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from tests.clocks import Ahead
from tests.rules import places_of
from tests.steps import before_each

from .building import importers_of


class Time:
    """Passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    for module in (taking, workers):
        monkeypatch.setattr(module, "time", time)
    return time


def build(journal: Journal, throttle: float = 0.0, window: str = "") -> Importers:
    places = places_of("/dropbox", throttleImport=str(throttle), window=window)
    return importers_of(journal, places)


def queue(journal: Journal, user: str, number: int, sizes: Sequence[int] = ()) -> None:
    for n in range(number):
        size = sizes[n] if sizes else 1
        stat = FileStat(1, hash((user, n)) % 10**9, size, 1)
        journal.hand_over(user, f"/dropbox/{user}", Found(f"/dropbox/{user}/{n}", stat))


def _one(taken: list[Fileset]) -> Fileset:
    (fileset,) = taken
    return fileset


class TestTurns:
    def test_users_take_turns_however_much_one_of_them_dropped(
        self, journal: Journal, time: Time
    ) -> None:
        for user, number in (("amy", 6), ("zak", 2), ("kim", 1)):
            queue(journal, user, number)
        importers = build(journal)
        taken = [_one(importers._taking.take()) for _ in range(9)]
        assert "".join(f.user[0] for f in taken if f) == "azkazaaaa"
        assert importers._taking.take() == []

    def test_those_named_come_before_all_others(self, journal: Journal, time: Time) -> None:
        for user in ("amy", "kim", "lea", "zak"):
            queue(journal, user, 2)
        importers = build(journal)
        importers.turns.priority = Priority(("zak", "lea"))
        taken = [_one(importers._taking.take()) for _ in range(8)]
        assert "".join(fileset.user[0] for fileset in taken) == "zzllakak"

    def test_small_before_large_but_not_for_ever(self, journal: Journal, time: Time) -> None:
        sizes = (900, 5, 70, 1)
        queue(journal, "amy", 4, sizes)
        importers = build(journal)
        importers.turns.priority = Priority(small=True)
        assert [_one(importers._taking.take()).files[0].stat.size for _ in range(2)] == [1, 5]
        journal._clock = lambda: real_time.time() + SMALL_FIRST_S + 1
        assert [_one(importers._taking.take()).files[0].stat.size for _ in range(2)] == [900, 70]

    def test_small_ones_of_one_user_are_not_before_another_users(
        self, journal: Journal, time: Time
    ) -> None:
        queue(journal, "amy", 3, (1, 1, 1))
        queue(journal, "zak", 1, (10**9,))
        importers = build(journal)
        importers.turns.priority = Priority(small=True)
        assert [_one(importers._taking.take()).user for _ in range(2)] == ["amy", "zak"]

    def test_nothing_begins_outside_of_the_window(self, journal: Journal, time: Time) -> None:
        queue(journal, "amy", 2)
        journal._clock = time.time  # a window opens by DropBox's clock, which the journal has
        importers = build(journal, window="20:00-06:00")
        noon = datetime(2026, 7, 1, 12).timestamp()
        time.now = noon
        assert importers._taking.take() == []
        assert importers.closed() == {"/dropbox": "imports begin at 20:00 (omero.fs.window)"}
        time.now = noon + 8 * 3600
        assert _one(importers._taking.take()).user == "amy"
        assert importers.closed() == {}
        time.now = noon + 18 * 3600
        assert importers._taking.take() == []

    def test_who_comes_later_is_next(self, journal: Journal, time: Time) -> None:
        queue(journal, "amy", 5)
        importers = build(journal)
        for _ in range(3):
            _one(importers._taking.take())
        queue(journal, "zak", 1)
        taken = _one(importers._taking.take())
        assert taken is not None
        assert taken.user == "zak"

    def test_a_user_whose_account_is_at_fault_holds_nobody_up(
        self, journal: Journal, time: Time
    ) -> None:
        queue(journal, "amy", 2)
        queue(journal, "zak", 2)
        importers = build(journal)
        importers._taking.stop_queue("amy", "not active")
        taken = [importers._taking.take() for _ in range(3)]
        assert [[f.user for f in some] for some in taken] == [["zak"], ["zak"], []]
        assert importers.stopped() == {"amy": "not active"}
        time.now += 61
        again = _one(importers._taking.take())
        assert again is not None
        assert again.user == "amy"

    def test_starts_are_throttled(self, journal: Journal, time: Time) -> None:
        queue(journal, "amy", 2)
        importers = build(journal, throttle=10.0)
        assert _one(importers._taking.take()) is not None
        assert importers._taking.take() == []
        time.now += 10
        assert _one(importers._taking.take()) is not None

    def test_starts_are_throttled_by_those_of_other_machines(
        self, journal: Journal, time: Time
    ) -> None:
        """The journal's clock runs with ours here; on PostgreSQL it is the database's."""
        queue(journal, "amy", 4)
        one, two = (build(journal, throttle=10.0)._taking for _ in range(2))
        one._shared = two._shared = True
        journal._clock = time.time
        first = _one(one.take())
        assert two.take() == [] and one.take() == []
        time.now += 9
        assert two.take() == []
        time.now += 1
        second = _one(two.take())
        assert one.take() == []
        two._not_started(second)  # it was there already
        assert _one(one.take()) not in (first, second)


class TestOfOneDisk:
    """A share has the roots of many users."""

    @pytest.fixture
    def hung(self, journal: Journal, time: Time) -> Iterator[Callable[[str], None]]:
        """Lets an importer wait for the disk of a user."""
        self.clock = Ahead()
        self.calls = Calls(self.clock)
        go, threads = threading.Event(), list[threading.Thread]()

        def hang(user: str) -> None:
            begun = threading.Event()

            def wait() -> None:
                (fileset,) = self.importers._taking.take()
                assert fileset.user == user
                with self.crew.at([fileset]), self.calls.at(fileset.root):
                    begun.set()
                    assert go.wait(20)

            threads.append(threading.Thread(target=wait))
            threads[-1].start()
            assert begun.wait(20)

        self.importers = build(journal)
        self.importers._taking._crew = self.crew = Crew(
            1,
            lambda: None,
            calls=self.calls,
            disk_of=lambda root: "disk" if root.endswith("/amy") else "nas",
        )
        yield hang
        go.set()
        for thread in threads:
            thread.join()

    def test_it_does_not_get_every_importer(
        self, journal: Journal, hung: Callable[[str], None]
    ) -> None:
        users = [f"u{number}" for number in range(32)]
        for user in users:
            queue(journal, user, 1)
        for user in users[:3]:
            hung(user)
        self.clock.ahead += SLOW_S
        assert self.importers._taking.take() == [], "enough of them wait for it"
        queue(journal, "amy", 1)
        assert _one(self.importers._taking.take()).user == "amy"
        assert self.importers._taking.take() == []

    def test_a_run_is_of_one_root(self, journal: Journal, time: Time) -> None:
        """So while it is at a disk, it is known of that disk."""
        stat = FileStat(1, 7, 1, 1)
        queue(journal, "amy", 2)
        journal.hand_over("amy", "/else/amy", Found("/else/amy/0", stat))
        importers = build(journal)
        importers._taking._methods.of = lambda rule: SimpleNamespace(  # type: ignore[method-assign,assignment,return-value]
            choice=SimpleNamespace(importer=JAVA)
        )
        taken = [[one.root for one in importers._taking.take()] for _ in range(2)]
        assert taken == [["/dropbox/amy"] * 2, ["/else/amy"]]


class TestASlowJournal:
    """It holds up the thread that asks it, and nobody else."""

    @pytest.mark.parametrize("call", ["take", "queued_users", "move"])
    def test_neither_a_stop_nor_status_waits_for_it(
        self,
        journal: Journal,
        monkeypatch: pytest.MonkeyPatch,
        call: str,
    ) -> None:
        importers = build(journal)
        queue(journal, "amy", 1)
        real, called, answered = getattr(journal, call), threading.Event(), threading.Event()

        def slow(*arguments: Any, **named: Any) -> Any:
            called.set()
            answered.wait(30)
            return real(*arguments, **named)

        if call == "move":
            fileset = journal.take("amy")
            assert fileset is not None
            importers._in_hand._not_given_back[fileset.id] = "OMERO is away"
        monkeypatch.setattr(journal, call, slow)
        thread = threading.Thread(target=importers._taking.take)
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
        self, journal: Journal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        importers = build(journal, throttle=60.0)
        queue(journal, "amy", 2)
        real, called, answered = journal.take, threading.Event(), threading.Event()

        def slow(*arguments: Any, **named: Any) -> Any:
            called.set()
            answered.wait(30)
            return real(*arguments, **named)

        monkeypatch.setattr(journal, "take", slow)
        thread = threading.Thread(target=importers._taking.take)
        thread.start()
        assert called.wait(10)
        assert importers._taking.take() == []
        answered.set()
        thread.join(10)
        assert journal.counts()[State.IMPORTING] == 1


def test_a_fileset_that_others_have_taken_since_it_was_seen_is_not_skipped(
    journal: Journal, tmp_path: Path
) -> None:
    """Importers of another machine tell OMERO to import it while its disk is asked here."""
    root = tmp_path / "amy"
    root.mkdir()
    importers = importers_of(journal, places_of(tmp_path))
    met = Found(f"{root}/a.tif", FileStat(1, 2, 3, 4, 5))
    fileset = journal.hand_over("amy", str(root), met)

    def import_it() -> None:
        taken = journal.take("amy")
        assert taken is not None
        assert journal.note_verified(taken, ["0" * 40]) is None
        journal.move(taken.id, State.IMPORTING, State.QUEUED, "OMERO is away")

    with before_each([(taking, "_is_gone")], import_it):
        importers._taking.skip_gone("amy")
    (now,) = journal.load([fileset.id])
    assert (now.state, now.verified) == (State.QUEUED, True)
    importers._taking.skip_gone("amy")
    assert journal.load([fileset.id])[0].state is State.QUEUED, "the next attempt asks OMERO"
