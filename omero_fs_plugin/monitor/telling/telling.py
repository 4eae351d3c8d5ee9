"""The conversation with one client: one notification at a time, and its answer."""

from __future__ import annotations

import enum
import logging
import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from omero_fs_plugin.monitor.notices import Tell, shown

from .absence import Absence
from .keeper import Keeper
from .outbox import LONGEST_RETRY, Outbox

log = logging.getLogger(__name__)


# The answer to a notification after which nothing waits is taken with the next event, or after this
# time: to wake the thread for it costs as much as an event.  The files that were told are looked at
# once more just then (racy.CONFIRM_ALONE), so one wake serves both.
LINGER = 0.2  # s
# If it is wanted before, or has not come by then, we ask for it so soon, and from then on each time
# after as long as we have asked so far, up to the longest.
ASK, LONGEST_ASK = 0.001, 0.5  # s


class Client(Protocol):
    """Sends a notification without waiting.  The answer comes later, on any thread."""

    address: str  # how to reach it after a restart

    def notify(
        self,
        identifier: str,
        tells: list[Tell],
        done: Callable[[bool], None],
        *,
        asked: bool = False,
    ) -> Callable[[], bool] | None:
        """Begins to tell.  Calls `done(arrived)` once, and raises nothing.

        `asked`: we ask for the answer, so that no thread needs to run when it comes.  What this
        returns is to be called until it returns True, and then has called `done`; None: as without
        `asked`.
        """

    def probe(self, done: Callable[[bool], None]) -> None:
        """Begins to ask whether it is there.  Calls `done(answered)` once, and raises nothing."""


class Answer(enum.Enum):
    """What `Telling.hear` heard of a notification."""

    NONE = 0
    ARRIVED = 1
    FAILED = 2


