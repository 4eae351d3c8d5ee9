"""How long OMERO is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from omero_fs_plugin.dropbox.importing import outage as outage_module
from omero_fs_plugin.dropbox.importing.outage import PING_S, Outage
from omero_fs_plugin.errors import ServerAwayError


class Time:
    """Passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
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
    monkeypatch.setattr(outage_module, "time", time)
    return time


def build(omero: Omero, time: Time) -> Outage:
    return Outage(omero, Stopping(time))  # type: ignore[arg-type]


def test_it_is_gone_on_with_as_soon_as_omero_is_back(time: Time) -> None:
    back = time.now + 15 * 60
    outage = build(Omero(time, lambda: time.now >= back), time)
    outage.wait(ServerAwayError("gone"))
    assert back <= time.now <= back + PING_S
    assert outage.away == ""


def test_if_nothing_gets_through_the_pauses_double_up_to_five_minutes(time: Time) -> None:
    outage = build(Omero(time, lambda: True), time)
    pauses = []
    for _ in range(12):
        began = time.now
        outage.wait(ServerAwayError("no managed repository"))
        pauses.append(time.now - began)
    wanted = [min(300.0, 2.0**n) for n in range(12)]
    slack = PING_S + 1.0
    assert all(w <= p <= w + slack for w, p in zip(wanted, pauses, strict=True)), pauses


def test_a_restart_of_omero_ends_the_longest_pause(time: Time) -> None:
    answers = iter([True, True, False, True])
    omero = Omero(time, lambda: next(answers))
    outage = build(omero, time)
    outage.in_vain = 20
    outage.wait(ServerAwayError("no managed repository"))
    assert len(omero.asked) == 4
    assert outage.in_vain == 0


def test_a_stop_ends_it(time: Time) -> None:
    outage = build(Omero(time, lambda: False), time)
    outage._stopping.set()
    outage.wait(ServerAwayError("gone"))
    assert outage.away == "gone"
