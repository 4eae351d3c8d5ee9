"""A lane for each root: the jobs of a root run in order, and wait for no other root.

A lane with jobs has a thread of its own.  A thread whose lane has no more jobs takes
another lane, or waits for one for a while, with a few others.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from .calls import CALLS, HUNG_S, LOST_S, Calls, RootAway
from .threads import MACHINE, Threads

log = logging.getLogger(__name__)

_IDLE_S = 10.0  # a thread with nothing to do ends after this time
_IDLE_MOST = 4  # the most threads that have nothing to do
_LOOK_S = 0.25  # while we wait for a disk, how often we look whether it hangs

T = TypeVar("T")


def _nobody_waits() -> None:
    """For a job that nobody waits for."""


@dataclass(frozen=True, eq=False)
class _Job:
    run: Callable[[], None]
    key: Hashable
    lost: Callable[[], None]


@dataclass(eq=False)
class _Lane:
    root: str
    beside: str
    jobs: deque[_Job] = field(default_factory=deque)
    keys: set[Hashable] = field(default_factory=set)  # of the jobs that have not begun
    thread: int = 0  # that serves it, as threading.get_ident has it; 0: none yet
    at: _Job | None = None  # the job that has begun


@dataclass
class _Answer(Generic[T]):
    news: threading.Condition
    value: T | None = None
    error: BaseException | None = None
    done: bool = False

    def tell(self) -> None:
        with self.news:
            self.done = True
            self.news.notify_all()


class Lanes:
    """Runs jobs.  The jobs of one root run one after the other.  Thread-safe.

    If a job raises, `failed` is called with the root and the exception, in the job's thread.
    """

    def __init__(
        self,
        failed: Callable[[str, Exception], None] | None = None,
        *,
        calls: Calls = CALLS,
        threads: Threads = MACHINE,
    ) -> None:
        self.calls = calls
        self.machine = threads  # starts the workers
        self.trouble = ""  # why jobs wait that could begin; empty: none does
        self._failed = failed or _log_it
        self._news = threads.condition()
        self._lanes: dict[tuple[str, str], _Lane] = {}  # those with jobs
        self._ready: deque[_Lane] = deque()  # those that need a thread
        self._threads = 0
        self._idle = 0  # of the threads
        self._coming = 0  # of the threads; they have not taken a lane yet
        self._stopped = False

    def do(
        self,
        root: str,
        job: Callable[[], None],
        *,
        key: Hashable = None,
        beside: str = "",
        lost: Callable[[], None] = _nobody_waits,
    ) -> None:
        """Runs `job` in the lane of `root`, after the jobs that wait there.

        `beside` names a second lane of the root, for jobs that take long even if the
        disk answers.  If a job with this `key` waits there already, nothing is added.
        `lost` is called if the job is given up, because a call of it never comes back.
        """
        with self._news:
            if self._stopped:
                return
            lane = self._lanes.get((root, beside))
            if lane is None:
                lane = self._lanes[root, beside] = _Lane(root, beside)
                self._ready.append(lane)
            if key is not None:
                if key in lane.keys:
                    return
                lane.keys.add(key)
            lane.jobs.append(_Job(job, key, lost))
            self._hire()

    def ask(self, root: str, question: Callable[[], T]) -> T:
        """Runs `question` in the lane of `root`, and gives or raises what it gives or raises.

        Raises RootAway as soon as the disk does not answer; `question` may still run later.
        """
        if not self.calls.answers(root):
            raise RootAway(root, HUNG_S)
        answer: _Answer[T] = _Answer(self.machine.condition())

        def job() -> None:
            try:
                answer.value = question()
            except BaseException as error:
                answer.error = error
            finally:
                answer.tell()

        def lost() -> None:
            answer.error = RootAway(root, LOST_S)
            answer.tell()

        self.do(root, job, beside="ask", lost=lost)  # not behind what is heard, it may be much
        with answer.news:
            while not answer.done:
                answer.news.wait(_LOOK_S)
                seconds = self.calls.away().get(root)
                if not answer.done and (seconds is not None or self._stopped):
                    raise RootAway(root, seconds or 0.0)
        if answer.error is not None:
            raise answer.error
        return cast("T", answer.value)

    def give_up(self, threads: Collection[int]) -> None:
        """The jobs that these threads are at never end: their lanes get other threads.

        One whose call has come back since it was given up is at another job by now, and keeps it.
        """
        lost: list[_Job] = []
        with self._news:
            away = self.calls.lost_threads().intersection(threads)
            for where, lane in list(self._lanes.items()):
                if lane.thread not in away or lane.at is None:
                    continue
                lost.append(lane.at)
                lane.thread, lane.at = 0, None
                if lane.jobs:
                    self._ready.append(lane)
                else:
                    del self._lanes[where]
            self._hire()
        for job in lost:
            try:
                job.lost()
            except Exception:  # the others are told all the same: files may wait for it
                log.exception("nobody could be told that a job for a disk is given up")

    def tend(self) -> None:
        """To be called from time to time: starts the threads that could not be started."""
        with self._news:
            self._hire()

    def stop(self, until: float) -> bool:
        """Begins no more jobs.  True if all have ended by `until` (s, monotonic)."""
        with self._news:
            self._stopped = True
            self._ready.clear()
            for where, lane in list(self._lanes.items()):
                lane.jobs.clear()
                lane.keys.clear()
                if not lane.thread:
                    del self._lanes[where]
            self._news.notify_all()
            return self._news.wait_for(
                lambda: not self._threads, max(0.0, until - self.machine.now())
            )

    def _hire(self) -> None:
        """Sees to it that each lane that is ready gets a thread.  Called with the lock."""
        self._news.notify(min(self._idle, len(self._ready)))
        for _ in range(len(self._ready) - self._idle - self._coming):
            try:
                self.machine.start(self._work, "disk")
            except RuntimeError as error:  # too many threads, or too little memory
                if not self.trouble:
                    log.error("%d directories wait: %s; trying again", len(self._ready), error)
                self.trouble = f"{len(self._ready)} directories wait: {error}"
                return
            self._threads += 1
            self._coming += 1
        self.trouble = ""

    def _work(self) -> None:
        with self._news:
            self._coming -= 1
        while (lane := self._next()) is not None:
            while (job := self._begin(lane)) is not None:
                try:
                    job.run()
                except Exception as error:
                    self._tell(lane.root, error)

    def _tell(self, root: str, error: Exception) -> None:
        """Whoever is told may fail too.  The lane goes on: else nobody would take its jobs."""
        try:
            self._failed(root, error)
        except Exception:
            log.exception("nobody could be told what went wrong in a job for %s: %s", root, error)

    def _next(self) -> _Lane | None:
        """A lane that needs a thread.  None: this thread is not needed any more."""
        with self._news:
            if not self._ready and not self._stopped and self._idle < _IDLE_MOST:
                self._idle += 1
                self._news.wait_for(lambda: self._ready or self._stopped, _IDLE_S)
                self._idle -= 1
            if not self._ready:
                self._threads -= 1
                self._news.notify_all()
                return None
            lane = self._ready.popleft()
            lane.thread = threading.get_ident()
            return lane

    def _begin(self, lane: _Lane) -> _Job | None:
        """The next job of `lane`.  None if there is none, or another thread serves it by now."""
        with self._news:
            if lane.thread != threading.get_ident():
                return None
            if not lane.jobs:
                lane.at = None
                del self._lanes[lane.root, lane.beside]
                return None
            lane.at = job = lane.jobs.popleft()
            lane.keys.discard(job.key)
            return job


def _log_it(root: str, error: Exception) -> None:
    log.error("a job for %s failed", root, exc_info=error)
