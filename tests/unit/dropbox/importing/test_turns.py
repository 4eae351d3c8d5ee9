"""The importers' choices: whose turn it is, and how long OMERO is waited for."""

from __future__ import annotations

import threading
import time as real_time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.config.schedule import Priority
from omero_fs_plugin.dropbox.disks.calls import Calls
from omero_fs_plugin.dropbox.importing import outage, workers
from omero_fs_plugin.dropbox.importing.crew import SLOW_S, Crew
from omero_fs_plugin.dropbox.importing.importers.choice import JAVA
from omero_fs_plugin.dropbox.importing.methods import Methods
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.order import SMALL_FIRST_S
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.errors import ServerAwayError
from omero_fs_plugin.events import FileStat
from tests.clocks import Ahead
from tests.rules import places_of


class Time:
    """Passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Stopping(threading.Event):
    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self._time.now += timeout
        return self.is_set()


class Omero:
    """Answers as `answers` says; the time of each question is kept."""

    def __init__(self, time: Time, answers: Callable[[], bool]) -> None:
        self._time = time
        self._answers = answers
        self.asked: list[float] = []

    def ping(self) -> None:
        self.asked.append(self._time.now)
        if not self._answers():
            raise ServerAwayError("OMERO does not answer")


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    for module in (outage, workers):
        monkeypatch.setattr(module, "time", time)
    return time


def build(
    journal: Journal, omero: Any, time: Time, throttle: float = 0.0, window: str = ""
) -> Importers:
    places = places_of("/dropbox", throttleImport=str(throttle), window=window)
    importers = Importers(
        journal,
        omero,
        places=places,
        number=1,
        held=lambda user: "",
        import_duplicates=lambda: False,
        quarantine=lambda fileset: None,
        changed=lambda fileset: None,
        methods=Methods(None),
    )
    importers._stopping = importers._outage._stopping = Stopping(time)
    return importers


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
        importers = build(journal, None, time)
        taken = [_one(importers._take()) for _ in range(9)]
        assert "".join(f.user[0] for f in taken if f) == "azkazaaaa"
        assert importers._take() == []

    def test_those_named_come_before_all_others(self, journal: Journal, time: Time) -> None:
        for user in ("amy", "kim", "lea", "zak"):
            queue(journal, user, 2)
        importers = build(journal, None, time)
        importers.turns.priority = Priority(("zak", "lea"))
        taken = [_one(importers._take()) for _ in range(8)]
        assert "".join(fileset.user[0] for fileset in taken) == "zzllakak"

    def test_small_before_large_but_not_for_ever(self, journal: Journal, time: Time) -> None:
        sizes = (900, 5, 70, 1)
        queue(journal, "amy", 4, sizes)
        importers = build(journal, None, time)
        importers.turns.priority = Priority(small=True)
        assert [_one(importers._take()).files[0].stat.size for _ in range(2)] == [1, 5]
        journal._clock = lambda: real_time.time() + SMALL_FIRST_S + 1
        assert [_one(importers._take()).files[0].stat.size for _ in range(2)] == [900, 70]

    def test_small_ones_of_one_user_are_not_before_another_users(
        self, journal: Journal, time: Time
    ) -> None:
        queue(journal, "amy", 3, (1, 1, 1))
        queue(journal, "zak", 1, (10**9,))
        importers = build(journal, None, time)
        importers.turns.priority = Priority(small=True)
        assert [_one(importers._take()).user for _ in range(2)] == ["amy", "zak"]

    def test_nothing_begins_outside_of_the_window(self, journal: Journal, time: Time) -> None:
        queue(journal, "amy", 2)
        importers = build(journal, None, time, window="20:00-06:00")
        noon = datetime(2026, 7, 1, 12).timestamp()
        time.now = noon
        assert importers._take() == []
        assert importers.closed() == {"/dropbox": "imports begin at 20:00 (omero.fs.window)"}
        time.now = noon + 8 * 3600
        assert _one(importers._take()).user == "amy"
        assert importers.closed() == {}
        time.now = noon + 18 * 3600
        assert importers._take() == []

    def test_who_comes_later_is_next(self, journal: Journal, time: Time) -> None:
        queue(journal, "amy", 5)
        importers = build(journal, None, time)
        for _ in range(3):
            _one(importers._take())
        queue(journal, "zak", 1)
        taken = _one(importers._take())
        assert taken is not None
        assert taken.user == "zak"

    def test_a_user_whose_account_is_at_fault_holds_nobody_up(
        self, journal: Journal, time: Time
    ) -> None:
        queue(journal, "amy", 2)
        queue(journal, "zak", 2)
        importers = build(journal, None, time)
        importers._stop_queue("amy", "not active")
        taken = [importers._take() for _ in range(3)]
        assert [[f.user for f in some] for some in taken] == [["zak"], ["zak"], []]
        assert importers.stopped() == {"amy": "not active"}
        time.now += 61
        again = _one(importers._take())
        assert again is not None
        assert again.user == "amy"

    def test_starts_are_throttled(self, journal: Journal, time: Time) -> None:
        queue(journal, "amy", 2)
        importers = build(journal, None, time, throttle=10.0)
        assert _one(importers._take()) is not None
        importers._news.wait = lambda timeout=None: False  # type: ignore[method-assign]
        assert importers._take() == []
        time.now += 10
        assert _one(importers._take()) is not None

    def test_starts_are_throttled_by_those_of_other_machines(
        self, journal: Journal, time: Time
    ) -> None:
        """The journal's clock runs with ours here; on PostgreSQL it is the database's."""
        queue(journal, "amy", 4)
        one, two = (build(journal, None, time, throttle=10.0) for _ in range(2))
        one._shared = two._shared = True
        journal._clock = time.time
        first = _one(one._take())
        assert two._take() == [] and one._take() == []
        time.now += 9
        assert two._take() == []
        time.now += 1
        second = _one(two._take())
        assert one._take() == []
        two._not_started(second)  # it was there already
        assert _one(one._take()) not in (first, second)


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
                (fileset,) = self.importers._take()
                assert fileset.user == user
                with self.importers._crew.at([fileset]), self.calls.at(fileset.root):
                    begun.set()
                    assert go.wait(20)

            threads.append(threading.Thread(target=wait))
            threads[-1].start()
            assert begun.wait(20)

        self.importers = build(journal, None, time)
        self.importers._crew = Crew(
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
        assert self.importers._take() == [], "enough of them wait for it"
        queue(journal, "amy", 1)
        assert _one(self.importers._take()).user == "amy"
        assert self.importers._take() == []

    def test_a_run_is_of_one_root(self, journal: Journal, time: Time) -> None:
        """So while it is at a disk, it is known of that disk."""
        stat = FileStat(1, 7, 1, 1)
        queue(journal, "amy", 2)
        journal.hand_over("amy", "/else/amy", Found("/else/amy/0", stat))
        importers = build(journal, None, time)
        importers._methods.of = lambda rule: SimpleNamespace(  # type: ignore[method-assign,assignment,return-value]
            choice=SimpleNamespace(importer=JAVA)
        )
        taken = [[one.root for one in importers._take()] for _ in range(2)]
        assert taken == [["/dropbox/amy"] * 2, ["/else/amy"]]


class TestWaitingForOmero:
    def test_it_is_gone_on_with_as_soon_as_omero_is_back(
        self, journal: Journal, time: Time
    ) -> None:
        back = time.now + 15 * 60
        omero = Omero(time, lambda: time.now >= back)
        importers = build(journal, omero, time)
        importers._outage.wait(ServerAwayError("gone"))
        assert back <= time.now <= back + outage.PING_S
        assert importers.away == ""

    def test_if_nothing_gets_through_the_pauses_double_up_to_five_minutes(
        self, journal: Journal, time: Time
    ) -> None:
        importers = build(journal, Omero(time, lambda: True), time)
        pauses = []
        for _ in range(12):
            began = time.now
            importers._outage.wait(ServerAwayError("no managed repository"))
            pauses.append(time.now - began)
        wanted = [min(300.0, 2.0**n) for n in range(12)]
        slack = outage.PING_S + 1.0
        assert all(w <= p <= w + slack for w, p in zip(wanted, pauses, strict=True)), pauses

    def test_a_restart_of_omero_ends_the_longest_pause(self, journal: Journal, time: Time) -> None:
        answers = iter([True, True, False, True])
        omero = Omero(time, lambda: next(answers))
        importers = build(journal, omero, time)
        importers._outage.in_vain = 20
        importers._outage.wait(ServerAwayError("no managed repository"))
        assert len(omero.asked) == 4
        assert importers._outage.in_vain == 0

    def test_a_stop_ends_it(self, journal: Journal, time: Time) -> None:
        importers = build(journal, Omero(time, lambda: False), time)
        importers._stopping.set()
        importers._outage.wait(ServerAwayError("gone"))
        assert importers.away == "gone"
