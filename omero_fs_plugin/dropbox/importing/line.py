"""The users with something in the queue.  While they are many, the journal is asked seldom.

To list them takes the journal time for each of them.  If 2,000 users wait, and they are listed
before each import, the lists cost more than all else.  Pure but for what it asks: `now` is an
argument.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

# A list serves so many turns for each user in it, at least one.  So all lists together cost as
# much as a few looks at each user, however many there are.
TURNS = 1 / 8
OLDEST_S = 1.0  # a list is asked for anew after this; who came since then waits so long at most


class Line:
    """The users with something in the queue, the one waiting longest first.  Thread-safe."""

    def __init__(self, ask: Callable[[], list[str]]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._users: list[str] = []
        self._turns = 0  # that the list serves yet
        self._asked = 0.0  # when, in s

    def users(self, now: float) -> tuple[list[str], bool]:
        """The users, and whether this list is up to date.  If not, some have come or gone since."""
        with self._lock:
            if self._turns > 0 and 0.0 <= now - self._asked < OLDEST_S:
                self._turns -= 1
                return list(self._users), False
        return self.as_now(now), True

    def as_now(self, now: float) -> list[str]:
        """The users, as they are now."""
        users = self._ask()
        with self._lock:
            self._users, self._turns, self._asked = users, int(len(users) * TURNS) - 1, now
        return list(users)
