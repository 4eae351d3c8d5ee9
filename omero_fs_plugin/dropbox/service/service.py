"""DropBox as a whole: its parts, its threads, from start to stop.

FSServer ==> heard -> settle -> journal -> importers -> OMERO
               ^ rescan at start, after a lost monitor, and periodically
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from omero.grid import monitors

from omero_fs_plugin import icegrid
from omero_fs_plugin.config.changes import digest
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import Rule, Settings
from omero_fs_plugin.dropbox.importing.ways import Way, Ways
from omero_fs_plugin.dropbox.journal.keeper import LeaseKeeper
from omero_fs_plugin.dropbox.journal.lease import Holder, Lease
from omero_fs_plugin.dropbox.watching.subscription import MonitorClient
from omero_fs_plugin.dropbox.watching.subscriptions import Subscriptions
from omero_fs_plugin.errors import FsError

from .configuration import Configuration
from .figures import figures
from .parts import put_together

log = logging.getLogger(__name__)

_GATHER_S = 0.1  # how long omero.fs.fileBatch files are gathered before fewer are looked at
_LEASE_S = 2.0  # that a stop waits for the lease to be released
_STEP_S = 0.5  # the longest time between two steps of the pipeline
_HEARD_AT_ONCE = 5_000  # files of notifications handed to the pipeline at once
_HEARD_MOST = 2_000  # notifications kept; more are answered by a rescan


class DropBox:
    """The whole service: its threads, from start to stop."""

    def __init__(self, communicator: Any, properties: Mapping[str, str]) -> None:
        ways = Ways(os.environ.get("OMERODIR"))
        settings, self._of_rules = ways.examine(read(properties))
        self.configuration = Configuration(settings, properties)
        me = Holder.me()
        self.parts = put_together(
            communicator,
            self.configuration,
            ways,
            who=f"DropBox, {me.name()}",
            heard=self._heard,
        )
        self.journal, self.pipeline = self.parts.journal, self.parts.pipeline
        self.rescanner, self.groupers = self.parts.rescanner, self.parts.groupers
        self.importers, self.quarantine = self.parts.importers, self.parts.quarantine
        self._events: queue.Queue[Sequence[str]] = queue.Queue(_HEARD_MOST)
        self._stopping = threading.Event()
        self._changes: queue.Queue[Mapping[str, str] | None] = queue.Queue()
        self.subscriptions = Subscriptions(
            communicator,
            self._activate(communicator),
            self.journal,
            server_id=settings.server_id,
            connected=self.rescanner.ask,
        )
        self._lease = Lease(self.journal, me)
        self._keeper = LeaseKeeper(
            self._lease, gained=lambda: self._beginner.start(), lost=self._lost
        )
        self._give_up = communicator.shutdown
        self.ended = True  # stopped, and no thread left behind
        self._begun = False  # the lease is ours, and the threads below run
        self._beginning = threading.Lock()  # so that nothing begins after a stop
        # A daemon: it may meet a share that hangs.
        self._beginner = threading.Thread(target=self._begin, name="begin", daemon=True)
        self._threads = [
            threading.Thread(target=self._pipeline, name="pipeline"),
            threading.Thread(target=self._configure, name="configuration"),
        ]

    def start(self) -> None:
        """Begins to work as soon as no other DropBox does on this journal."""
        self._keeper.start()

    def _begin(self) -> None:
        """What the journal left open goes on, now that the lease is ours."""
        try:
            self.journal.work_as(self._lease.held, lost=lambda: self._lost("another took it"))
            self._take(self.configuration.settings, self._of_rules)
            self.quarantine.sweep()
            self.pipeline.revisit(time.monotonic())
            # All of that may have taken long: nothing is imported on a guess.
            self.journal.make_sure()
            with self._beginning:
                if self._stopping.is_set():
                    return
                self._begun = True
                self.importers.start()
                grouping = self.parts.grouping
                log.info("files are grouped by %s: %s", grouping.name, grouping.why)
                self.groupers.start()
                for thread in self._threads:
                    thread.start()
                self.rescanner.start()
        except FsError as error:
            log.error("cannot begin; ending: %s", error)
            self._give_up()
        except Exception:
            log.exception("cannot begin; ending")
            self._give_up()

    def _lost(self, why: str) -> None:
        if not self._stopping.is_set():
            log.error("the lease is lost: %s; ending", why)
        self._stopping.set()
        self._give_up()

    def _take(self, settings: Settings, ways: dict[Rule, Way]) -> None:
        """From now on `settings` hold; what waits or is being imported goes on."""
        for rule in settings.rules:
            if rule.watch_dir.parent == settings.data_dir:  # ours to make
                rule.watch_dir.mkdir(parents=True, exist_ok=True)
        for problem in settings.problems:
            log.error("%s", problem)
        for warning in settings.warnings:
            log.warning("%s", warning)
        for rule in settings.rules:
            choice = ways[rule].choice
            log.info("watching for %s; %s imports: %s", rule.name, choice.importer, choice.why)
            for argument, why in choice.ignored:
                log.warning("omero.fs.importArgs: %s changes nothing: %s", argument, why)
        self.configuration.settings = settings
        self.parts.apply(settings, ways)
        self.subscriptions.apply(settings.rules, platform_check=settings.platform_check)
        self.importers.wake()

    def reconfigure(self, properties: Mapping[str, str]) -> None:
        """What IceGrid calls with properties that have changed; they are looked at soon."""
        self._changes.put(properties)

    def _configure(self) -> None:
        while (properties := self._changes.get()) is not None:
            try:
                self._change(read(properties))
            except Exception:
                log.exception("the changed configuration could not be taken")
                self.configuration.refused = (
                    "configuration: a defect kept it from being taken; see the log"
                )
            self.configuration.seen = digest(properties)

    def _change(self, settings: Settings) -> None:
        settings, ways = self.parts.ways.examine(settings)
        taken = self.configuration.changed(settings)
        if taken is not None:
            self._take(taken, ways)
            self.rescanner.ask()

    def stop(self) -> None:
        """Ends every thread; what was being imported is finished or given back."""
        self._stopping.set()
        self.rescanner.ask_to_stop()
        self._changes.put(None)
        with self._beginning:
            begun = self._begun
        if begun:
            self.importers.ask_to_stop()
            for thread in self._threads:
                thread.join()
            self.rescanner.stop()
            self.groupers.stop()
            self.ended = self.importers.stop()
        self.subscriptions.stop()
        self._keeper.stop(_LEASE_S)
        self.parts.omero.close()
        self.journal.close()
        log.info("DropBox has stopped")

    def figures(self) -> dict[str, str]:
        """What `omero fs status` is told."""
        return figures(
            self.parts,
            self.subscriptions,
            self.configuration,
            begun=self._begun,
            held_by=self._keeper.held_by,
        )

    def _activate(self, communicator: Any) -> Any:
        """The proxy under which FSServer notifies us."""
        settings = self.configuration.settings
        adapter = communicator.createObjectAdapter(settings.client_adapter)
        identity = communicator.stringToIdentity(settings.client_id)
        adapter.add(MonitorClient(self._heard, self.rescanner.ask), identity)
        communicator.addAdminFacet(icegrid.StatusFacet(self.figures), icegrid.STATUS_FACET)
        adapter.activate()
        # Direct: FSServer need not ask the locator, and a restarted DropBox,
        # which has another port, makes a monitor of its own.
        return monitors.MonitorClientPrx.uncheckedCast(adapter.createDirectProxy(identity))

    def _heard(self, paths: Sequence[str]) -> None:
        try:
            self._events.put_nowait(paths)
        except queue.Full:
            self.rescanner.ask("more events than can be kept")

    def _pipeline(self) -> None:
        while not self._stopping.is_set():
            try:
                self.pipeline.heard(self._next_events(), time.monotonic())
                if self.pipeline.step(time.monotonic()):
                    self.groupers.wake()
            except FsError as error:
                log.error("%s", error)
                self.rescanner.failed(str(error))
            except Exception:
                log.exception("a step of the pipeline failed")
                self.rescanner.failed()

    def _next_events(self) -> list[str]:
        """What was heard, after waiting for it no longer than until something may be due."""
        due = self.pipeline.settler.next_due()
        wait = _STEP_S if due is None else min(_STEP_S, max(0.01, due - time.monotonic()))
        paths: list[str] = []
        try:
            paths.extend(self._events.get(timeout=wait))
            # A fileset's files come together: better looked at together.
            gathered = time.monotonic() + _GATHER_S
            while (
                len(paths) < self.configuration.settings.file_batch and time.monotonic() < gathered
            ):
                paths.extend(self._events.get(timeout=max(0.0, gathered - time.monotonic())))
            while len(paths) < _HEARD_AT_ONCE:
                paths.extend(self._events.get_nowait())
        except queue.Empty:
            pass
        return paths
