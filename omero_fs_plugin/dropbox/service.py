"""DropBox as a whole: its parts, its threads, from start to stop.

FSServer ==> heard -> settle -> journal -> importers -> OMERO
               ^ rescan at start, after a lost monitor, and periodically
"""

from __future__ import annotations

import logging
import math
import os
import queue
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from omero.grid import monitors

from .. import __version__, icegrid
from ..errors import FsError
from ..events import regular_stat
from ..sessions import Omero
from ..settings import Settings
from .journal import Journal
from .lease import EXPIRES, RENEW, Holder, Lease
from .pipeline import Pipeline, Places
from .quarantine import Quarantine
from .records import Found
from .rescan import oddity_at, top, walk
from .settle import Settler
from .subscription import MonitorClient, Subscription
from .users import Users
from .workers import Importers
from .writers import Writers

log = logging.getLogger(__name__)

_GATHER_S = 0.1  # how long omero.fs.fileBatch files are gathered before fewer are looked at
_STEP_S = 0.5  # the longest time between two steps of the pipeline
_HEARD_AT_ONCE = 5_000  # files of notifications handed to the pipeline at once
_HEARD_MOST = 2_000  # notifications kept; more are answered by a rescan
_FIRST_S = 30.0  # how long a monitor is waited for before the first rescan
_UNKNOWN_S = 60.0  # how often a directory that was no user's is looked up again
_WALKED = 2_000  # files handed to the pipeline at once


