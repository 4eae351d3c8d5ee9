"""A lock with turns: a thread that takes it without end does not keep others from it."""

from __future__ import annotations

import threading
import time

from omero_fs_plugin.dropbox.settling.fair import FairLock

PATIENCE = 20.0  # s


def test_who_asks_first_has_it_first() -> None:
    lock = FairLock()
    had: list[int] = []

    def take(number: int) -> None:
        with lock:
            had.append(number)

    lock.acquire()
    threads = []
    for number in range(10):
        threads.append(threading.Thread(target=take, args=[number]))
        threads[-1].start()
        until = time.monotonic() + PATIENCE
        while len(lock._waiting) <= number:
            assert time.monotonic() < until
            time.sleep(0.001)
    assert lock.locked() and not had
    lock.release()
    for thread in threads:
        thread.join(PATIENCE)
    assert had == list(range(10))
    assert not lock.locked()


def test_one_who_takes_it_again_and_again_lets_others_have_it_between() -> None:
    lock = FairLock()
    had: list[str] = []

    def greedy() -> None:
        for _ in range(3):
            with lock:
                had.append("greedy")

    def other() -> None:
        with lock:
            had.append("other")

    lock.acquire()
    threads = []
    for run in (greedy, other):
        threads.append(threading.Thread(target=run))
        threads[-1].start()
        until = time.monotonic() + PATIENCE
        while len(lock._waiting) < len(threads):
            assert time.monotonic() < until
            time.sleep(0.001)
    lock.release()
    for thread in threads:
        thread.join(PATIENCE)
    assert had == ["greedy", "other", "greedy", "greedy"]


def test_who_gives_up_waiting_has_no_turn() -> None:
    lock = FairLock()
    lock.acquire()
    assert not lock.acquire(timeout=0.01)
    lock.release()
    assert not lock.locked()
    assert lock.acquire(timeout=0.01)
    lock.release()
