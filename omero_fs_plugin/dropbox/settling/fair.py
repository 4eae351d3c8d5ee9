"""A lock that nobody can keep from others by taking it again and again."""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """Rule: who asks first has it first.

    threading.Lock gives it to anybody.  A thread that takes it for one batch after the other, as
    for a user with very many files, may then have it again and again before those who wait.
    """

    def __init__(self) -> None:
        self._own = threading.Lock()  # never kept for long
        self._held = False
        self._waiting: deque[threading.Lock] = deque()  # each is released when its turn comes

    def acquire(self, timeout: float = -1) -> bool:
        """Whether we have it; after `timeout` s we give up waiting, -1: never."""
        with self._own:
            if not self._held:
                self._held = True
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=timeout):
            return True
        with self._own:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
            return True  # our turn came at the last moment

    def release(self) -> None:
        """The next one has it."""
        with self._own:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False

    def locked(self) -> bool:
        """Whether somebody has it."""
        return self._held

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
