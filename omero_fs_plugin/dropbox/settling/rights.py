"""What waits, or has failed, because the server may not read a file: it is tried again.

Rule: it settles anew as soon as the rights of that file have changed.  No event tells of that, so
it does not matter when they do: before its reader says so, before the journal has it, or later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from omero_fs_plugin.dropbox.confine import UNREADABLE
from omero_fs_plugin.dropbox.confine.unreadable import named
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.grouping.filesets import Grouping

from .lots import Lot
from .pipeline import Pipeline
from .unread import Unread, unread

log = logging.getLogger(__name__)

_PART = 20  # looks at a root take at most one in so many of the time, however many are looked at


class Rights:
    """Notes what could not be read, and tells the pipeline when that may have changed.

    Thread-safe.  A file is forgotten only after the pipeline has heard of it.  `clock` gives s,
    monotonic.
    """

    def __init__(self, pipeline: Pipeline, lanes: Lanes, clock: Callable[[], float]) -> None:
        self._pipeline = pipeline
        self._lanes = lanes
        self._clock = clock
        self._unread = Unread()
        self._lock = threading.Lock()
        self._failed: dict[int, None] = {}  # filesets of which nobody has looked why they failed
        self._remembered = False  # whether it has what had failed before the start
        self._rests: dict[str, float] = {}  # root -> until when (s) it is not looked at

    @property
    def awaited(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._failed or not self._remembered or self._unread.roots())

    def answered(self, lot: Lot, grouping: Grouping) -> None:
        """Notes what could not be read for an answer about a lot.

        What counts is what its files were before they were read: they may be mended by now, and
        may even rest anew.
        """
        self._unread.note(lot.root, {path: lot.stats.get(path) for path in unread(grouping)})

    def failed(self, fileset: int) -> None:
        """An import has failed, on whichever machine.  The next look finds out why."""
        with self._lock:
            self._failed[fileset] = None

    def look(self) -> None:
        """Looks at all of them, each in the lane of its root.  Raises JournalError."""
        self._ask_the_journal()
        now = self._clock()
        for root in self._unread.roots():
            if now < self._rests.get(root, now):
                continue
            look = partial(self._look_at, root)
            self._lanes.do(root, look, key="unread", beside="unread")

    def _ask_the_journal(self) -> None:
        """Notes what could not be read for an import, and before the start.

        If the journal does not answer, the next look asks it again.
        """
        with self._lock:
            # Before the question: what fails again while it is asked about is asked about again.
            failed, self._failed = self._failed, {}
        if self._remembered and not failed:
            return
        try:
            journal, which = self._pipeline.journal, list(failed) if self._remembered else None
            for root, reason in journal.blamed(UNREADABLE, which):
                if path := named(reason):
                    self._unread.note(root, {path: None})
        except BaseException:
            with self._lock:
                self._failed = failed | self._failed
            raise
        self._remembered = True

    def _look_at(self, root: str) -> None:
        """Runs in the lane of `root`."""
        outside, begun = self._pipeline.outside, self._clock()
        try:
            news = self._unread.changed(root, outside.stat, outside.may_read)
        except RootAway as error:
            log.info("%s", error)
            return
        ended = self._clock()
        self._rests[root] = ended + _PART * (ended - begun)
        if news:
            self._pipeline.mended(list(news), self._clock())
            opened = [path for path, noted in news.items() if noted.opened is not None]
            self._pipeline.may_be_read(opened, self._clock())
            self._unread.taken(news)
            if self._unread.crowded(root):  # what changes here may change for those, too
                self._pipeline.files.unsure.add(root)
