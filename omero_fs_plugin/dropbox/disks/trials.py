"""Finds out that a disk answers again, although a call to it never comes back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from .calls import LOST_S
from .lanes import Lanes

log = logging.getLogger(__name__)

_EVERY_S = 5.0  # between two trials of a disk
_MOST = 3  # trials of one root that have not come back: a trial may be lost too


class Trials:
    """Tries the disks that have not answered for LOST_S.  One thread calls `begin`.

    `look` asks the disk of a root something that no cache knows, and raises OSError.
    Each trial has a thread of its own, and nobody waits for it.
    """

    def __init__(self, lanes: Lanes, look: Callable[[str], object]) -> None:
        self._lanes = lanes
        self._calls = lanes.calls
        self._look = look
        self._lock = threading.Lock()
        self._under_way: dict[str, dict[int, float]] = {}  # root -> number of a trial -> since (s)
        self._last: dict[str, float] = {}  # root -> when its last trial began, s

    def begin(self) -> None:
        """Called from time to time."""
        now = self._calls.clock()
        for root, seconds in self._calls.away().items():
            if seconds < LOST_S or now - self._last.get(root, -_EVERY_S) < _EVERY_S:
                continue
            with self._lock:
                begun = self._under_way.setdefault(root, {})
                if begun and (len(begun) >= _MOST or now - max(begun.values()) < LOST_S):
                    continue
                number = next(n for n in range(_MOST) if n not in begun)
                begun[number] = now
            self._last[root] = now
            self._lanes.do(root, partial(self._try, root, number), beside=f"trial {number}")

    def _try(self, root: str, number: int) -> None:
        try:
            began = self._calls.clock()
            with self._calls.trial(root):
                self._look(root)
        except OSError as error:
            log.debug("%s: a trial of its disk: %s", root, error)
        else:
            threads = self._calls.give_up(root, began)
            if threads:
                log.warning(
                    "%s answers, but %d calls to it have not come back: they are given up",
                    root,
                    len(threads),
                )
                self._lanes.give_up(threads)
        finally:
            with self._lock:
                self._under_way[root].pop(number, None)
                if not self._under_way[root]:
                    del self._under_way[root]
