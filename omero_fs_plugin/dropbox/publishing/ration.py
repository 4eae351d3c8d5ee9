"""How much CPU time the documents may take while DropBox has other work.  Pure.

A document costs as much as some part of an import.  When many users' files are imported at once,
documents for all of them every few seconds would cost more than the imports.
"""

from __future__ import annotations

_SHARE = 0.01  # of the CPU time that all else of DropBox takes, while it is busy
_BUSY = 0.1  # of one core
_LEAST = 0.002  # of one core, while it is busy: so the share is 2 % at most
_IDLE = 0.2  # of one core, while it is not busy
_MOST_S = 0.2  # of CPU time that may be saved up


class Ration:
    """Says whether one more document may be written.

    Rule: while DropBox is busy, documents take `_SHARE` to 2 % of the CPU time of its other
    work, and those that are due wait for it.  While it is not, only very many at once wait for
    each other.
    """

    def __init__(self) -> None:
        self._at = self._others = 0.0  # s, at the last look
        self._left = _MOST_S  # s of CPU time
        self.idle = True  # at the last look DropBox was not busy

    def look(self, now: float, others: float) -> None:
        """`others`: the CPU time (s) of all other work of DropBox up to `now` (s, monotonic)."""
        passed, used = now - self._at, max(0.0, others - self._others)
        if passed <= 0:
            return
        self._at, self._others = now, others
        self.idle = used < _BUSY * passed
        if self.idle:
            more, left = _IDLE * passed, max(0.0, self._left)
        else:
            more, left = max(_SHARE * used, _LEAST * passed), self._left
        self._left = min(_MOST_S, left + more)

    def spend(self, cpu: float) -> None:
        """One document took `cpu` (s)."""
        self._left -= cpu

    @property
    def may(self) -> bool:
        """Whether one more may be written now."""
        return self._left > 0
