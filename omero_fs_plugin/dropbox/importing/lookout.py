"""Threads that have nothing to do wait here, and one of them looks out for all."""

from __future__ import annotations

import threading

_LOOK_S = 1.0  # how often the journal is looked at for what was handed over


class Lookout:
    """Where the importers' threads wait.  Thread-safe.

    The thread that looks out waits for _LOOK_S at most, and then looks at the journal, which
    other processes write too, and at what may have become due.  The others wait until it has
    found something, or until `wake`.

    The lock guards who looks out, and nothing else.  Nothing is called while it is held.
    """

    def __init__(self, stopping: threading.Event) -> None:
        """Whoever sets `stopping` calls `wake` after that."""
        self._stopping = stopping
        self._news = threading.Condition()
        self._thread = 0  # the one that looks out, as threading.get_ident has it; 0: none

    def wait(self) -> None:
        """There is nothing to do now.  Returns when there may be."""
        with self._news:
            if self._stopping.is_set():
                return
            if not self._thread:
                self._thread = threading.get_ident()
            mine = self._thread == threading.get_ident()
            self._news.wait(_LOOK_S if mine else None)

    def leave(self) -> None:
        """This thread has something else to do.  If it looked out, another one does."""
        with self._news:
            if self._thread == threading.get_ident():
                self._thread = 0
                self._news.notify_all()

    def wake(self) -> None:
        """There is something new to do."""
        with self._news:
            self._news.notify_all()
