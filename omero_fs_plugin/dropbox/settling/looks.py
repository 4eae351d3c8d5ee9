"""Looks at the trees of the stores that wait.

FSServer watches only the top of a store.  One in its quiet period is looked at when that is over;
one that waits for something else is looked at from time to time, in case that has come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.events import FileStat

from .pipeline import Pipeline

log = logging.getLogger(__name__)

_LOOK_S = 5.0  # between two looks at a store that waits
_PART = 20  # ... or so many times the time that the last look took, whichever is longer


class Looks:
    """When the trees of the stores that wait are looked at.

    Rule: the looks at one store take a twentieth of the time, at most.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lanes: Lanes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._lanes = lanes
        self._clock = clock
        self._due: dict[str, float] = {}  # store -> when (s) it is looked at next

    def look(self) -> None:
        """Looks at those that are due, each in the lane of its root."""
        with self._pipeline.files.lock:
            waiting = self._pipeline.lots.stores()
        now = self._clock()
        self._due = {path: self._due.get(path, now + _LOOK_S) for _, path in waiting}
        by_root: dict[str, list[str]] = {}
        for root, path in waiting:
            if self._due[path] <= now:
                self._due[path] = now + _LOOK_S
                by_root.setdefault(root, []).append(path)
        for root, paths in by_root.items():
            self._lanes.do(root, partial(self._look_at, root, paths), key="stores", beside="unread")

    def _look_at(self, root: str, paths: Iterable[str]) -> None:
        """Runs in the lane of `root`."""
        for path in paths:
            begun = self._clock()
            was = self._pipeline.stat_of(path)
            try:
                now = self._pipeline.outside.stat(path)
            except OSError as error:
                log.info("%s: %s", path, error)
                return
            ended = self._clock()
            if path in self._due:
                self._due[path] = ended + max(_LOOK_S, _PART * (ended - begun))
            if was is not None and not _is_as(was, now):
                self._pipeline.heard([path], ended)


def _is_as(was: FileStat, now: FileStat | None) -> bool:
    return now is not None and (was, was.ctime_ns) == (now, now.ctime_ns)
