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
    stop = threading.Event()
    rounds = 0

    def greedy() -> None:
        nonlocal rounds
        while not stop.is_set():
            with lock:
                time.sleep(0.002)
                rounds += 1

    thread = threading.Thread(target=greedy)
    thread.start()
    try:
        for _ in range(20):
            before = rounds
            with lock:
                assert rounds - before <= 2
    finally:
        stop.set()
        thread.join(PATIENCE)


def test_who_gives_up_waiting_has_no_turn() -> None:
    lock = FairLock()
    lock.acquire()
    assert not lock.acquire(timeout=0.01)
    lock.release()
    assert not lock.locked()
    assert lock.acquire(timeout=0.01)
    lock.release()
