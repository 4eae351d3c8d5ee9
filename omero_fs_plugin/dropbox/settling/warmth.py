"""Which groupers are warm, and so which of them takes the next files.  Pure.

A grouper that has rested starts Java anew, which takes some seconds.  So it leaves the files to one
that is warm and has nothing to do.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Warmth:
    """Thread-safe.  At first all of the groupers 0 to `number` - 1 are warm."""

    def __init__(self, number: int) -> None:
        self._lock = threading.Lock()
        self._warm = set(range(number))
        self._at_work: set[int] = set()

    def rests(self, one: int) -> None:
        """This grouper has given back its memory."""
        with self._lock:
            self._warm.discard(one)

    def may_take(self, one: int) -> bool:
        """Whether this grouper takes the next files: it is warm, or no warm one is free."""
        with self._lock:
            return one in self._warm or self._warm <= self._at_work

    @contextmanager
    def at_work(self, one: int, *, warms: bool = True) -> Iterator[None]:
        """While this grouper cannot take anything.  Work `warms` it."""
        with self._lock:
            self._at_work.add(one)
        try:
            yield
        finally:
            with self._lock:
                self._at_work.discard(one)
                if warms:
                    self._warm.add(one)
