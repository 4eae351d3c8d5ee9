"""Looks at the trees of stores.

FSServer watches only the top of a store.  One in its quiet period is looked at when that is over;
one that waits for something else is looked at from time to time, in case that has come.  Any other
is looked at from time to time too, because a chunk of it may have changed: soon again if it has
changed lately, and more seldom if not.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial

from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat

from .pipeline import Pipeline

log = logging.getLogger(__name__)

_LOOK_S = 5.0  # between two looks at the stores that wait in a root
_PART = 20  # ... or so many times the time that the last look took, whichever is longer
# Between two looks at a store that does not wait: a tenth of the time since its last change, within
# these bounds (s).
_SOONEST_S, _LATEST_S, _AGE_PART = 30.0, 600.0, 10
_KNOWN_S = 30.0  # between two questions to the journal which stores there are
_SPELL_S = 1.0  # so long are stores looked at, one after the other, before the root has a pause


class Looks:
    """When the trees of stores are looked at.

    Rule: the looks at the stores of one root that wait take a twentieth of the time, at most, and
    those at the others another twentieth.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lanes: Lanes,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`clock` and `wall` give s: monotonic, and since the epoch."""
        self._pipeline = pipeline
        self._lanes = lanes
        self._clock, self._wall = clock, wall
        self._asked = -math.inf  # when (s) the journal was asked which stores there are
        # Store -> when (s) it is looked at next, though it does not wait
        self._again: dict[str, float] = {}
        self._pause: dict[str, float] = {}  # root -> until when (s) none of these is looked at
        self._due: dict[str, float] = {}  # root -> when (s) its stores are looked at next

    def look(self) -> None:
        """Looks at those that are due, each in the lane of its root.  Raises JournalError."""
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
        self._look_again({path for _, path in waiting}, now)

    def _look_again(self, waiting: Collection[str], now: float) -> None:
        """Looks at those that do not wait."""
        if now >= self._asked + _KNOWN_S:
            self._asked = now
            known = self._pipeline.files.journal.stores()
            apart = [path for path in known if not self._pipeline.stores.around(path)]
            self._again = {path: self._again.get(path, now) for path in apart}
        by_root: dict[str, list[str]] = {}
        for path, due in sorted(self._again.items(), key=lambda one: one[1]):
            if due > now:
                break
            place = self._pipeline.files.places.place(path)
            if place is not None and path not in waiting and now >= self._pause.get(place.root, 0):
                by_root.setdefault(place.root, []).append(path)
        for root, paths in by_root.items():
            self._pause[root] = now + _LOOK_S
            look = partial(self._have_changed, root, paths)
            self._lanes.do(root, look, key="known stores", beside="unread")

    def _have_changed(self, root: str, paths: Iterable[str]) -> None:
        """Runs in the lane of `root`.  Those for which there is no time stay due."""
        begun = ended = self._clock()
        for path in paths:
            if ended - begun > _SPELL_S:
                break
            try:
                found = self._pipeline.outside.stat(path)
            except (OSError, ImportRefused) as error:
                log.info("%s: %s", path, error)
                self._again[path] = self._clock() + _LATEST_S
                continue
            ended = self._clock()
            age = self._wall() - found.ctime_ns / 10**9 if found is not None else math.inf
            self._again[path] = ended + min(max(_SOONEST_S, age / _AGE_PART), _LATEST_S)
            if found is not None:
                self._pipeline.scanned([Found(path, found)], ended)
        self._pause[root] = ended + max(_LOOK_S, _PART * (ended - begun))

    def _look_at(self, root: str, paths: Iterable[str]) -> None:
        """Runs in the lane of `root`."""
        begun = self._clock()
        news: list[str] = []
        for path in paths:
            was = self._pipeline.stat_of(path)
            try:
                now = self._pipeline.outside.stat(path)
            except RootAway as error:
                log.info("%s: %s", path, error)
                break
            except (OSError, ImportRefused) as error:  # of this store alone
                log.info("%s: %s", path, error)
                continue
            if was is not None and not _is_as(was, now):
                news.append(path)
        ended = self._clock()
        if root in self._due:
            self._due[root] = ended + max(_LOOK_S, _PART * (ended - begun))
        if news:
            self._pipeline.heard(news, ended)


def _is_as(was: FileStat, now: FileStat | None) -> bool:
    return now is not None and (was, was.ctime_ns) == (now, now.ctime_ns)
