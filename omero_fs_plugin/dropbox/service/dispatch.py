"""Hands the files FSServer told of, and those that may be at rest, to the lane of their root.

Rule: this thread asks no disk, no OMERO and nothing else that may not answer.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from omero_fs_plugin.dropbox.confine import open_beneath, try_root
from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.disks.calls import Calls, RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.disks.trials import Trials
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.errors import FsError, ImportRefused

log = logging.getLogger(__name__)

_GATHER_S = 0.1  # how long we gather files, up to omero.fs.fileBatch, before we look at them
_STEP_S = 0.5  # the longest time between two looks at what is due
_BUSY_S = 0.25  # ... while something is imported, which a disk may hold up
_IDLE_S = 1.0  # ... while nothing is in its quiet period; what is heard ends the wait
_HEARD_AT_ONCE = 5_000  # the most files of notifications that are handed on at once
_HEARD_MOST = 2_000  # the most notifications that are kept; if there are more, we rescan
_KEPT_MOST = 100_000  # the most files of one root that wait for its disk; if more, we rescan
_PROBE_S = 5.0  # how often we ask a disk whether it answers while another process reads it
# How often we look whether a root is still the one that was taken.  While nothing happens, the
# thread sleeps until then, or until something begins.
_LOOK_S = 30.0


class Dispatch:
    """The thread that keeps DropBox going.

    `batch` gives omero.fs.fileBatch, and `reading` gives the files that other processes read
    for us, as (root, path).  The others are called:

    - `rested` when files have come to rest;
    - `failed` with what went wrong in a lane (empty: a defect, see the log);
    - `back` with a root that answers again;
    - `missed` if more is heard than can be kept;
    - `tend` at each look;
    - `look` with a root, to see whether it is still the one that was taken;
    - `trial` with one that does not answer, to see whether it does after all.  It raises OSError.

    `clock`: seconds, monotonic; `busy` says whether something is imported, and `awake` whether
    `tend` has something to do though nothing begins.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lanes: Lanes,
        *,
        batch: Callable[[], int],
        rested: Callable[[], None],
        failed: Callable[[str], None],
        back: Callable[[str], None],
        missed: Callable[[str], None],
        reading: Callable[[], Iterable[tuple[str, str]]] = tuple,
        tend: Callable[[], None] = lambda: None,
        busy: Callable[[], bool] = lambda: False,
        awake: Callable[[], bool] = lambda: False,
        look: Callable[[str], object] = ROOTS.look,
        trial: Callable[[str], object] = try_root,
        clock: Callable[[], float] = lambda: time.monotonic(),
    ) -> None:
        self._pipeline = pipeline
        self._lanes = lanes
        self._calls = lanes.calls
        self._trials = Trials(lanes, trial)
        self._look_at = look
        self._clock = clock
        self._batch = batch
        self._rested = rested
        self._failed = failed
        self._back = back
        self._missed = missed
        self._reading = reading
        self._tend = tend
        self._busy = busy
        self._awake = awake
        self._events: queue.Queue[Sequence[str]] = queue.Queue(_HEARD_MOST)
        self._lock = threading.Lock()
        self._heard: dict[str, list[str]] = {}  # root -> the paths heard of it, in order
        self._stepping: set[str] = set()  # roots whose lane has a step to take, or takes it
        self._away: set[str] = set()  # roots that the log says are away
        self._seen_away: dict[str, float] = {}  # root -> the last time away that `back` knows of
        self._probed = 0.0
        self._looked = 0.0
        self._stopping = threading.Event()
        # A daemon: the journal may hold it.
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._pipeline.settler.begun = self._wake
        self._seen_away = self._calls.were_away()
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begins no more work."""
        self._stopping.set()
        self._wake()

    def stop(self, until: float) -> bool:
        """Ends the thread; whether it has ended at `until` (s, monotonic)."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()

    def heard(self, paths: Sequence[str]) -> None:
        """FSServer told of `paths`.  Returns at once."""
        try:
            self._events.put_nowait(paths)
        except queue.Full:
            self._missed("more events than can be kept")

    def _wake(self) -> None:
        try:
            self._events.put_nowait(())
        except queue.Full:
            return  # the thread is awake

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._hand_out(self._next_events())
                self._step()
                self._look_at_disks()
                self._tend()
            except FsError as error:
                log.error("%s", error)
                self._failed(str(error))
            except Exception:
                log.exception("could not hand out the files that are heard of or due")
                self._failed("")

    def _next_events(self) -> list[str]:
        """Waits for paths to be heard, but no longer than until something may be due."""
        with self._lock:
            busy = set(self._stepping)
        due = self._pipeline.next_due(busy | self._calls.away().keys())
        longest = _BUSY_S if self._busy() else _IDLE_S if due is None else _STEP_S
        if longest == _IDLE_S and self._may_sleep():
            longest = max(0.01, self._looked + _LOOK_S - self._clock())
        wait = longest if due is None else min(longest, max(0.01, due - self._clock()))
        paths: list[str] = []
        try:
            paths.extend(self._events.get(timeout=wait))
            if not paths:
                return paths
            # A fileset's files come together, so it is better to look at them together.
            gathered = self._clock() + _GATHER_S
            while len(paths) < self._batch() and self._clock() < gathered:
                paths.extend(self._events.get(timeout=max(0.0, gathered - self._clock())))
            while len(paths) < _HEARD_AT_ONCE:
                paths.extend(self._events.get_nowait())
        except queue.Empty:
            pass
        return paths

    def _may_sleep(self) -> bool:
        """Whether nothing happens now.  If so, whatever begins wakes this thread."""
        with self._lock:
            at_work = bool(self._stepping or self._heard)
        return not (
            at_work
            or self._pipeline.pending()
            or self._lanes.trouble
            or self._awake()
            or self._away
            or any(self._reading())
            or not self._calls.tell_of_next(self._wake)
            # Last: after that, nothing can go away without our being told.
            or self._have_been_away()
        )

    def _have_been_away(self) -> dict[str, float]:
        """Roots that answer again -> when (s) they did not.  `back` does not know of them yet."""
        away = self._calls.were_away()
        return {root: at for root, at in away.items() if at > self._seen_away.get(root, 0.0)}

    def _hand_out(self, paths: Sequence[str]) -> None:
        by_root: dict[str, list[str]] = {}
        for path in paths:
            place = self._pipeline.places.place(path)
            by_root.setdefault(place.root if place is not None else "", []).append(path)
        for root, theirs in by_root.items():
            with self._lock:
                kept = self._heard.setdefault(root, [])
                kept += theirs
                too_many = len(kept) > _KEPT_MOST
                if too_many:
                    del self._heard[root]
            if too_many:
                self._pipeline.files.unsure.add(root)
                self._missed(f"more events of {root} than can be kept")
            else:
                self._lanes.do(root, partial(self._hear, root), key="heard")

    def _hear(self, root: str) -> None:
        """Runs in the lane of `root`."""
        with self._lock:
            paths = self._heard.pop(root, [])
        if self._stopping.is_set():
            return
        with self._telling():
            self._pipeline.heard(paths, self._clock())

    def _step(self) -> None:
        for root in self._pipeline.roots_due(self._clock()):
            if not self._calls.answers(root):
                continue
            with self._lock:
                if root in self._stepping:
                    continue
                self._stepping.add(root)
            self._lanes.do(root, partial(self._step_in, root), lost=partial(self._stepped, root))

    def _step_in(self, root: str) -> None:
        """Runs in the lane of `root`."""
        try:
            if self._stopping.is_set():
                return
            with self._telling():
                if self._pipeline.step(self._clock(), root):
                    self._rested()
        finally:
            self._stepped(root)

    def _stepped(self, root: str) -> None:
        with self._lock:
            self._stepping.discard(root)
        self._wake()

    def _telling(self) -> _Telling:
        return _Telling(self._failed)

    def _look_at_disks(self) -> None:
        self._lanes.tend()
        self._trials.begin()
        told = self._calls.told()
        for root in told.keys() - self._away:
            log.warning("%s: %s; DropBox leaves it alone until it answers", root, told[root])
        for root in self._away - told.keys():
            log.info("%s answers again", root)
        self._away = set(told)
        for root, at in self._have_been_away().items():
            if root not in told:
                self._seen_away[root] = at
                self._back(root)
        now = self._clock()
        if now - self._probed >= _PROBE_S:
            self._probed = now
            for root, path in self._reading():
                self._lanes.do(root, partial(_probe, self._calls, root, path), key="probe")
        if now - self._looked >= _LOOK_S:
            self._looked = now
            for rule in self._pipeline.places.rules:
                root = str(rule.watch_dir)
                self._lanes.do(root, partial(self._look_at_root, root), key="look")

    def _look_at_root(self, root: str) -> None:
        """People are told of a root that is not followed, also when nobody drops anything there."""
        with suppress(RootAway), self._calls.at(root):
            self._look_at(root)


class _Telling:
    """A context manager for work in a lane: reports what it raises, and the lane goes on."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        if kind is None or not isinstance(error, Exception):
            return False
        if isinstance(error, RootAway):
            log.debug("%s", error)
        elif isinstance(error, FsError):
            log.error("%s", error)
            self._failed(str(error))
        else:
            log.error("a step of the pipeline failed", exc_info=error)
            self._failed("")
        return True


def _probe(calls: Calls, root: str, path: str) -> None:
    """Reads a byte of a file that another process reads, to see whether the disk hangs."""
    # It may be gone, or away, or exchanged, as others will find.
    with suppress(OSError, ImportRefused), calls.at(root):
        descriptor = open_beneath(root, path)
        try:
            os.pread(descriptor, 1, max(0, os.fstat(descriptor).st_size - 1))
        finally:
            os.close(descriptor)
