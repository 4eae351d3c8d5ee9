"""Threads, and how they wait.  Whoever tests what uses them may decide who runs, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Threads:
    """Those of the machine."""

    def now(self) -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    def start(self, run: Callable[[], None], name: str) -> None:
        """Runs `run` in a new thread.  Raises RuntimeError if there cannot be another one."""
        # A daemon: a disk that does not answer must not keep the process from ending.
        threading.Thread(target=run, name=name, daemon=True).start()

    def condition(self) -> threading.Condition:
        """What these threads can wait for."""
        return threading.Condition()


MACHINE = Threads()
