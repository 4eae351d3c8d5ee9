"""How many importers there are: as many as were asked for, not counting those that wait long.

An importer may be parked for long: its disk does not answer, or OMERO takes an hour
for one import.  Another importer takes its place until it goes on.  So neither the
share nor the plate of one user stops the imports of the others.

One share may have more users than there are places.  So a share that has enough parked importers
gets no more of them until one goes on.  While one is parked there, those that are not parked count
too: each of them may be the next, and one that was slow for a moment may have got a substitute.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.disks.calls import CALLS, Calls
from omero_fs_plugin.dropbox.disks.devices import DEVICES
from omero_fs_plugin.dropbox.journal.records import Fileset

log = logging.getLogger(__name__)

SLOW_S = 0.5  # a disk that takes longer is no reason for others to wait
LONG_S = 120.0  # the others do not wait for an import that takes longer
_READ_S = 2.0  # an import that is faster does not read a file for long
_MOST_AT_ONE_DISK = 3  # the parked importers of a disk that gets no more of them
# The most threads, with the parked ones, or twice as many as were asked for: all of these may be
# parked at one disk.  Each thread has at most one session.
_MOST = 32


@dataclass(frozen=True, eq=False)
class Work:
    """The import that one importer is doing."""

    user: str
    root: str
    path: str  # of a file in `root`
    thread: int
    since: float  # s, monotonic


def disk_of(root: str) -> str:
    """The disk that `root` lies on, by name.  Asks no disk."""
    return DEVICES.of(ROOTS.without_links(root))


class Crew:
    """The threads of the importers.  Thread-safe.

    Each runs `work`, which returns if `is_spare` is true for its thread, or at the stop.
    """

    def __init__(
        self,
        number: int,
        work: Callable[[], None],
        *,
        calls: Calls = CALLS,
        disk_of: Callable[[str], str] = disk_of,
    ) -> None:
        self._number = number
        self._run = work
        self._calls = calls
        self._disk_of = disk_of
        self._lock = threading.Lock()
        self._works: set[Work] = set()
        self._made = 0
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self.trouble = ""  # why there are too few threads; empty: there are enough

    def start(self) -> None:
        """Starts as many threads as were asked for."""
        self.relieve()

    def relieve(self) -> None:
        """Starts a thread in the place of each that is parked."""
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if self._stopped:
                return
            missing = self._number + len(self._parked()) - len(self._threads)
            lost = self._calls.lost_threads()  # few: see MOST_LOST
            gone = sum(thread.ident in lost for thread in self._threads)
            most = max(2 * self._number, _MOST) + min(gone, _MOST)
            for _ in range(min(missing, most - len(self._threads))):
                # A daemon: a call that hangs must not keep the process from ending.
                thread = threading.Thread(
                    target=self._run, name=f"importer-{self._made + 1}", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:  # too many threads, or too little memory
                    if not self.trouble:
                        log.error("an importer cannot be started: %s; trying again", error)
                    self.trouble = f"an importer cannot be started: {error}"
                    return
                self._made += 1
                self._threads.append(thread)
            self.trouble = ""

    def is_spare(self) -> bool:
        """Whether there is a thread too many.  If so, the caller must end, and counts no more."""
        with self._lock:
            spare = len(self._threads) - len(self._parked()) > self._number
            me = threading.current_thread()
            if spare and me in self._threads:
                self._threads.remove(me)
                return True
            return False

    @contextmanager
    def at(self, filesets: Sequence[Fileset]) -> Iterator[None]:
        """A context manager for the import of `filesets`, which have one user and root."""
        first = filesets[0]
        me = threading.get_ident()
        work = Work(first.user, first.root, first.path, me, time.monotonic())
        with self._lock:
            self._works.add(work)
        self._calls.stir()
        try:
            yield
        finally:
            with self._lock:
                self._works.discard(work)

    def at_work(self) -> bool:
        """Whether something is imported, or an importer is still to be started."""
        return bool(self._works or self.trouble)

    def parked(self) -> list[Work]:
        """The imports under way that make no progress at the moment."""
        with self._lock:
            return self._parked()

    def crowded(self, roots: Callable[[], Collection[str]]) -> set[str]:
        """Those of `roots` that lie on disks that get no more importers for now.

        For such a disk enough importers wait, or some wait and enough are at work.
        Those whose call is lost do not count: their disk answers.
        """
        lost = self._calls.lost_threads()
        with self._lock:
            works = [work for work in self._works if work.thread not in lost]
        if len(works) < _MOST_AT_ONE_DISK:
            return set()
        away, threads = self._calls.waited_for(SLOW_S)
        waited = [threads.get(one.thread, one.root if one.root in away else "") for one in works]
        parked = Counter(self._disk_of(root) for root in waited if root)
        if not parked:
            return set()
        at_work = Counter(self._disk_of(one.root) for one in works)
        most = max(self._number, _MOST_AT_ONE_DISK)
        full = {
            disk
            for disk, number in parked.items()
            if number >= _MOST_AT_ONE_DISK or at_work[disk] >= most
        }
        if not full:
            return set()
        return {root for root in roots() if self._disk_of(root) in full}

    def reading(self) -> list[tuple[str, str]]:
        """(root, a file in it) of the imports that may be reading for longer than a moment."""
        now = time.monotonic()
        with self._lock:
            return [(w.root, w.path) for w in self._works if now - w.since > _READ_S]

    def stop(self, until: float) -> bool:
        """Adds no more threads.  True if all have ended by `until` (s, monotonic)."""
        with self._lock:
            self._stopped = True
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _parked(self) -> list[Work]:
        if not self._works:
            return []
        now, (roots, threads) = time.monotonic(), self._calls.waited_for(SLOW_S)
        return [
            work
            for work in self._works
            # Its own root's disk, which another thread may wait for, or one that it asks besides.
            if now - work.since > LONG_S or work.root in roots or work.thread in threads
        ]
