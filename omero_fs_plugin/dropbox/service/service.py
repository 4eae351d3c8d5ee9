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
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from omero_fs_plugin import icegrid
from omero_fs_plugin.config.changes import digest
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.properties import BY_NAME
from omero_fs_plugin.config.settings import Rule, Settings
from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.dropbox.importing.methods import Method, Methods
from omero_fs_plugin.dropbox.journal.file import sqlite_file
from omero_fs_plugin.dropbox.journal.keeper import LeaseKeeper
from omero_fs_plugin.dropbox.journal.lease import Holder, Lease
from omero_fs_plugin.dropbox.journal.rounds import Rounds
from omero_fs_plugin.dropbox.journal.story import Story
from omero_fs_plugin.dropbox.settling.groupers import readers_there
from omero_fs_plugin.errors import FsError

from .configuration import Configuration
from .dispatch import Dispatch
from .figures import figures, troubles
from .hearing import Hearing
from .hearsay import Hearsay
from .parts import put_together
from .showing import Showing
from .standby import Standby

log = logging.getLogger(__name__)

_NODES_S = 2.0  # between two looks at what importers on other machines do
_LEASE_S = 2.0  # that a stop waits for the lease to be released
_STORY_S = 1.0  # ... and for the log to tell the rest
_TAKE_S = 1.0  # that the directories of a configuration may take to answer
_METRICS_S = 1.0  # ... and for a disk on which the metrics lie
_LETTER_S = 1.0  # ... for a letter that is being sent: it is in the journal
_PUBLISH_S = 1.0  # ... for a document that is being written: it is written again
_STOP_S = 6.0  # ... and for whatever is under way


