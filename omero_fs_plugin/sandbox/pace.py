"""How fast the sandbox works: calls and imports can stop at a point until they may go on.

A real server takes minutes for a plate, and may carry out a call long after the client has
given it up.  The points have names:

==============================  ==================================================================
`Interface.operation`           a call, before it is carried out
`ImportRequest.read`            an import, before it reads the first file
`ImportRequest.save`            an import, before it adds its rows, all in one transaction
`ImportRequest.finish`          an import, when its images exist but their thumbnails do not
==============================  ==================================================================

A call, an import and an upload also cost time at a real server.  `Prices` has what they cost
here; their properties of omero.sandbox are nothing unless they are set.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

READ, SAVE, FINISH = (f"ImportRequest.{step}" for step in ("read", "save", "finish"))
LATENCY_MS = "omero.sandbox.latency_ms"
IMPORT_SECONDS = "omero.sandbox.import_seconds"
UPLOAD_RATE = "omero.sandbox.upload_mb_per_s"
AT_ONCE = "omero.sandbox.imports_at_once"
MB = 1_000_000  # bytes
_ALL = 1_000_000  # imports: more than there ever are
_BEAT_S = 0.05  # how often a call that waits at a point shows that it lives


class Interrupted(BaseException):
    """The server stops as if it was killed: calls that wait at a point go no further."""


@dataclass(frozen=True)
class Prices:
    """What things cost at least, as at a real server."""

    call: float = 0.0  # s that each call takes longer
    # s of each import.  It waits an equal part of them before each of its points.
    imported: float = 0.0
    upload: float = 0.0  # bytes a second that one session uploads at most; 0: no limit
    # So many imports take their time at once, as a server's processors let them; the others wait
    # for their turn.  0: all of them.
    at_once: int = 0

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> Prices:
        """As the properties of the server say.  Raises ValueError if one is not a number."""

        def number(name: str) -> float:
            return float(properties.get(name) or 0)

        return cls(
            number(LATENCY_MS) / 1000,
            number(IMPORT_SECONDS),
            number(UPLOAD_RATE) * MB,
            int(number(AT_ONCE)),
        )

    def properties(self) -> dict[str, str]:
        """The properties that say so."""
        said = {
            LATENCY_MS: self.call * 1000,
            IMPORT_SECONDS: self.imported,
            UPLOAD_RATE: self.upload / MB,
            AT_ONCE: self.at_once,
        }
        return {name: f"{value:.15g}" for name, value in said.items() if value}


class Meter:
    """Lets bytes pass at a rate (bytes a second; 0: no limit).  Not thread-safe."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = 0.0  # s, monotonic: when the bytes before have passed

    def wait(self, size: int, now: float) -> float:
        """How long (s) from `now` on these bytes take, after those that came before them."""
        if not self._rate:
            return 0.0
        self._free = max(self._free, now) + size / self._rate
        return self._free - now


class Gate:
    """A point at which all calls stop."""

    def __init__(self, *, silent: bool = False) -> None:
        """`silent`: calls that wait here show no sign of life."""
        self.silent = silent
        self.reached = threading.Event()  # a call has come to the point
        self._open = threading.Event()

    def release(self) -> None:
        """Lets the waiting calls go on.  No call stops here any more."""
        self._open.set()

    def wait(self, seconds: float) -> bool:
        """Waits for the release for so many seconds; whether it came."""
        return self._open.wait(seconds)


class Pace:
    """The points of one server.  Thread-safe."""

    def __init__(
        self, prices: Prices | None = None, more: Callable[[], float] = lambda: 0.0
    ) -> None:
        """`more` gives s that each import takes longer now."""
        self.prices = prices or Prices()
        self._more = more
        self._meters: dict[str, Meter] = {}  # by the uuid of the session
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(self.prices.at_once or _ALL)
        self._gates: dict[str, Gate] = {}
        self._stopping = threading.Event()

    def hold(self, point: str, *, silent: bool = False) -> Gate:
        """From now on all calls stop at `point`, until the gate is released."""
        gate = self._gates[point] = Gate(silent=silent)
        return gate

    def let_pass(self) -> None:
        """From now on calls stop nowhere.  Those that wait at a gate still wait for it."""
        self._gates.clear()

    def reach(self, point: str, alive: Callable[[], None] = lambda: None) -> None:
        """Waits at `point` until the caller may go on, and calls `alive` now and then.

        Raises Interrupted when the server stops.
        """
        gate = self._gates.get(point)
        if gate is not None:
            gate.reached.set()
            while not gate.wait(_BEAT_S):
                self._beat((lambda: None) if gate.silent else alive)
        if point in (READ, SAVE, FINISH):
            self._take_time((self.prices.imported + self._more()) / 3, alive)

    def _take_time(self, seconds: float, alive: Callable[[], None]) -> None:
        """In its turn."""
        if not seconds:
            return
        while not self._turns.acquire(timeout=_BEAT_S):
            self._beat(alive)
        try:
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                self._stopping.wait(min(left, _BEAT_S * 20))
                self._beat(alive)
        finally:
            self._turns.release()

    def call(self) -> None:
        """Waits for what one call costs."""
        if self.prices.call:
            self._stopping.wait(self.prices.call)

    def upload(self, session: str, size: int) -> None:
        """Waits until so many bytes have come over the network in the session with this uuid."""
        if not self.prices.upload:
            return
        with self._lock:
            meter = self._meters.setdefault(session, Meter(self.prices.upload))
            seconds = meter.wait(size, time.monotonic())
        self._stopping.wait(seconds)

    def forget(self, session: str) -> None:
        """The session has ended."""
        with self._lock:
            self._meters.pop(session, None)

    def stop(self) -> None:
        """Ends all waits, for good."""
        self._stopping.set()

    def _beat(self, alive: Callable[[], None]) -> None:
        if self._stopping.is_set():
            raise Interrupted
        alive()
