"""DropBox as a whole: its parts, its threads, from start to stop.

FSServer ==> heard -> settle -> journal -> importers -> OMERO
               ^ rescan at start, after a lost monitor, and periodically
"""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from omero.grid import monitors

from omero_fs_plugin import __version__, icegrid
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.changes import digest, needs_restart
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import EVERYONE, Rule, Settings
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import regular_stat

from .importing.quarantine import Quarantine
from .importing.ways import Way, Ways
from .importing.workers import Importers
from .journal.journal import Journal
from .journal.keeper import LeaseKeeper
from .journal.lease import Holder, Lease
from .places import Places
from .settling.groupers import Groupers, choose
from .settling.outside import Outside
from .settling.pipeline import Pipeline
from .settling.settle import Settler
from .settling.writers import Writers
from .targets.sidecar import is_sidecar, wrong_in
from .users import Users
from .watching.rescan import oddity_at
from .watching.rescanner import Rescanner
from .watching.subscription import MonitorClient
from .watching.subscriptions import Subscriptions

log = logging.getLogger(__name__)

_GATHER_S = 0.1  # how long omero.fs.fileBatch files are gathered before fewer are looked at
_LEASE_S = 2.0  # that a stop waits for the lease to be released
_STEP_S = 0.5  # the longest time between two steps of the pipeline
_HEARD_AT_ONCE = 5_000  # files of notifications handed to the pipeline at once
_HEARD_MOST = 2_000  # notifications kept; more are answered by a rescan


