"""Calls to a file system that may not answer.

If a share's server is away, or a disk is broken, a call may hang for minutes or for ever, and only
the file system can end it.  So a thread of its own makes the call, and the caller waits for a short
time.  If the call ends later, its result is dropped.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from .entries import Unanswered

T = TypeVar("T")
Beat = Callable[[], None]  # a long call uses it to say that the file system answers

# How long a caller waits for a sign of life.  A share that answered late gets twice the time that
# it took, up to the longest; otherwise no call on it would ever be in time.
SHORTEST = 0.5  # s
LONGEST = 2.0  # s
# A thread ends if it has had no call for this time.
IDLE = 10.0  # s


class Place:
    """One mount: all of it answers, or none of it does.  Thread-safe.

    Rule: if a caller has given up a call, every further call fails at once until that call comes
    back.  So a place that does not answer costs each caller one wait, and one thread.
    """

    def __init__(self, patience: float = SHORTEST, idle: float = IDLE) -> None:
        """`patience`: how long to wait for a sign of life at first, in s.

        `idle`: how long a thread waits for the next call, in s; 0: it ends at once.
        """
        self._patience = patience
        self.idle = idle
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._given_up: set[_Job] = set()
        self._waiting: list[Callable[[], None]] = []

    @property
    def late_since(self) -> float | None:
        """When the call began that it has not answered, by time.monotonic(); None: it answers."""
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
        """Runs `act`, and gives or raises its result.  Raises Unanswered if it takes too long.

        The error names `what`.  `act` runs in another thread, and may still run after the error.
        """
        job = self._begin(act, what)
        beats, seen, left = 0, job.began, self._patience
        while not job.done.wait(left):
            with self._lock:
                now = time.monotonic()
                if job.beats != beats or not job.has_begun:
                    beats, seen = job.beats, now
                left = max(seen, job.began) + self._patience - now
                if left <= 0 and not job.done.is_set():
                    self._give_up(job)
                    raise Unanswered(what)
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def begin(self, act: Callable[[Beat], T], what: bytes, ended: Callable[[], None]) -> Long[T]:
        """Begins `act`, which may take long, and returns at once.  Raises Unanswered.

        `ended` is called when it has come back, in its thread.
        """
        return Long(self, self._begin(act, what, ended), what)

    def _begin(
        self, act: Callable[[Beat], T], what: bytes, ended: Callable[[], None] = lambda: None
    ) -> _Job:
        job = _Job(act, ended)
        with self._lock:
            if self._given_up:
                raise Unanswered(what)
            worker = self._idle.pop() if self._idle else _Worker(self)
        worker.jobs.put(job)
        return job

    def _give_up(self, job: _Job) -> None:
        job.given_up = True
        self._given_up.add(job)

    # On the threads of workers ----------------------------------------------

    def _ended(self, worker: _Worker, job: _Job) -> None:
        """Keeps the worker for the next call, if its place keeps any."""
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
        job.ended()
        for wake in wakes:
            wake()

    def _leave(self, worker: _Worker) -> bool:
        """Whether an idle worker may end.  False if a caller has just taken it."""
        with self._lock:
            if worker not in self._idle:
                return False
            self._idle.remove(worker)
            return True


class Long(Generic[T]):
    """A call that may take long: nobody waits for its end, and who began it asks now and then."""

    def __init__(self, place: Place, job: _Job, what: bytes) -> None:
        self._place = place
        self._job = job
        self.what = what
        self._beats, self._seen = 0, job.began  # the last sign of life, and when it was seen

    @property
    def done(self) -> bool:
        """Whether it has come back."""
        return self._job.done.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it has come back by then."""
        return self._job.done.wait(seconds)

    def lives(self) -> bool:
        """Whether it has come back, or still may.

        False if it has shown no sign of life for as long as its Place waits for one.  Then it is
        given up, as a call that somebody waits for.
        """
        place, job, now = self._place, self._job, time.monotonic()
        with place._lock:
            if job in place._given_up:
                return False
            if job.done.is_set():
                return True
            if job.beats != self._beats or not job.has_begun:
                self._beats, self._seen = job.beats, now
            elif now - max(self._seen, job.began) > place._patience:
                job.began = max(self._seen, job.began)  # since when it does not answer
                place._give_up(job)
                return False
        return True

    def result(self) -> T:
        """What it gave, or raises what it raised.  Only when it has come back."""
        if self._job.error is not None:
            raise self._job.error
        result: T = self._job.result
        return result


class _GivenUp(Exception):
    """Nobody waits for this call."""


class _Job:
    """One call."""

    def __init__(self, act: Callable[[Beat], Any], ended: Callable[[], None]) -> None:
        self.act = act
        self.ended = ended
        self.began = time.monotonic()
        # Its thread has had the processor.  Before that no file system was asked.
        self.has_begun = False
        self.done = threading.Event()
        self.beats = 0
        self.given_up = False
        self.result: Any = None
        self.error: BaseException | None = None

    def beat(self) -> None:
        """Raises _GivenUp if nobody waits any more: it answers, and may be asked anew."""
        self.beats += 1
        if self.given_up:
            raise _GivenUp


class _Worker:
    """A thread that makes one call at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        # A daemon: a call that never comes back must not keep the process from ending.
        threading.Thread(target=self._run, name="disk", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=self._place.idle or IDLE)
            except queue.Empty:
                if self._place._leave(self):
                    return
                continue
            job.began = time.monotonic()
            job.has_begun = True
            try:
                job.result = job.act(job.beat)
            except BaseException as error:  # whatever it is, the caller gets it
                job.error = error
            self._place._ended(self, job)
            del job
            if not self._place.idle:
                return


_places: weakref.WeakValueDictionary[Hashable, Place] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def place_of(key: Hashable, patience: float = SHORTEST, idle: float = IDLE) -> Place:
    """The Place of `key`, shared by all who have it now.  A new one gets the other arguments."""
    with _lock:
        place = _places.get(key)
        if place is None:
            place = _places[key] = Place(patience, idle)
        return place
