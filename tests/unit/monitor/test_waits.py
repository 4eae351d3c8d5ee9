"""A monitor's thread waits, and gathers no longer than it must.  No clock: sleeps are noted."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator

import pytest

from omero_fs_plugin.monitor import waits as module
from omero_fs_plugin.monitor.kernel.polling import Polling
from omero_fs_plugin.monitor.kernel.raw import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    IN_MOVED_TO,
    Raw,
)
from omero_fs_plugin.monitor.telling.gathering import FIRST, LONGEST
from omero_fs_plugin.monitor.waits import Waits

CLOSED = Raw(1, IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE, 0, b"a.tif")
OPENED = Raw(1, IN_CREATE, 0, b"a.tif")
REST = Raw(1, IN_MODIFY | IN_CLOSE_WRITE, 0, b"a.tif")


class Source(Polling):
    """Gives what is in `reads`, one at each `events`."""

    def __init__(self) -> None:
        super().__init__(b"/", lambda: None)
        self.reads: list[list[Raw]] = []
        self.readable, self.writer = os.pipe()
        os.write(self.writer, b"x")

    def fileno(self) -> int | None:
        return self.readable

    def events(self) -> list[Raw]:
        return self.reads.pop(0) if self.reads else []

    def close(self) -> None:
        super().close()
        os.close(self.readable)
        os.close(self.writer)


@pytest.fixture
def source() -> Iterator[Source]:
    found = Source()
    yield found
    found.close()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(module.time, "sleep", found.append)
    return found


@pytest.fixture
def waits() -> Iterator[Waits]:
    found = Waits(lambda: False)
    yield found
    found.wakener.close()


def test_a_file_that_is_closed_is_looked_at_at_once(
    waits: Waits, source: Source, slept: list[float]
) -> None:
    source.reads = [[CLOSED]]
    assert waits.wait(source, math.inf) == [CLOSED]
    assert slept == []


@pytest.mark.parametrize(
    "first",
    [
        OPENED,
        CLOSED._replace(name=b".a.tif.Xa7Tq2"),  # its rename is about to come
        CLOSED._replace(name=b"a.part"),
        Raw(1, IN_DELETE, 0, b"a.tif"),  # seldom of one file alone
        Raw(1, IN_MOVED_TO, 7, b"a.tif"),
    ],
    ids=["open", "hidden", "part", "deleted", "renamed"],
)
def test_what_may_come_with_anything_else_is_gathered(
    waits: Waits, source: Source, slept: list[float], first: Raw
) -> None:
    source.reads = [[first], [CLOSED._replace(name=b"b.tif")]]
    assert waits.wait(source, math.inf) == [first, CLOSED._replace(name=b"b.tif")]
    assert slept == [FIRST]


def test_a_file_that_is_closed_meanwhile_is_one_event(
    waits: Waits, source: Source, slept: list[float]
) -> None:
    source.reads = [[OPENED], [REST]]
    assert waits.wait(source, math.inf) == [CLOSED]


def test_it_says_up_to_when_it_has_read_all(
    waits: Waits, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(100)
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    read: list[float] = []
    monkeypatch.setattr(source, "drain", lambda: read.append(next(clock)))
    source.reads = [[CLOSED]]
    assert waits.wait(source, math.inf) == [CLOSED]
    assert waits.begun < waits.sure < read[0]


def test_under_load_it_is_gathered_for_longer(
    waits: Waits, source: Source, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    waits.gathering.looked(100.0, events=1000, writes=0)
    source.reads = [[CLOSED]]
    assert waits.wait(source, math.inf) == []  # they are to be drained
    assert slept == [LONGEST]


def test_what_is_due_is_not_late_because_a_file_is_written(
    waits: Waits, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    for _ in range(12):
        waits.gathering.looked(100.0, events=1, writes=1)
    noted: list[float | None] = []

    def wait(seconds: float | None, beside: object = None) -> bool:
        noted.append(seconds)
        return len(noted) == 1  # an event, and nothing beyond it

    monkeypatch.setattr(waits.wakener, "wait", wait)
    waits.wait(source, 100.001)
    assert noted == [pytest.approx(0.001)] * 2


def test_under_load_an_answer_that_is_awaited_wakes(
    source: Source, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    waits = Waits(lambda: True)
    waits.gathering.looked(100.0, events=1000, writes=0)
    waits.wakener.wake()
    os.read(source.readable, 1)
    assert waits.wait(source, math.inf) == []
    assert (slept, waits.wakener.woken) == ([], True)
    waits.wakener.close()


def test_what_is_due_is_not_waited_for(waits: Waits, source: Source, slept: list[float]) -> None:
    source.reads = [[CLOSED]]
    assert waits.wait(source, -math.inf) == []
    assert waits.wait(None, 0.0) == []
    assert slept == []
