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

_LOOK_S = 5.0  # between two looks at the stores that wait in a root
_PART = 20  # ... or so many times the time that the last look took, whichever is longer


class Looks:
    """When the trees of the stores that wait are looked at.

    Rule: the looks at the stores of one root take a twentieth of the time, at most.
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
        self._due: dict[str, float] = {}  # root -> when (s) its stores are looked at next

    def look(self) -> None:
        """Looks at those that are due, each in the lane of its root."""
        with self._pipeline.files.lock:
            waiting = self._pipeline.lots.stores()
        now = self._clock()
        by_root: dict[str, list[str]] = {}
        for root, path in waiting:
            by_root.setdefault(root, []).append(path)
        self._due = {root: self._due.get(root, now + _LOOK_S) for root in by_root}
        for root, paths in by_root.items():
            if self._due[root] <= now:
                self._due[root] = now + _LOOK_S
                look = partial(self._look_at, root, paths)
                self._lanes.do(root, look, key="stores", beside="unread")

    def _look_at(self, root: str, paths: Iterable[str]) -> None:
        """Runs in the lane of `root`."""
        begun = self._clock()
        news: list[str] = []
        for path in paths:
            was = self._pipeline.stat_of(path)
            try:
                now = self._pipeline.outside.stat(path)
            except OSError as error:
                log.info("%s: %s", path, error)
                return
            if was is not None and not _is_as(was, now):
                news.append(path)
        ended = self._clock()
        if root in self._due:
            self._due[root] = ended + max(_LOOK_S, _PART * (ended - begun))
        if news:
            self._pipeline.heard(news, ended)


def _is_as(was: FileStat, now: FileStat | None) -> bool:
    return now is not None and (was, was.ctime_ns) == (now, now.ctime_ns)