class DropBox:
    """The whole service: its threads, from start to stop."""

    def __init__(self, communicator: Any, properties: Mapping[str, str]) -> None:
        methods = Methods(os.environ.get("OMERODIR"), readers_there)
        settings, self._of_rules = methods.examine(read(properties))
        self.configuration = Configuration(settings, properties)
        self._given = self.configuration.seen  # of the latest, also if it is not looked at yet
        me = self._me = Holder.me()
        self._who = f"DropBox, {me.name()}"
        self.parts = put_together(
            communicator,
            self.configuration,
            methods,
            who=self._who,
            heard=lambda paths: self.dispatch.heard(paths),
            troubles=lambda: troubles(self.parts, self.subscriptions, self.configuration),
        )
        self.journal, self.pipeline = self.parts.journal, self.parts.pipeline
        self.rescanner, self.groupers = self.parts.rescanner, self.parts.groupers
        self.importers, self.quarantine = self.parts.importers, self.parts.quarantine
        self.lanes = self.parts.lanes
        self.dispatch = Dispatch(
            self.pipeline,
            self.lanes,
            batch=lambda: self.configuration.settings.file_batch,
            rested=self.groupers.wake,
            failed=self.rescanner.failed,
            back=self.rescanner.look_at,
            missed=self.rescanner.ask,
            reading=lambda: [*self.importers.reading(), *self.groupers.reading()],
            tend=self.parts.tend,
            awake=lambda: bool(self.quarantine.staying or self.quarantine.wanted()),
            busy=self.importers.busy_at_work,
        )
        self._stopping = threading.Event()
        self._changes: queue.Queue[Mapping[str, str] | None] = queue.Queue()
        self.hearing = Hearing(
            communicator,
            settings,
            self.journal,
            dispatch=self.dispatch,
            rescanner=self.rescanner,
            places=self.parts.places,
            lanes=self.lanes,
            file_server_id=properties.get(BY_NAME["fileServerIdString"].key, "") or "FileServer",
        )
        self.subscriptions = self.hearing.subscriptions
        communicator.addAdminFacet(icegrid.StatusFacet(self.figures), icegrid.STATUS_FACET)
        self.hearing.activate()
        self.rescanner.besides.append(self.subscriptions.compare)
        self.showing = Showing(
            self.parts,
            self.configuration,
            troubles=lambda: troubles(self.parts, self.subscriptions, self.configuration),
            at_work=lambda: self._begun and not self._stopping.is_set(),
            fsservers=self.subscriptions.connections,
        )
        self._lease = Lease(self.journal, me)
        self._story = Story(self.journal)
        self._standby = Standby(self.journal, lambda: self._given)
        self._keeper = LeaseKeeper(
            self._lease, gained=self._gained, lost=self._lost, waits=self._standby.look
        )
        self._rounds: Rounds | None = None  # None: no other machine can share the journal
        self._give_up = partial(icegrid.shut_down, communicator)
        self.ended = True  # after `stop`: no thread is left behind
        self._begun = False  # the lease is ours, and the threads below run
        self._beginning = threading.Lock()  # so that nothing begins after a stop
        # A daemon: the journal may hold it.
        self._beginner = threading.Thread(target=self._begin, name="begin", daemon=True)
        self._configurer = threading.Thread(target=self._configure, name="configuration")

    def start(self) -> None:
        """Begins to work as soon as no other DropBox works on this journal."""
        self._keeper.start()
        self.showing.publisher.start()

    def _gained(self) -> None:
        with self._beginning:
            if not self._stopping.is_set():
                self._beginner.start()

    def _begin(self) -> None:
        """Takes up again what the journal left open, now that the lease is ours."""
        try:
            self.journal.work_as(self._lease.held, lost=lambda: self._lost("another took it"))
            self._standby.tell()
            self._story.start()
            rounds = self._rounds_among_nodes()
            self._take(self.configuration.settings, self._of_rules)
            self.parts.sweep()
            for user, root in self.journal.owners_waiting():
                self.lanes.do(root, partial(self._revisit, user, root))
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
                self.dispatch.start()
                self._configurer.start()
                self.rescanner.start()
                if rounds is not None:
                    self._rounds = rounds
                    rounds.start()
                if self._lease.taken_from:
                    former = self._lease.taken_from
                    self.parts.postman.happened(
                        "lease",
                        f"{former} ended without a stop, or hung; {self._me.name()} goes on",
                    )
                self.parts.postman.start()
                self.parts.caretaker.start()
                self.parts.publisher.start()
        except Exception as error:
            if self._stopping.is_set():
                log.info("stopped before it began: %s", error)
                return
            if isinstance(error, FsError):
                log.error("cannot begin; ending: %s", error)
            else:
                log.exception("cannot begin; ending")
            self._give_up()

    def _rounds_among_nodes(self) -> Rounds | None:
        """What looks after the importers of other machines, if there can be any."""
        if sqlite_file(self.configuration.settings.journal_url) is not None:
            return None
        hearsay = Hearsay(
            self.journal,
            self._who,
            changed=self.dispatch.heard,
            failed=self.parts.has_failed,
        )

        def looked() -> None:
            self.importers.elsewhere = rounds.others
            self.journal.tell_clock()
            hearsay.listen()

        rounds = Rounds(
            self.journal,
            self._me,
            adopted=self.importers.finish_too,
            looked=looked,
            renew=_NODES_S,
        )
        return rounds

    def _take_roots(self, roots: Sequence[str]) -> None:
        """Now, before anybody can exchange them; those that do not answer, when they do."""
        taken = threading.Semaphore(0)

        def take(root: str) -> None:
            try:
                with suppress(RootAway), CALLS.at(root):
                    ROOTS.look(root)
            finally:
                taken.release()

        for root in roots:
            self.lanes.do(root, partial(take, root))
        until = time.monotonic() + _TAKE_S
        for _ in roots:
            if not taken.acquire(timeout=max(0.0, until - time.monotonic())):
                log.warning("not all watched directories answer; those are taken when they do")
                return

    def _revisit(self, user: str, root: str) -> None:
        self.pipeline.revisit(time.monotonic(), (user, root))

    def _lost(self, why: str) -> None:
        if not self._stopping.is_set():
            log.error("the lease is lost: %s; ending", why)
        self._stopping.set()
        self._give_up()

    def _take(self, settings: Settings, methods: dict[Rule, Method]) -> None:
        """Puts `settings` into force.  What waits or is being imported goes on."""
        for rule in settings.rules:
            if rule.watch_dir.parent == settings.data_dir:  # ours to make
                make = partial(_make, rule.watch_dir)
                with suppress(RootAway):  # which is told, and goes on when it answers
                    self.lanes.ask(str(rule.watch_dir), make)
        for problem in settings.problems:
            log.error("%s", problem)
        for warning in settings.warnings:
            log.warning("%s", warning)
        for rule in settings.rules:
            choice = methods[rule].choice
            log.info("watching for %s; %s imports: %s", rule.name, choice.importer, choice.why)
            for argument, why in choice.ignored:
                log.warning("omero.fs.importArgs: %s changes nothing: %s", argument, why)
        self.configuration.settings = settings
        self.parts.apply(settings, methods)
        self._take_roots([str(rule.watch_dir) for rule in settings.rules])
        self.hearing.apply(settings)
        self.importers.wake()

    def reconfigure(self, properties: Mapping[str, str]) -> None:
        """IceGrid calls this with properties that have changed.  They are looked at soon."""
        self._given = digest(properties)
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
            try:
                self._standby.tell()
            except FsError as error:
                log.warning("a DropBox on standby will not know the new configuration: %s", error)

    def _change(self, settings: Settings) -> None:
        settings, methods = self.parts.methods.examine(settings)
        taken = self.configuration.changed(settings)
        if taken is not None:
            self._take(taken, methods)
            self.rescanner.ask()

    def stop(self) -> None:
        """Ends every thread.  What is being imported is finished or given back."""
        self._stopping.set()
        until = time.monotonic() + _STOP_S
        self.rescanner.ask_to_stop()
        self.parts.postman.ask_to_stop()
        self.parts.caretaker.ask_to_stop()
        self.parts.publisher.ask_to_stop()
        self._changes.put(None)
        with self._beginning:
            begun = self._begun
        if begun:
            self.importers.ask_to_stop()
            self.groupers.ask_to_stop()
            dispatched = self.dispatch.stop(until)
            if self._configurer.is_alive():  # it is not, if the begin failed before
                self._configurer.join(max(0.0, until - time.monotonic()))
            ended = [
                self.rescanner.stop(until),
                self.groupers.stop(until),
                self.importers.stop(until),
                self.lanes.stop(until),
                self.parts.postman.stop(min(until, time.monotonic() + _LETTER_S)),
                self.parts.caretaker.stop(until),
                self.parts.publisher.stop(min(until, time.monotonic() + _PUBLISH_S)),
                dispatched,
                not self._configurer.is_alive(),
            ]
            self.ended = all(ended)
        else:
            self.lanes.stop(until)
            if self._beginner.is_alive():  # it stops at its next step
                self._beginner.join(max(0.0, until - time.monotonic()))
                self.ended = not self._beginner.is_alive()
        self.hearing.stop()
        self.ended = self.showing.publisher.stop(_METRICS_S) and self.ended
        self.ended = self._story.stop(_STORY_S) and self.ended
        if self._rounds is not None:
            self.ended = self._rounds.stop(_LEASE_S) and self.ended
        self._keeper.stop(_LEASE_S)
        self.parts.omero.close()
        self.journal.close()
        log.info("DropBox has stopped")

    def figures(self) -> dict[str, str]:
        """What `omero fs status` shows of us."""
        told = figures(
            self.parts,
            self.subscriptions,
            self.configuration,
            begun=self._begun,
            held_by="; ".join(filter(None, (self._keeper.held_by, self._standby.difference))),
            no_journal=self._keeper.trouble,
        )
        unseen = {f"left.{path}": why for path, why in self.hearing.told().items()}
        return {**told, **unseen, "metrics": self.showing.publisher.trouble}


def _make(directory: Path) -> None:
    with CALLS.at(str(directory)):
        directory.mkdir(parents=True, exist_ok=True)
