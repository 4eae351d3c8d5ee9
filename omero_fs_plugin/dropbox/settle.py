"""When has a file come to rest?  Pure: the time and the file's stat are handed in."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from ..events import FileStat


@dataclass(frozen=True)
class Pending:
    """A file in its quiet period."""

    path: str  # absolute
    stat: FileStat
    since: float  # s, monotonic: the last sign of life


class Settler:
    """Files in their quiet period.

    A file is at rest when `quiet` seconds have passed since its last sign of
    life: an event, a writer that holds it, or a size, mtime or identity other
    than before.  Every sign of life starts the quiet period anew (OMERO's
    documentation of omero.fs.dirImportWait: "If a new file is added to a
    fileset during this wait period DropBox begins waiting again").

    However long that takes: a file that still grows is never at rest.  After
    `longest` seconds it is told once, by `overdue`.

    Times are seconds of one monotonic clock, and may never go back.
    """

    def __init__(self, quiet: float, longest: float = math.inf) -> None:
        self.quiet = quiet  # s
        self.longest = longest  # s
        # Ordered by `since`: a sign of life moves a file to the end.
        self._pending: OrderedDict[str, Pending] = OrderedDict()
        # When the quiet period of each first began, in this order; without
        # those that were told.
        self._first: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, path: object) -> bool:
        return path in self._pending

    def stir(self, path: str, stat: FileStat, now: float) -> None:
        """A sign of life: the quiet period of `path` begins now."""
        if path not in self._pending:
            self._first[path] = now
        self._pending[path] = Pending(path, stat, now)
        self._pending.move_to_end(path)

    def check(self, path: str, stat: FileStat, now: float) -> bool:
        """What a look at the disk gave; whether `path` is at rest.

        A file that is not pending, or is not what it was, is stirred.
        """
        pending = self._pending.get(path)
        if pending is None or pending.stat != stat:
            self.stir(path, stat, now)
            return False
        return now - pending.since >= self.quiet

    def forget(self, path: str) -> None:
        """The file is gone, or was handed on."""
        self._pending.pop(path, None)
        self._first.pop(path, None)

    def due(self, now: float, limit: int) -> list[Pending]:
        """At most `limit` files whose quiet period is over, longest at rest first.

        They stay pending: the caller looks at the disk once more, and then
        says `check` or `forget`.
        """
        ripe: list[Pending] = []
        for pending in self._pending.values():
            if len(ripe) == limit or now - pending.since < self.quiet:
                break
            ripe.append(pending)
        return ripe

    def overdue(self, now: float) -> list[str]:
        """The files that have been pending for `longest` seconds, each once."""
        late: list[str] = []
        for path, first in self._first.items():
            if now - first < self.longest:
                break
            late.append(path)
        for path in late:
            del self._first[path]
        return late

    def next_due(self) -> float | None:
        """When (s, monotonic) the next file may be at rest; None when none is pending."""
        for pending in self._pending.values():
            return pending.since + self.quiet
        return None
