"""An attendant looks when there is news, and ends whenever it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from omero_fs_plugin.attendant import Attendant

LONG = 30.0  # s; what takes so long does not come


class Counting(Attendant):
    def __init__(self, rest: float | None, before: Callable[[], None] = lambda: None) -> None:
        super().__init__("counting")
        self.looked = threading.Semaphore(0)
        self._rest, self._before = rest, before

    def _look(self) -> float | None:
        self._before()
        self.looked.release()
        return self._rest


def test_without_news_it_waits_as_long_as_it_says() -> None:
    one = Counting(0.0)
    one.start()
    assert all(one.looked.acquire(timeout=LONG) for _ in range(3))
    assert one.stop(time.monotonic() + LONG)


def test_news_wakes_it() -> None:
    one = Counting(None)
    one.start()
    for _ in range(3):
        assert one.looked.acquire(timeout=LONG)
        assert not one.looked.acquire(timeout=0.01)
        one.wake()
    assert one.stop(time.monotonic() + LONG)


def test_news_that_comes_during_a_look_is_looked_at() -> None:
    first = threading.Semaphore(1)
    one = Counting(None, lambda: one.wake() if first.acquire(blocking=False) else None)
    one.start()
    assert all(one.looked.acquire(timeout=LONG) for _ in range(2))
    assert one.stop(time.monotonic() + LONG)


def test_a_stop_just_before_it_forgets_its_news_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Counting(None)
    clear = one._news.clear

    def stopped_first() -> None:
        one.ask_to_stop()
        clear()

    monkeypatch.setattr(one._news, "clear", stopped_first)
    one.start()
    assert one.stop(time.monotonic() + LONG)


def test_one_that_is_held_is_not_waited_for() -> None:
    held, go = threading.Event(), threading.Event()

    def wait() -> None:
        held.set()
        go.wait(LONG)

    one = Counting(None, wait)
    one.start()
    assert held.wait(LONG)
    assert not one.stop(time.monotonic() + 0.01)
    go.set()
    assert one.stop(time.monotonic() + LONG)


def test_one_that_was_not_started_has_ended() -> None:
    assert Counting(None).stop(time.monotonic())
