"""Finds out that a disk answers again, although a call to it never comes back."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from functools import partial

from .calls import LOST_S, MOST_LOST
from .lanes import Lanes

log = logging.getLogger(__name__)

_EVERY_S = 5.0  # between two trials of a disk
# A trial may be lost too: then the next one shows it.  While the disk hangs in earnest, each costs
# a thread, so each begins so many times later than the one before, the last after some hours.
_MOST, _LATER = 5, 4.0  # trials of one hang


class Trials:
    """Tries the disks that have not answered for LOST_S.  One thread calls `begin`.

    `look` asks the disk of a root something that no cache knows, and raises OSError.
    Each trial has a thread of its own, and nobody waits for it.  A disk that answers again is
    tried before it has been away for five times as long as it hung, also if all earlier
    calls and trials are lost.
    """

    def __init__(self, lanes: Lanes, look: Callable[[str], object]) -> None:
        self._lanes = lanes
        self._calls = lanes.calls
        self._look = look
        self._lock = threading.Lock()
        self._under_way: dict[str, dict[int, float]] = {}  # root -> number of a trial -> since (s)
        # Root -> trials that began before one that ended well, and have not come back
        self._lost: dict[str, dict[int, float]] = {}
        self._numbers = itertools.count(1)
        self._last: dict[str, float] = {}  # root -> when its last trial began, s

    def begin(self) -> None:
        """Called from time to time."""
        now = self._calls.clock()
        for root, seconds in self._calls.away().items():
            if seconds < LOST_S or now - self._last.get(root, -_EVERY_S) < _EVERY_S:
                continue
            with self._lock:
                begun = self._under_way.setdefault(root, {})
                if len(begun) >= _MOST or len(self._lost.get(root, ())) >= MOST_LOST:
                    continue
                if begun and now - max(begun.values()) < LOST_S * _LATER ** (len(begun) - 1):
                    continue
                number = next(self._numbers)
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
            self._ended_well(root, number)
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
                for known in (self._under_way, self._lost):
                    known.get(root, {}).pop(number, None)
                    if not known.get(root, True):
                        del known[root]

    def _ended_well(self, root: str, number: int) -> None:
        """The trials that began before are lost, so nobody counts on them any more."""
        with self._lock:
            begun = self._under_way.get(root, {})
            earlier = {one: since for one, since in begun.items() if one < number}
            if earlier:
                self._lost.setdefault(root, {}).update(earlier)
            for one in earlier:
                del begun[one]
