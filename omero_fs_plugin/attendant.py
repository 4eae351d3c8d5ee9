"""A thread that looks at something again and again, and at once when there is news."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod


class Attendant(ABC):
    """Looks until it is stopped.  Whoever is asked in a look may hold it, and nobody else."""

    def __init__(self, thread: str) -> None:
        """`thread` is its name."""
        self._news = threading.Event()
        self._stopping = threading.Event()
        # A daemon: one that is held must not keep the process from ending.
        self._thread = threading.Thread(target=self._attend, name=thread, daemon=True)

    @abstractmethod
    def _look(self) -> float | None:
        """Looks once.  Returns after how many s it looks again; None: when it is woken.

        Raises nothing: the thread would end.
        """

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def wake(self) -> None:
        """There is news, as when the settings have changed: it looks at once."""
        self._news.set()

    def ask_to_stop(self) -> None:
        """Begins no more work."""
        self._stopping.set()
        self._news.set()

    def stop(self, until: float) -> bool:
        """Ends the thread; whether it has ended at `until` (s, monotonic)."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()

    def _attend(self) -> None:
        while True:
            self._news.clear()
            if self._stopping.is_set():  # after `clear`, which may have taken its news
                return
            self._news.wait(self._look())
