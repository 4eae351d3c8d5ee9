"""How fast the sandbox works: calls and imports that stop at a point until they may go on.

A real server takes minutes for a plate, and carries out a call long after the client has given
it up.  Points are named:

==============================  ==================================================================
`Interface.operation`           a call, before it is carried out
`ImportRequest.read`            an import, before it reads the first file
`ImportRequest.save`            before its rows are there; all come in one transaction
`ImportRequest.finish`          its images are there, and their thumbnails are not
==============================  ==================================================================

Each import takes `seconds` at least, as omero.sandbox.import_seconds says, in equal parts before
its points.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

READ, SAVE, FINISH = (f"ImportRequest.{step}" for step in ("read", "save", "finish"))
IMPORT_SECONDS = "omero.sandbox.import_seconds"
_BEAT_S = 0.05  # how often what waits at a point shows that it lives


class Interrupted(BaseException):
    """The server stops, as if it was killed: what waits at a point goes no further."""


class Gate:
    """One point at which everything stops."""

    def __init__(self, *, silent: bool = False) -> None:
        """`silent`: what waits here shows no sign of life."""
        self.silent = silent
        self.reached = threading.Event()  # something has come to the point
        self._open = threading.Event()

    def release(self) -> None:
        """What waits goes on, and nothing stops here any more."""
        self._open.set()

    def wait(self, seconds: float) -> bool:
        """Whether it was released within so many seconds."""
        return self._open.wait(seconds)


class Pace:
    """The points of one server.  Thread-safe."""

    def __init__(self, seconds: float = 0.0) -> None:
        """`seconds`: how long an import takes at least."""
        self.seconds = seconds
        self._gates: dict[str, Gate] = {}
        self._stopping = threading.Event()

    def hold(self, point: str, *, silent: bool = False) -> Gate:
        """From now on everything stops at `point`, until the gate is released."""
        gate = self._gates[point] = Gate(silent=silent)
        return gate

    def let_pass(self) -> None:
        """Whoever comes from now on stops nowhere; what stands at a gate still waits for it."""
        self._gates.clear()

    def reach(self, point: str, alive: Callable[[], None] = lambda: None) -> None:
        """Returns when what has come to `point` may go on; calls `alive` now and then meanwhile.

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
        """Ends all waiting, for good."""
        self._stopping.set()

    def _beat(self, alive: Callable[[], None]) -> None:
        if self._stopping.is_set():
            raise Interrupted
        alive()