class DropBox:
    """The whole service: its threads, from start to stop."""

    def __init__(self, communicator: Any, properties: Mapping[str, str]) -> None:
        self.ways = Ways(os.environ.get("OMERODIR"))
        settings, self._of_rules = self.ways.examine(read(properties))
        self.settings = settings
        self._seen = digest(properties)  # of the latest configuration, whether taken or not
        self._refused = ""  # what was wrong with a configuration that was not taken
        self._restart = ""  # what of a configuration is taken at the next start only
        me = Holder.me()
        self.journal = Journal(settings.journal_url, who=f"DropBox, {me.name()}")
        if self.journal.share:
            log.warning(
                "the journal %s lies on a network file system (%s): every write is slower there; "
                "omero.fs.journal may name a place on a local disk, or a PostgreSQL",
                self.journal.shown,
                self.journal.share,
            )
        self.omero = Omero.of(communicator, settings)
        self.users = Users(self.omero)
        self.places = Places(settings.rules)
        self.pipeline = Pipeline(
            self.journal,
            self.places,
            Settler(60.0),
            Outside(
                stat=regular_stat,
                is_user=self.users.is_user,
                oddity=oddity_at,
                is_there=os.path.isdir,
                written=Writers(self.places.watch_dir).of,
                advice=wrong_in,
                is_advice=is_sidecar,
                held=self._held,
            ),
        )
        self.grouping = choose(
            settings.bioformats_jars,
            os.environ.get("OMERODIR"),
            time_limit=settings.bioformats_timeout,
            memory=settings.bioformats_memory,
        )
        self.quarantine = Quarantine(settings.quarantine, self.places, self.journal)
        self.importers = Importers(
            self.journal,
            self.omero,
            places=self.places,
            number=settings.importers,
            held=self._held,
            import_duplicates=lambda: self.settings.duplicates == "import",
            quarantine=self.quarantine,
            changed=lambda fileset: self._heard([met.path for met in fileset.files]),
            ways=self.ways,
            address=(settings.host, settings.port),
        )
        self.groupers = Groupers(
            self.pipeline,
            self.grouping.make,
            readers=self.ways.readers,
            queued=self.importers.wake,
            failed=self.quarantine.take,
            complete_timeout=lambda: self.settings.complete_timeout,
        )
        self._events: queue.Queue[Sequence[str]] = queue.Queue(_HEARD_MOST)
        self._stopping = threading.Event()
        self.rescanner = Rescanner(self.pipeline, self.users, lambda: self.settings.rescan_interval)
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
            self._take(self.settings, self._of_rules)
            self.quarantine.sweep()
            self.pipeline.revisit(time.monotonic())
            # All of that may have taken long: nothing is imported on a guess.
            self.journal.make_sure()
            with self._beginning:
                if self._stopping.is_set():
                    return
                self._begun = True
                self.importers.start()
                log.info("files are grouped by %s: %s", self.grouping.name, self.grouping.why)
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
        self.settings = settings
        self.ways.apply(ways)
        self.places.apply(settings.rules)
        self.pipeline.settler.longest = settings.longest_wait or math.inf
        self.quarantine.directory = settings.quarantine
        self.omero.sessions_last(settings.time_to_live, settings.time_to_idle)
        self.importers.retry(settings.max_retries, settings.retry_interval)
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
                self._refused = "configuration: a defect kept it from being taken; see the log"
            self._seen = digest(properties)

    def _change(self, settings: Settings) -> None:
        settings, ways = self.ways.examine(settings)
        if settings.problems:
            self._refused = "; ".join(map(str, settings.problems))
            log.error("the changed configuration is refused: %s", self._refused)
            return
        self._refused = ""
        later = needs_restart(self.settings, settings)
        self._restart = ", ".join(later)
        if later:
            log.warning("changed, and taken at the next start of DropBox only: %s", self._restart)
        before = self.settings
        # What cannot be changed while we run stays what it was.
        self._take(
            replace(
                settings,
                data_dir=before.data_dir,
                importers=before.importers,
                host=before.host,
                port=before.port,
                journal=before.journal,
                server_id=before.server_id,
                client_id=before.client_id,
                client_adapter=before.client_adapter,
                bioformats_jars=before.bioformats_jars,
                bioformats_timeout=before.bioformats_timeout,
                bioformats_memory=before.bioformats_memory,
            ),
            ways,
        )
        self.rescanner.ask()

    def _held(self, user: str) -> str:
        """Why nothing of `user` is imported now: the configuration is at fault."""
        settings = self.settings
        if not settings.problems:
            return ""
        concerned = {"", user} | ({EVERYONE} if self.places.rule_for(user) is None else set())
        return "; ".join(str(p) for p in settings.problems if p.user in concerned)

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
        self.omero.close()
        self.journal.close()
        log.info("DropBox has stopped")

    def figures(self) -> dict[str, str]:
        """What `omero fs status` is told."""
        state, reason = "running", ""
        if not self._begun:
            holder = self._keeper.held_by
            state, reason = "starting", "what was left open is taken up again"
            if holder:
                state, reason = "waiting for the lease", f"it is held by {holder}"
        elif self.settings.problems and not self.settings.rules:
            state, reason = "misconfigured", "; ".join(map(str, self.settings.problems))
        elif self.rescanner.unavailable:
            state, reason = "watch directory unavailable", self.rescanner.unavailable
        elif self.rescanner.trouble:
            state, reason = "waiting for the journal", self.rescanner.trouble
        elif self.groupers.trouble:
            state, reason = "waiting for Bio-Formats", self.groupers.trouble
        elif self.importers.wrong:
            state, reason = "misconfigured", self.importers.wrong
        elif self.importers.away:
            state, reason = "waiting for OMERO", self.importers.away
        elif self.subscriptions.problem:
            state, reason = "waiting for FSServer", self.subscriptions.problem
        return {
            "state": state,
            "reason": reason,
            "version": __version__,
            **self.subscriptions.figures(),
            "journal": self.journal.shown,
            "pending": str(self.pipeline.pending()),
            "grouping": f"{self.grouping.name}: {self.grouping.why}",
            "busy": self.importers.busy,
            **self._importers_told(),
            **{f"progress.{n}": far for n, far in self.importers.progress().items()},
            **{
                f"problem.{number}": str(problem)
                for number, problem in enumerate(self.settings.problems, 1)
            },
            "seen": self._seen,
            "refused": self._refused,
            "restart": self._restart,
            **{f"left.{name}": why for name, why in self.users.unknown().items()},
            **{f"left.{user}": why for user, why in self.importers.stopped().items()},
            **{f"left.{path}": why for path, why in list(self.pipeline.files.left_alone.items())},
        }

    def _importers_told(self) -> dict[str, str]:
        told = {}
        for number, rule in enumerate(self.settings.rules, 1):
            choice = self.ways.of(rule).choice
            told[f"importer.{number}"] = f"{choice.importer}: {choice.why}"
            if choice.ignored:
                told[f"ignored.{number}"] = "; ".join(
                    f"{one}: {why}" for one, why in choice.ignored
                )
        return told

    def _activate(self, communicator: Any) -> Any:
        """The proxy under which FSServer notifies us."""
        settings = self.settings
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
            while len(paths) < self.settings.file_batch and time.monotonic() < gathered:
                paths.extend(self._events.get(timeout=max(0.0, gathered - time.monotonic())))
            while len(paths) < _HEARD_AT_ONCE:
                paths.extend(self._events.get_nowait())
        except queue.Empty:
            pass
        return paths
