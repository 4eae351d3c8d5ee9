"""How fast the sandbox works: calls and imports can stop at a point until they may go on.

A real server takes minutes for a plate, and may carry out a call long after the client has
given it up.  The points have names:

==============================  ==================================================================
`Interface.operation`           a call, before it is carried out
`ImportRequest.read`            an import, before it reads the first file
`ImportRequest.save`            an import, before it adds its rows, all in one transaction
`ImportRequest.finish`          an import, when its images exist but their thumbnails do not
==============================  ==================================================================

Each import takes at least `seconds`, as omero.sandbox.import_seconds says.  It waits an equal
part of them before each of its points.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

READ, SAVE, FINISH = (f"ImportRequest.{step}" for step in ("read", "save", "finish"))
IMPORT_SECONDS = "omero.sandbox.import_seconds"
_BEAT_S = 0.05  # how often a call that waits at a point shows that it lives


class Interrupted(BaseException):
    """The server stops as if it was killed: calls that wait at a point go no further."""


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

    def __init__(self, seconds: float = 0.0) -> None:
        """`seconds`: how long an import takes at least."""
        self.seconds = seconds
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
            until = time.monotonic() + self.seconds / 3
            while (left := until - time.monotonic()) > 0:
                self._stopping.wait(min(left, _BEAT_S * 20))
                self._beat(alive)

    def stop(self) -> None:
        """Ends all waits, for good."""
        self._stopping.set()

    def _beat(self, alive: Callable[[], None]) -> None:
        if self._stopping.is_set():
            raise Interrupted
        alive()
