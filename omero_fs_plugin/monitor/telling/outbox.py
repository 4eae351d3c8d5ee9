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
_EVENT_SIZE = 8  # bytes that an event takes besides its path
NOTIFICATION_EVENTS = 8192

# If more events wait than this, and none was delivered for PATIENCE, the client is away.
# So many take about 30 MB.
CAPACITY = 200_000
PATIENCE = 5.0  # s
# If so many times CAPACITY wait, the client is too slow.
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
        self._block_size = block_size  # at most so many events in a notification; 0: all that fit
        self._capacity = capacity
        self.crowded = False  # more than half of `capacity` wait
        self._taken = 0
        self.tried = 0  # the first so many of what waits were taken once, and may have arrived
        self._delay = 0.0
        self._not_before = -math.inf
        self._progress_at = -math.inf  # when something was last delivered, or it was empty
        self.told = 0  # events delivered since the beginning

    def put(self, tell: Tell, now: float) -> None:
        """Adds one more thing to tell."""
        if not self._waiting:
            self._progress_at = now
        self._waiting.append(tell)
        if 2 * len(self._waiting) > self._capacity:
            self.crowded = True

    def __len__(self) -> int:
        return len(self._waiting)

    def overfull(self, now: float) -> bool:
        """Whether too much waits: memory is limited."""
        waiting = len(self._waiting)
        if waiting <= self._capacity:
            return False
        late = now - self._progress_at > PATIENCE
        return late or waiting > TOO_MANY * self._capacity

    def crowded_until(self) -> float:
        """Until when to hold back what need not be told at once; -inf if there is no need.

        This is never long.  If a client is away, everything must come in here and become a
        gap, which limits it.
        """
        return self._progress_at + PATIENCE if self.crowded else -math.inf

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._delay > 0

    def due(self) -> float:
        """When `take` will return something; inf if not before something changes."""
        return self._not_before if self._waiting and not self._taken else math.inf

    def take(self, now: float) -> list[Tell]:
        """The next notification; empty if it is not time for one."""
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
        # One by one, and each is counted before it is dropped.  If an error comes in between,
        # the next call drops the rest, and nothing that was not taken.
        while self._taken:
            self._taken -= 1
            self._waiting.popleft()
            self.tried -= 1
            self.told += 1
        self.crowded = 2 * len(self._waiting) > self._capacity
        self._delay = 0.0
        self._not_before = -math.inf

    def retake(self) -> None:
        """What was taken must be taken again: nobody knows whether it was sent."""
        self._taken = 0

    def failed(self, now: float) -> float:
        """What was taken has not arrived.  Returns after how many seconds it is tried again."""
        self._taken = 0
        self._delay = min(max(FIRST_RETRY, 2 * self._delay), LONGEST_RETRY)
        self._not_before = now + self._delay
        return self._delay

    def waiting(self) -> list[Tell]:
        """Everything that has not arrived yet, in order."""
        return list(self._waiting)

    def clear(self) -> list[Tell]:
        """Empties it and returns what was in it, in order.  The wait after failures goes on."""
        waiting = list(self._waiting)
        self._waiting.clear()
        self.crowded = False
        self._taken = self.tried = 0
        return waiting