class DropBox:
    """The whole service: its threads, from start to stop."""

    def __init__(self, communicator: Any, settings: Settings) -> None:
        self.settings = settings
        settings.watch_dir.mkdir(parents=True, exist_ok=True)
        me = Holder.me()
        self.journal = Journal(settings.journal_url, who=f"DropBox, {me.name()}")
        if self.journal.share:
            log.warning(
                "the journal %s lies on a network file system (%s): every write is slower there; "
                "omero.fs.journal may name a place on a local disk, or a PostgreSQL",
                self.journal.shown,
                self.journal.share,
            )
        self.omero = Omero(
            communicator,
            host=settings.host,
            port=settings.port,
            time_to_live=settings.time_to_live,
            time_to_idle=settings.time_to_idle,
        )
        self.users = Users(self.omero)
        places = Places(str(settings.watch_dir))
        self.pipeline = Pipeline(
            journal=self.journal,
            places=places,
            settler=Settler(settings.quiet_period, settings.longest_wait or math.inf),
            stat=regular_stat,
            is_user=self.users.is_user,
            oddity=oddity_at,
            is_there=os.path.isdir,
            written=Writers(str(settings.watch_dir)).of,
        )
        self.quarantine = Quarantine(settings.quarantine, places, self.journal)
        self.importers = Importers(
            self.journal,
            self.omero,
            places=places,
            number=settings.importers,
            throttle=settings.throttle_import,
            import_duplicates=settings.import_duplicates,
            quarantine=self.quarantine,
            changed=lambda path: self._heard([path]),
        )
        self._events: queue.Queue[Sequence[str]] = queue.Queue(_HEARD_MOST)
        self._stopping = threading.Event()
        self._rescan = threading.Event()
        self._unavailable = ""
        self._trouble = ""  # why the last step or rescan failed; a rescan that succeeds ends it
        self.subscription = Subscription(
            communicator,
            settings,
            self._activate(communicator),
            connected=self._rescan.set,
            note=lambda monitor: self.journal.note("monitor", monitor),
            noted=lambda: self.journal.noted("monitor"),
        )
        self._lease = Lease(self.journal, me)
        self._lease_keeper = threading.Thread(target=self._keep_lease, name="lease")
        self._give_up = communicator.shutdown
        self.ended = True  # stopped, and no thread left behind
        self._begun = False  # the lease is ours, and the threads below run
        self._threads = [
            threading.Thread(target=self._pipeline, name="pipeline"),
            threading.Thread(target=self._rescans, name="rescan"),
        ]

    def start(self) -> None:
        """Begins to work as soon as no other DropBox does on this journal."""
        self._lease_keeper.start()

    def _begin(self) -> None:
        """What the journal left open goes on."""
        self.quarantine.sweep()
        self.pipeline.revisit(time.monotonic())
        self.importers.start()
        for thread in self._threads:
            thread.start()
        self.subscription.start()
        self._begun = True

    def _keep_lease(self) -> None:
        asked, waited_for = time.monotonic(), ""
        while True:
            now = time.monotonic()
            try:
                mine = self._lease.hold(now)
                asked = now
            except FsError as error:
                log.error("lease: %s", error)
                mine = self._begun and now - asked < EXPIRES / 2
            if mine and not self._begun:
                try:
                    self._begin()
                except Exception:
                    log.exception("cannot begin; ending")
                    self._give_up()
                    return
            elif self._begun and not mine:
                # Another took over while we stood still: it resolves what we
                # leave, and we begin anew behind it.
                log.error("the lease is lost to %s; ending", self._lease.held_by or "another")
                self._give_up()
                return
            elif not mine and self._lease.held_by != waited_for:
                waited_for = self._lease.held_by
                log.info("waiting for the lease, held by %s", waited_for)
            if self._stopping.wait(RENEW if mine else 1.0):
                return

    def stop(self) -> None:
        """Ends every thread; what was being imported is finished or given back."""
        self._stopping.set()
        self._rescan.set()
        self._lease_keeper.join()
        if self._begun:
            self.importers.ask_to_stop()
            self.subscription.stop()
            for thread in self._threads:
                thread.join()
            self.ended = self.importers.stop()
            try:
                self._lease.release()
            except FsError as error:
                log.warning("releasing the lease: %s", error)
        self.omero.close()
        self.journal.close()
        log.info("DropBox has stopped")

    def figures(self) -> dict[str, str]:
        """What `omero fs status` is told."""
        state, reason = "running", ""
        if not self._begun:
            holder = self._lease.held_by
            state, reason = "waiting for the lease", f"it is held by {holder}" if holder else ""
        elif self._unavailable:
            state, reason = "watch directory unavailable", self._unavailable
        elif self._trouble:
            state, reason = "waiting for the journal", self._trouble
        elif self.importers.away:
            state, reason = "waiting for OMERO", self.importers.away
        elif self.subscription.problem:
            state, reason = "waiting for FSServer", self.subscription.problem
        return {
            "state": state,
            "reason": reason,
            "version": __version__,
            "monitor": self.subscription.monitor,
            "watchDir": str(self.settings.watch_dir),
            "journal": self.journal.shown,
            "pending": str(self.pipeline.pending()),
            **{f"left.{name}": why for name, why in self.users.unknown().items()},
            **{f"left.{user}": why for user, why in self.importers.stopped().items()},
            **{f"left.{path}": why for path, why in list(self.pipeline.left_alone.items())},
        }

    def _activate(self, communicator: Any) -> Any:
        """The proxy under which FSServer notifies us."""
        settings = self.settings
        adapter = communicator.createObjectAdapter(settings.client_adapter)
        identity = communicator.stringToIdentity(settings.client_id)
        adapter.add(MonitorClient(self._heard, self._missed), identity)
        communicator.addAdminFacet(icegrid.StatusFacet(self.figures), icegrid.STATUS_FACET)
        adapter.activate()
        # Direct: FSServer need not ask the locator, and a restarted DropBox,
        # which has another port, makes a monitor of its own.
        return monitors.MonitorClientPrx.uncheckedCast(adapter.createDirectProxy(identity))

    def _heard(self, paths: Sequence[str]) -> None:
        try:
            self._events.put_nowait(paths)
        except queue.Full:
            self._missed("more events than can be kept")

    def _missed(self, why: str) -> None:
        if not self._rescan.is_set():
            log.info("rescanning: %s", why)
            self._rescan.set()

    def _pipeline(self) -> None:
        while not self._stopping.is_set():
            try:
                self.pipeline.heard(self._next_events(), time.monotonic())
                if self.pipeline.step(time.monotonic()):
                    self.importers.wake()
            except FsError as error:
                log.error("%s", error)
                self._trouble = str(error)
                self._again()
            except Exception:
                log.exception("a step of the pipeline failed")
                self._again()

    def _again(self) -> None:
        """What a failed step dropped is found by looking at the disk again, until that succeeds."""
        self._rescan.set()
        self._stopping.wait(5 * _STEP_S)

    def _next_events(self) -> list[str]:
        """What was heard, after waiting for it no longer than until something may be due."""
        due = self.pipeline.settler.next_due()
        wait = _STEP_S if due is None else min(_STEP_S, max(0.01, due - time.monotonic()))
        paths: list[str] = []
        try:
            paths.extend(self._events.get(timeout=wait))
            # A fileset's files come together: better looked at together.
            gathered = time.monotonic() + _GATHER_S
            while len(paths) < self.settings.file_batch and time.monotonic() < gathered:
                paths.extend(self._events.get(timeout=max(0.0, gathered - time.monotonic())))
            while len(paths) < _HEARD_AT_ONCE:
                paths.extend(self._events.get_nowait())
        except queue.Empty:
            pass
        return paths

    def _rescans(self) -> None:
        """Rescans when asked to, and from time to time by itself."""
        # The monitor, once it watches, asks for the first.
        next_whole = time.monotonic() + _FIRST_S
        first = True
        while not self._stopping.is_set():
            now = time.monotonic()
            asked = self._rescan.wait(min(_UNKNOWN_S, max(0.0, next_whole - now)))
            if self._stopping.is_set():
                return
            if not asked and time.monotonic() < next_whole:
                for name in self.users.unknown():
                    if self.users.look_up(name):
                        log.info("%s is an OMERO user now", name)
                        self._rescan.set()
                if self.pipeline.unsure:
                    self._rescan.set()
                continue
            self._rescan.clear()
            try:
                self._scan(hasty=asked or first)
                first = False
                self._trouble = ""
            except FsError as error:
                log.error("rescan: %s", error)
                self._trouble = str(error)
                self._again()
            except Exception:
                log.exception("the rescan failed")
                self._again()
            # Jittered, so that many servers on one share do not look together.
            jitter = random.uniform(0.9, 1.1)
            interval = self.settings.rescan_interval or math.inf  # 0: only when asked
            next_whole = time.monotonic() + interval * jitter

    def _scan(self, *, hasty: bool) -> None:
        """Looks at the whole tree; unless `hasty`, no more than half of the time."""
        watch_dir = str(self.settings.watch_dir)
        begun, number = time.monotonic(), 0
        try:
            names, strays = top(watch_dir)
        except OSError as error:
            self._unavailable = f"{watch_dir}: {error.strerror}"
            log.error("%s", self._unavailable)
            return
        self._unavailable = ""
        self.users.keep(names)
        self.pipeline.left_alone.clear()  # what is left still is met again below
        self.pipeline.scanned(strays, time.monotonic())
        for name in names:
            if self._stopping.is_set():
                return
            if not self.users.look_up(name):
                continue
            batch: list[Found] = []
            begun_batch = time.monotonic()
            for met in walk(f"{watch_dir}/{name}", self.pipeline.leave_alone):
                batch.append(met)
                if len(batch) == _WALKED:
                    number += len(batch)
                    self.pipeline.scanned(batch, time.monotonic())
                    batch = []
                    took = time.monotonic() - begun_batch
                    if self._stopping.wait(0.0 if hasty else took):
                        return
                    begun_batch = time.monotonic()
            number += len(batch)
            self.pipeline.scanned(batch, time.monotonic())
        self.pipeline.revisit(time.monotonic())
        log.info("rescan: %d files in %.1f s", number, time.monotonic() - begun)
