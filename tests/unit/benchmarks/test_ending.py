"""An interrupt at any moment leaves no process of a benchmark."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contenders import FSSERVER, Running
from benchmarks.ending import in_one_go, on_sigterm
from benchmarks.filesets import alone, relay

SLEEP = ("sleep", "60")
BOTH = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in BOTH}
    on_sigterm()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _running(scratch: Path) -> None:
    Running(replace(FSSERVER, server=SLEEP), scratch)


def _alone(_: Path) -> None:
    with alone._started(SLEEP):
        pytest.fail("it goes on")


def _behind(_: Path) -> None:
    with relay.Behind(0):
        pytest.fail("it goes on")


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("start", [_running, _alone, _behind])
def test_what_is_just_started_ends_too(
    start: Callable[[Path], None],
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[Any]] = []
    popen = subprocess.Popen

    def interrupted(*words: Any, **more: Any) -> subprocess.Popen[Any]:
        process = popen(*words, **more)
        if not started:
            started.append(process)
            os.kill(os.getpid(), number)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path)
    assert started[0].poll() is not None


@pytest.mark.parametrize("number", BOTH)
def test_it_comes_at_the_end_once(number: int) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), in_one_go():
        with in_one_go():
            os.kill(os.getpid(), number)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with in_one_go():
        pass
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_an_error_in_there_is_not_hidden() -> None:
    with pytest.raises(ValueError), in_one_go():
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError
    with pytest.raises(KeyboardInterrupt), in_one_go():
        pass
