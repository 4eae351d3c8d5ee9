"""Pure: the events that wait for one client, and when to try to send them.

No clock, no thread, no Ice: `now` is an argument.
"""

from __future__ import annotations

import math
from collections import deque

from omero_fs_plugin.monitor.notices import Tell

# Ice refuses messages over Ice.MessageSizeMax, 1 MiB unless configured; a
# client may have the default.  Bytes of paths in one notification.
NOTIFICATION_SIZE = 384 * 1024
_EVENT_SIZE = 8  # bytes that an event takes beside its path
NOTIFICATION_EVENTS = 8192

# More than this waiting, and nothing delivered for a while: the client is away.
# About 30 MB.
CAPACITY = 200_000
PATIENCE = 5.0  # s
# More than so many times that: the client is too slow for what happens.
TOO_MANY = 5

FIRST_RETRY = 0.5  # s; doubled at each failure
LONGEST_RETRY = 30.0  # s


class Outbox:
    """Rule: events are told in order, each at least once, one notification at a time.

    Events that were taken stay until `delivered`.  After `failed` the same events
    are taken again, later each time.  When it is `overfull`, the owner empties it
    with `clear` and starts a rescan.
    """

    def __init__(self, *, block_size: int = 0, capacity: int = CAPACITY) -> None:
        self._waiting: deque[Tell] = deque()
        self._block_size = block_size  # most events in a notification; 0: as many as fit
        self._capacity = capacity
        self._taken = 0
        self.tried = 0  # of what waits, the first so many were taken once: they may have arrived
        self._delay = 0.0
        self._not_before = -math.inf
        self._progress_at = -math.inf  # when something was last delivered, or it was empty
        self.told = 0  # events delivered since the beginning

    def put(self, tell: Tell, now: float) -> None:
        """One more thing to tell."""
        if not self._waiting:
            self._progress_at = now
        self._waiting.append(tell)

    def __len__(self) -> int:
        return len(self._waiting)

    def overfull(self, now: float) -> bool:
        """Whether more waits than may: memory is bounded."""
        waiting = len(self._waiting)
        if waiting <= self._capacity:
            return False
        late = now - self._progress_at > PATIENCE
        return late or waiting > TOO_MANY * self._capacity

    def crowded_until(self) -> float:
        """Until when to wait with what need not be told at once; -inf: no need.

        Not for long: with a client that is away, everything is to come in here
        and to become a gap, which bounds it.
        """
        if 2 * len(self._waiting) <= self._capacity:
            return -math.inf
        return self._progress_at + PATIENCE

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._delay > 0

    def due(self) -> float:
        """When `take` will give something; inf: not while nothing changes."""
        return self._not_before if self._waiting and not self._taken else math.inf

    def take(self, now: float) -> list[Tell]:
        """The next notification; empty when it is not time for one."""
        if self._taken or not self._waiting or now < self._not_before:
            return []
        most = self._block_size or NOTIFICATION_EVENTS
        batch: list[Tell] = []
        size = 0
        for tell in self._waiting:
            size += len(tell.path) + _EVENT_SIZE
            if batch and (len(batch) >= most or size > NOTIFICATION_SIZE):
                break
            batch.append(tell)
        self._taken = len(batch)
        self.tried = max(self.tried, self._taken)
        return batch

    def delivered(self, now: float) -> None:
        """What was taken has arrived."""
        self._progress_at = now
        # One by one, and counted before it is dropped: who comes here again
        # after an error drops what is left, and nothing that was not taken.
        while self._taken:
            self._taken -= 1
            self._waiting.popleft()
            self.tried -= 1
            self.told += 1
        self._delay = 0.0
        self._not_before = -math.inf

    def retake(self) -> None:
        """What was taken is to be taken again: whether it left is not known."""
        self._taken = 0

    def failed(self, now: float) -> float:
        """What was taken has not arrived; in how many seconds it is tried again."""
        self._taken = 0
        self._delay = min(max(FIRST_RETRY, 2 * self._delay), LONGEST_RETRY)
        self._not_before = now + self._delay
        return self._delay

    def waiting(self) -> list[Tell]:
        """All that has not arrived yet, in order."""
        return list(self._waiting)

    def clear(self) -> list[Tell]:
        """Empties it; what was in it, in order.  Keeps the wait after failures."""
        waiting = list(self._waiting)
        self._waiting.clear()
        self._taken = self.tried = 0
        return waiting
