"""What idleness costs: of the threads of a process, whatever comes and goes among them."""

from __future__ import annotations

import os
import threading
import time

import pytest

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import idle


def test_threads_are_told_apart_and_what_they_do_is_counted() -> None:
    waiting = threading.Event()
    done = threading.Event()

    def work() -> None:
        waiting.set()
        while not done.wait(0.001):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    waiting.wait()
    before = idle._threads(os.getpid())
    end = time.monotonic() + 10
    number = 0
    while number < 20 and time.monotonic() < end:
        since = idle._since(before, idle._threads(os.getpid()))
        mine = next(name for name in since if name.startswith(f"{thread.native_id} "))
        number = since[mine][1]
        assert since[mine][0] >= 0
    done.set()
    thread.join()
    assert number >= 20
    assert len(before) >= 2


def test_a_new_thread_counts_from_its_begin() -> None:
    assert idle._since({"1 (a)": (1.0, 10)}, {"1 (a)": (1.5, 12), "2 (b)": (0.25, 3)}) == {
        "1 (a)": (0.5, 2),
        "2 (b)": (0.25, 3),
    }


def test_a_process_that_has_ended_is_told() -> None:
    with pytest.raises((BenchmarkError, FileNotFoundError)):
        idle._threads(2**22 + 1)