class Telling:
    """The conversation with the client of one monitor.

    Rule: the events of the outbox reach the client in their order, and the keeper learns
    what the client has heard.

    The monitor's thread owns it.  `wake` wakes that thread when there is an answer.
    """

    def __init__(
        self,
        identifier: str,
        path: bytes,
        client: Client,
        *,
        outbox: Outbox,
        keeper: Keeper,
        absence: Absence,
        wake: Callable[[], None],
        patient: bool = False,
    ) -> None:
        """`patient`: nothing depends on the answer, unless more waits to be told."""
        self._patient = patient
        self.given_up = False  # the client was away for too long
        self.in_flight = False  # a call has no answer yet
        self._identifier = identifier
        self._path = path
        self._client = client
        self._outbox = outbox
        self._keeper = keeper
        self._absence = absence
        self._probe = absence.probe
        self._wake = wake
        self._probe_at = math.inf
        self._batch: list[Tell] = []  # of the last call; empty: it was a probe
        self._answers: deque[tuple[int, bool]] = deque()
        self._calls = 0  # calls begun; the number of the last one
        self._begun = 0  # the last call whose answer will certainly come
        self._linger_until = -math.inf  # until when (s) an answer wakes nobody
        self._lingers = False  # it is before that time; the callback reads it too
        self._stale = 0  # answers to calls up to this number no longer matter
        self._ask: Callable[[], bool] | None = None  # whether the last call has its answer
        self._ask_at = math.inf  # when (s) to ask next, if the answer matters
        self._asked_at = math.inf  # s; when we first asked for the answer in vain

    def begin(self, now: float) -> None:
        """Call this before anything else."""
        self._probe_at = now + self._probe

    def due(self) -> float:
        """When there is something to do; inf if not before the next answer or event."""
        if self._lingers:
            return self._linger_until
        if self._answers:
            return -math.inf  # the thread that was woken for it may have met an error
        if self.in_flight:
            return self._ask_at if self._ask is not None else math.inf
        return self._outbox.due() if len(self._outbox) else self._probe_at

    def send(self, now: float) -> None:
        """Begins a call, if it is time for one.

        If nothing waits for its answer, we ask for it: by the next look it has come.
        """
        if self.in_flight:
            if self.awaited:
                if self._lingers:
                    self._ask_at = min(self._ask_at, now + ASK)
                self.hurry()
            return
        tried = self._outbox.tried
        batch = self._outbox.take(now)
        self._keeper.sending(batch[tried:])
        probing = now >= self._probe_at and not len(self._outbox)
        if not batch and not probing:
            return
        self._batch = batch
        self._calls += 1
        call = self._calls
        self.in_flight = True
        self._probe_at = now + self._probe

        def done(arrived: bool) -> None:
            self._answers.append((call, arrived))
            if not self._lingers:
                self._wake()

        self._linger_until = now + LINGER
        self._lingers = self._patient and len(batch) == len(self._outbox)
        self._ask, self._ask_at, self._asked_at = None, math.inf, math.inf
        if batch:
            asked = self._lingers and not self._outbox.failing
            self._ask = self._client.notify(self._identifier, batch, done, asked=asked)
        else:
            self._client.probe(done)
        self._begun = call

    @property
    def awaited(self) -> bool:
        """Whether more waits to be told, until the last call has its answer."""
        return self.in_flight and len(self._outbox) > len(self._batch)

    def hurry(self) -> None:
        """The answer that is awaited matters now: it wakes the thread."""
        self._lingers = False

    def hear(self, now: float) -> Answer:
        """Takes the client's answers, and returns the result of the last notification."""
        heard = Answer.NONE
        if self._ask is not None:
            # An error may come between any two of these steps: the answer is taken once.
            if (self._answers and self._has_answered(self._calls)) or self._ask():
                self._ask = None
            else:
                # Not since the call began: the turn that sent it may have begun long before, if a
                # slow disk was looked at in between.
                self._asked_at = min(self._asked_at, now)
                taken = max(ASK, now - self._asked_at)
                self._ask_at = now + min(taken, LONGEST_ASK)
        if self._answers or now >= self._linger_until:
            self._lingers = False
        while self._answers:
            one = self._hear_one(*self._answers[0], now)
            heard = heard if one is Answer.NONE else one
            self._answers.popleft()  # only now: after an error it is heard again
        return heard

    def recover(self) -> None:
        """Call this after an error, wherever it came from."""
        last = self._calls
        answered = last > self._stale and self._has_answered(last)
        if self._begun != last or not (self.in_flight or answered):
            # What was taken may be on its way, or was never sent.
            self._outbox.retake()
            self._ask = None
            self._stale = self._calls
            self.in_flight = False

    def _has_answered(self, call: int) -> bool:
        return any(one == call for one, _ in list(self._answers))

    def drop(self) -> None:
        """Gives up what waits to be told."""
        self._stale = self._calls
        self._outbox.clear()

    def _hear_one(self, call: int, arrived: bool, now: float) -> Answer:
        if call == self._calls:
            self.in_flight = False
        if not arrived or self._absence.away:
            self._count_absence(arrived, now)
        if call <= self._stale or not self._batch:
            return Answer.NONE
        if not arrived:
            told_before = self._outbox.failing
            delay = self._outbox.failed(now)
            if delay < LONGEST_RETRY or not told_before:
                log.warning(
                    "monitor %s: its client cannot be reached, next try in %g s",
                    self._identifier,
                    delay,
                )
            return Answer.FAILED
        self._outbox.delivered(now)
        self._keeper.arrived(self._batch)
        self._batch = []
        return Answer.ARRIVED

    def _count_absence(self, arrived: bool, now: float) -> None:
        if arrived:
            self._absence.answered()
        else:
            self._absence.failed(now)
            if self._absence.given_up and not self.given_up:
                self.given_up = True
                log.error(
                    "monitor %s of %s: its client has been away for %.0f s, it is destroyed",
                    self._identifier,
                    shown(self._path),
                    self._absence.so_far,
                )
        seconds = self._absence.to_keep()
        if seconds is not None:
            self._keeper.away(seconds)
