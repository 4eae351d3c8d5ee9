"""How long an answer of a child is waited for, when it or we get no processor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from omero_fs_plugin.dropbox.grouping.child import process
from omero_fs_plugin.dropbox.grouping.child.process import _Waiting
from omero_fs_plugin.dropbox.grouping.child.pulse import Pulse

LIMIT, IDLE = 2.0, 10.0  # s


class Machine:
    """What time it is, and how much of a processor the child has used."""

    def __init__(self) -> None:
        self.now, self.used = 0.0, 100

    def passes(self, seconds: float, used: int = 0) -> None:
        self.now += seconds
        self.used += used


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(process, "_cpu", lambda pid: made.used)
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def waiting(machine: Machine) -> Iterator[_Waiting]:
    page = Pulse.memory()
    pulse = Pulse(page)
    os.close(page)
    yield _Waiting(1, pulse, LIMIT, IDLE)
    pulse.close()


def test_one_that_works_for_too_long_does_not_idle(machine: Machine, waiting: _Waiting) -> None:
    machine.passes(LIMIT, used=50)
    assert waiting.is_over() and not waiting.idles


def test_one_that_works_while_we_are_held_up_does_not_idle(
    machine: Machine, waiting: _Waiting
) -> None:
    """Between the look and the verdict: the file is at fault, and no disk."""
    machine.passes(LIMIT, used=50)
    assert waiting.is_over()
    machine.passes(5.0, used=500)
    assert not waiting.idles


def test_one_that_does_nothing_idles(machine: Machine, waiting: _Waiting) -> None:
    machine.passes(LIMIT)
    assert waiting.is_over() and waiting.idles
