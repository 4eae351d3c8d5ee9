"""Who has how many of the kernel's watches: nobody takes those that others need."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from . import limits
from .limits import Limit

_KNOWN_S = 2.0  # the limit is read again after this time: an admin may raise it


class Process:
    """The watches of all instances of this process together.  Thread-safe."""

    def __init__(
        self,
        limit: Callable[[], Limit | None] = lambda: limits.watches(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: seconds, monotonic."""
        self._limit, self._clock = limit, clock
        self._lock = threading.Lock()
        self._number = 0
        self._most: int | None = None
        self._read_at = -_KNOWN_S

    def add(self, number: int) -> None:
        """So many more are in use, or fewer."""
        with self._lock:
            self._number += number

    def left(self) -> int | None:
        """How many the limit leaves.  None if it is not known."""
        now = self._clock()
        with self._lock:
            if now - self._read_at >= _KNOWN_S:
                self._read_at = now
                limit = self._limit()
                self._most = None if limit is None else limit.most
            return None if self._most is None else self._most - self._number


class Held:
    """The watches of one instance, by the branch of the tree that they are in.

    A branch is a directory in the root with all below it, often that of a user.

    Rule: a branch gets one more only if as many as it has are left for others.  So one that has
    few gets its own, however many directories another has.  When none is left, the kernel says so.
    Used by one thread.
    """

    def __init__(self, process: Process, root: bytes) -> None:
        self._process = process
        self._above = len(root.rstrip(b"/")) + 1
        self._branches: dict[int, bytes] = {}  # by the descriptor of the watch
        self._numbers: Counter[bytes] = Counter()
        self._names: dict[bytes, bytes] = {}  # one object for each branch, for memory
        self.kept_back = False  # a watch was refused, so that others have some

    def may_have(self, path: bytes) -> bool:
        """Whether the directory at `path`, below the root, may be watched."""
        left = self._process.left()
        well = left is None or left <= 0 or self._numbers[self._branch(path)] < left
        self.kept_back = self.kept_back or not well
        return well

    def has(self, descriptor: int, path: bytes) -> None:
        """It is watched."""
        self.gone(descriptor)
        branch = self._branch(path)
        branch = self._branches[descriptor] = self._names.setdefault(branch, branch)
        self._numbers[branch] += 1
        self._process.add(1)

    def gone(self, descriptor: int) -> None:
        """Its watch has ended.  Again is no error."""
        branch = self._branches.pop(descriptor, None)
        if branch is not None:
            self._numbers[branch] -= 1
            if not self._numbers[branch]:
                del self._numbers[branch], self._names[branch]
            self._process.add(-1)

    def clear(self) -> None:
        """All have ended."""
        self._process.add(-len(self._branches))
        self._branches.clear()
        self._numbers.clear()
        self._names.clear()

    def _branch(self, path: bytes) -> bytes:
        return path[self._above :].partition(b"/")[0]
