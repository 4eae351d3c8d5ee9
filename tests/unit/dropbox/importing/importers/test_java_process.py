"""How long a run of Java is waited for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers import Stopped, java_process


class Clock:
    """Passes when somebody sleeps, and when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(java_process, "time", clock)
    return clock


def test_one_that_has_ended_in_time_is_not_late(clock: Clock) -> None:
    """Whoever waits was off the processor between the look and the clock."""
    looks: list[int | None] = [None, 0]

    def ended() -> int | None:
        if len(looks) == 2:
            clock.now += 1000.0
        return looks.pop(0)

    process: Any = SimpleNamespace(ended=ended)
    assert java_process._wait(process, 60.0, lambda: False)


def test_one_that_does_not_end_is_given_its_time(clock: Clock) -> None:
    process: Any = SimpleNamespace(ended=lambda: None)
    assert not java_process._wait(process, 60.0, lambda: False)
    assert 60.0 < clock.now - 100.0 < 61.0


def test_a_stop_ends_the_wait(clock: Clock) -> None:
    process: Any = SimpleNamespace(ended=lambda: None)
    with pytest.raises(Stopped):
        java_process._wait(process, 60.0, lambda: clock.slept == 3)
