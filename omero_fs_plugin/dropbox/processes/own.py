"""A process that is started in the ordinary way, as in the command line: a child of this one."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time

from .order import Order, send
from .program import STARTED_BY, exit_code

_LOOK_S = 0.02  # between two looks at a process, while we wait for its end


class Own:
    """A child of this process."""

    def __init__(self, order: Order) -> None:
        def stream(descriptor: int | None) -> int:
            return subprocess.DEVNULL if descriptor is None else descriptor

        try:
            self._process = subprocess.Popen(
                [str(word) for word in order.words],
                stdin=stream(order.stdin),
                stdout=stream(order.stdout),
                stderr=stream(order.stderr),
                pass_fds=[word for word in order.words if isinstance(word, int)],
                cwd=order.at,
                env={**order.environment, STARTED_BY: str(os.getpid())},
                start_new_session=True,
            )
        except ValueError as error:  # a zero byte
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from error
        self.pid = self._process.pid
        # Its number is its own only until it is reaped, so nobody reaps it while it is used.
        self._lock = threading.RLock()

    def ended(self) -> int | None:
        with self._lock:
            if self._process.returncode is not None:
                return self._process.returncode
            try:
                return exit_code(self.pid)
            except ChildProcessError:  # somebody has reaped it since we asked
                return self._process.wait()

    def wait(self, limit: float) -> int | None:
        until, over = time.monotonic() + limit, False
        while (code := self.ended()) is None and not over:
            over = time.monotonic() >= until  # what happened until then is looked at once more
            if not over:
                time.sleep(_LOOK_S)
        return code

    def send(self, number: int) -> None:
        with self._lock:
            if self._process.returncode is None:
                send(self.pid, number)

    def close(self) -> None:
        with self._lock:
            if self.ended() is not None:
                self._process.wait()
