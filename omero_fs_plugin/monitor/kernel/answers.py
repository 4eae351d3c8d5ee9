"""Calls to a file system that may not answer.

A share whose server is away, or a disk that is broken, keeps a call for minutes or for good, and
nothing but the file system can end it.  So a thread of its own makes the call, and the caller waits
a little.  What the call gives later is dropped.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from .entries import Unanswered

T = TypeVar("T")
Beat = Callable[[], None]  # a long call says by it that the file system answers

# How long a caller waits for a sign of life.  A share that answers late, and does, is given
# twice the time that it took, up to the longest: else no call on it would ever be in time.
SHORTEST = 0.5  # s
LONGEST = 2.0  # s
# A thread that has had no call for so long ends.
IDLE = 10.0  # s


class Place:
    """What answers or does not as a whole: one mount.  Thread-safe.

    Rule: while a call has not come back that its caller gave up, every further call fails at
    once.  So a place that does not answer costs each caller one wait, and one thread.
    """

    def __init__(self, patience: float = SHORTEST, idle: float = IDLE) -> None:
        """`patience`: how long to wait for a sign of life, in s, at first.

        `idle`: how long a thread stays for the next call, in s; 0: not at all.
        """
        self._patience = patience
        self.idle = idle
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._given_up: set[_Job] = set()
        self._waiting: list[Callable[[], None]] = []

    @property
    def late_since(self) -> float | None:
        """When it was asked what it has not answered, by time.monotonic(); None: it answers."""
        with self._lock:
            return min((job.began for job in self._given_up), default=None)

    def when_back(self, wake: Callable[[], None]) -> None:
        """Calls `wake` when it answers again, on any thread; at once if it does now."""
        with self._lock:
            if self._given_up:
                if wake not in self._waiting:
                    self._waiting.append(wake)
                return
        wake()

    def call(self, act: Callable[[Beat], T], what: bytes = b"") -> T:
        """What `act` gives, or raises.  Raises Unanswered, about `what`, when that takes too long.

        `act` runs on another thread, and may still do so after that.
        """
        job = _Job(act)
        with self._lock:
            if self._given_up:
                raise Unanswered(what)
            worker = self._idle.pop() if self._idle else _Worker(self)
        worker.jobs.put(job)
        beats = 0
        while not job.done.wait(self._patience):
            with self._lock:
                if job.beats == beats and not job.done.is_set():
                    self._given_up.add(job)
                    raise Unanswered(what)
            beats = job.beats
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    # On the threads of workers ----------------------------------------------

    def _ended(self, worker: _Worker, job: _Job) -> None:
        """The worker is to stay for the next call if its place keeps any."""
        wakes: list[Callable[[], None]] = []
        with self._lock:
            job.done.set()
            if self.idle:
                self._idle.append(worker)
            if job in self._given_up:
                self._given_up.discard(job)
                late = time.monotonic() - job.began
                self._patience = max(self._patience, min(2 * late, LONGEST))
                if not self._given_up:
                    wakes, self._waiting = self._waiting, []
        for wake in wakes:
            wake()

    def _leave(self, worker: _Worker) -> bool:
        """Whether an idle worker may end; False when somebody has just taken it."""
        with self._lock:
            if worker not in self._idle:
                return False
            self._idle.remove(worker)
            return True


class _Job:
    """One call."""

    def __init__(self, act: Callable[[Beat], Any]) -> None:
        self.act = act
        self.began = time.monotonic()
        self.done = threading.Event()
        self.beats = 0
        self.result: Any = None
        self.error: BaseException | None = None

    def beat(self) -> None:
        self.beats += 1


class _Worker:
    """A thread that makes one call at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        # A daemon: a call that never comes back keeps nobody from ending.
        threading.Thread(target=self._run, name="disk", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=self._place.idle or IDLE)
            except queue.Empty:
                if self._place._leave(self):
                    return
                continue
            try:
                job.result = job.act(job.beat)
            except BaseException as error:  # whatever it is, it is the caller's
                job.error = error
            self._place._ended(self, job)
            del job
            if not self._place.idle:
                return


_places: weakref.WeakValueDictionary[Hashable, Place] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def place_of(key: Hashable, patience: float = SHORTEST, idle: float = IDLE) -> Place:
    """The Place of `key`, one for all who have it now; a new one is made as Place says."""
    with _lock:
        place = _places.get(key)
        if place is None:
            place = _places[key] = Place(patience, idle)
        return place
