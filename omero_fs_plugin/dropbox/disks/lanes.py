"""A worker for each root: the jobs of a root run in order, and wait for no other root."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from .calls import CALLS, HUNG_S, Calls, RootAway

log = logging.getLogger(__name__)

_IDLE_S = 10.0  # a worker with nothing to do ends after this time
_LOOK_S = 0.25  # while we wait for a disk, how often we look whether it hangs

T = TypeVar("T")


@dataclass
class _Lane:
    jobs: deque[tuple[Hashable, Callable[[], None]]] = field(default_factory=deque)
    keys: set[Hashable] = field(default_factory=set)  # of the jobs that have not begun
    at_work: bool = False  # it has a worker
    news: threading.Condition = field(default_factory=threading.Condition)


@dataclass
class _Answer(Generic[T]):
    value: T | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Lanes:
    """Runs jobs.  The jobs of one root run one after the other.  Thread-safe.

    If a job raises, `failed` is called with the root and the exception, in the job's thread.
    """

    def __init__(
        self,
        failed: Callable[[str, Exception], None] | None = None,
        *,
        calls: Calls = CALLS,
    ) -> None:
        self.calls = calls
        self._failed = failed or _log_it
        self._lock = threading.Lock()
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._stopped = False

    def do(
        self, root: str, job: Callable[[], None], *, key: Hashable = None, beside: str = ""
    ) -> None:
        """Runs `job` in the lane of `root`, after the jobs that wait there.

        `beside` names a second lane of the root, for jobs that take long even if the
        disk answers.  If a job with this `key` waits there already, nothing is added.
        """
        where = root, beside
        with self._lock:
            if self._stopped:
                return
            lane = self._lanes.setdefault(where, _Lane())
            with lane.news:
                if key is not None:
                    if key in lane.keys:
                        return
                    lane.keys.add(key)
                lane.jobs.append((key, job))
                if lane.at_work:
                    lane.news.notify()
                    return
                lane.at_work = True
        # A daemon: a disk that does not answer must not keep the process from ending.
        threading.Thread(target=self._work, args=[where, lane], name="disk", daemon=True).start()

    def ask(self, root: str, question: Callable[[], T]) -> T:
        """Runs `question` in the lane of `root`, and gives or raises what it gives or raises.

        Raises RootAway as soon as the disk does not answer; `question` may still run later.
        """
        if not self.calls.answers(root):
            raise RootAway(root, HUNG_S)
        answer: _Answer[T] = _Answer()

        def job() -> None:
            try:
                answer.value = question()
            except BaseException as error:
                answer.error = error
            finally:
                answer.done.set()

        self.do(root, job, beside="ask")  # not behind what is heard, which may be much
        while not answer.done.wait(_LOOK_S):
            seconds = self.calls.away().get(root)
            if seconds is not None or self._stopped:
                raise RootAway(root, seconds or 0.0)
        if answer.error is not None:
            raise answer.error
        return cast("T", answer.value)

    def stop(self, until: float) -> bool:
        """Begins no more jobs.  True if all have ended by `until` (s, monotonic)."""
        with self._lock:
            self._stopped = True
            lanes = list(self._lanes.values())
        ended = True
        for lane in lanes:
            with lane.news:
                lane.jobs.clear()
                lane.keys.clear()
                lane.news.notify()
                ended &= lane.news.wait_for(
                    lambda lane=lane: not lane.at_work,  # type: ignore[misc]
                    max(0.0, until - time.monotonic()),
                )
        return ended

    def _work(self, where: tuple[str, str], lane: _Lane) -> None:
        while True:
            with lane.news:
                if not lane.jobs and not self._stopped:
                    lane.news.wait(_IDLE_S)
                if not lane.jobs:
                    break
                key, job = lane.jobs.popleft()
                lane.keys.discard(key)
            try:
                job()
            except Exception as error:
                self._failed(where[0], error)
        self._leave(where, lane)

    def _leave(self, where: tuple[str, str], lane: _Lane) -> None:
        with self._lock, lane.news:
            if lane.jobs and not self._stopped:  # a job came in between
                again = True
            else:
                again = lane.at_work = False
                if self._lanes.get(where) is lane:
                    del self._lanes[where]
                lane.news.notify_all()
        if again:
            self._work(where, lane)


def _log_it(root: str, error: Exception) -> None:
    log.error("a job for %s failed", root, exc_info=error)
