"""Files that were told so soon after a write that one more write may look the same.  Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from omero_fs_plugin.monitor.kernel.entries import Entry, Identity, Kind

from .tree import NEVER, Directory

# If a file was written less than this (s) before a look, it may be written once more and
# still look the same.
_TICK = 0.02
# What such a file looks like is noted (see Arrivals.confirm) so long after it was told at the
# earliest; together with the next event when the first has waited for longer (AMONG), or without
# one (ALONE), so that one turn serves several.
CONFIRM, CONFIRM_AMONG, CONFIRM_ALONE = 0.05, 0.1, 0.2  # s
# A file is looked at after the time at which it counts as told: so much (s) at most, or `looked`
# says when.  With _TICK this is less than CONFIRM.
SOON = 0.02
# So many of these are remembered; those that are forgotten are told once more after a restart.
_MOST = 100_000
# So many are noted in one go.
_AT_ONCE = 1000


def to_keep(entry: Entry) -> Identity:
    """What to compare the file with after a restart, when the kernel's events are lost."""
    racy = entry.kind is Kind.FILE and 0 < entry.quiet < _TICK
    return NEVER if racy else entry.identity


class Racy:
    """These files, and when they were told; the oldest first."""

    def __init__(self) -> None:
        self._files: deque[tuple[float, Directory, bytes, Identity]] = deque(maxlen=_MOST)
        self.since = math.inf  # when the first was told, or one before it; inf: there is none

    def clear(self) -> None:
        """Forgets all of them."""
        self._files.clear()
        self.since = math.inf

    def add(self, directory: Directory, name: bytes, identity: Identity, now: float) -> None:
        """It was told now, and looked like this."""
        self._files.append((now, directory, name, identity))
        self.since = min(self.since, now)

    def looked(self, told: float, now: float) -> None:
        """Those that count as told at `told` were looked at later, but not after `now`."""
        files, at = self._files, len(self._files)
        while at and files[at - 1][0] == told:
            at -= 1
            _, directory, name, identity = files[at]
            files[at] = now, directory, name, identity

    def certain(self, now: float, *, all_: bool) -> Iterator[tuple[Directory, bytes, Identity]]:
        """Takes out those of which it is certain by now what they look like, but not too many.

        All events until `now` must have been fed: had such a file been written again, it would be
        on its way, or be told.  `all_`: also those that are not due yet, and however many.
        """
        files = self._files
        for _ in range(len(files) if all_ else min(len(files), _AT_ONCE)):
            self.since, directory, name, identity = files[0]
            if not all_ and self.since + CONFIRM > now:
                return
            files.popleft()
            told = directory.alive and directory.files.get(name) == identity
            if told and name not in directory.arrivals:
                yield directory, name, identity
        self.since = files[0][0] if files else math.inf
