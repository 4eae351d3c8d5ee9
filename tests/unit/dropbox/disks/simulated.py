"""Threads of which one runs at a time, and time that passes when the test says so.

Each of them runs until it waits, ends, or is about to enter a critical section; then the seed
says who is next.  So every run of a test with the same seed is the same, and nobody sleeps.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

from omero_fs_plugin.dropbox.disks.threads import Threads

_PATIENCE_S = 20.0  # on the wall; a thread that runs longer hangs in earnest


class _Thread:
    """`ready` says whether it can go on; `until` when (s) it goes on anyway."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: Callable[[], bool] = lambda: True
        self.until = float("inf")
        self.go = threading.Semaphore(0)
        self.ended = False


class Simulation(Threads):
    """The threads, and their clock.  Only the test's own thread calls `run` and `pass_time`."""

    def __init__(self, seed: int, start: float = 1000.0) -> None:
        self._now = start
        self._random = random.Random(seed)
        self._threads: list[_Thread] = []
        self._mine = threading.local()
        self._back = threading.Semaphore(0)
        self.most = 1_000  # threads that can be started
        self.errors: list[BaseException] = []

    def now(self) -> float:
        return self._now

    def condition(self) -> threading.Condition:
        return Condition(self)

    def start(self, run: Callable[[], None], name: str) -> None:
        if len(self.alive()) >= self.most:
            raise RuntimeError("can't start new thread")
        thread = _Thread(name)

        def begin() -> None:
            self._mine.thread = thread
            thread.go.acquire()
            try:
                run()
            except BaseException as error:
                self.errors.append(error)
            finally:
                thread.ended = True
                self._back.release()

        self._threads.append(thread)
        threading.Thread(target=begin, name=name, daemon=True).start()

    def alive(self, name: str = "") -> list[str]:
        """The names of the threads that have not ended, of those whose name begins so."""
        return [one.name for one in self._threads if not one.ended and one.name.startswith(name)]

    def wait(self, ready: Callable[[], bool], seconds: float = float("inf")) -> None:
        """The thread that calls this waits until it is `ready`, at most for so long."""
        thread: _Thread = self._mine.thread
        thread.ready, thread.until = ready, self._now + seconds
        self._back.release()
        thread.go.acquire()

    def give_way(self) -> None:
        """Others may run before the thread that calls this goes on."""
        if getattr(self._mine, "thread", None) is not None:
            self.wait(lambda: True)

    def run(self) -> None:
        """Until each thread waits, or has ended."""
        while True:
            self._threads = [one for one in self._threads if not one.ended]
            ready = [one for one in self._threads if one.ready() or one.until <= self._now]
            if not ready:
                break
            thread = self._random.choice(ready)
            thread.go.release()
            assert self._back.acquire(timeout=_PATIENCE_S), f"{thread.name} hangs in earnest"
        if self.errors:
            raise self.errors[0]

    def pass_time(self, seconds: float) -> None:
        """Lets everything happen that happens in this time."""
        end = self._now + seconds
        self.run()
        while (soonest := min((one.until for one in self._threads), default=end)) < end:
            self._now = max(self._now, soonest)
            self.run()
        self._now = end
        self.run()


class Condition(threading.Condition):
    """As threading's.  Nobody else runs while somebody is in it, so it needs no lock."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self._simulation = simulation
        self._tokens: list[list[bool]] = []  # one of each thread that waits: whether it is woken

    def __enter__(self) -> bool:
        self._simulation.give_way()
        return True

    def __exit__(self, *_: Any) -> None:
        """Whoever waits to enter has given way, and is ready."""

    def wait(self, timeout: float | None = None) -> bool:
        token = [False]
        self._tokens.append(token)
        self._simulation.wait(lambda: token[0], float("inf") if timeout is None else timeout)
        if token in self._tokens:
            self._tokens.remove(token)
        return token[0]

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        end = None if timeout is None else self._simulation.now() + timeout
        while not (true := predicate()):
            left = None if end is None else end - self._simulation.now()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return true

    def notify(self, n: int = 1) -> None:
        for token in self._tokens[:n]:
            token[0] = True
        del self._tokens[:n]

    def notify_all(self) -> None:
        self.notify(len(self._tokens))
