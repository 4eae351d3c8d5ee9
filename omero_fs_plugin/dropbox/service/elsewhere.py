"""Importers on another machine than DropBox's: they take queued filesets, and import them.

Rule: DropBox alone decides what waits, what belongs together and what is gone.  What its files
tell an importer on another machine is at most that they are not seen there.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from omero_fs_plugin import __version__, icegrid
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.path_map import for_machine, translated
from omero_fs_plugin.config.settings import Rule, Settings
from omero_fs_plugin.dropbox.confine.roots import ROOTS, apart_from
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.importing.importers.choice import JAVA
from omero_fs_plugin.dropbox.importing.importers.proof import PROOFS
from omero_fs_plugin.dropbox.importing.importers.registering import registers
from omero_fs_plugin.dropbox.importing.methods import Method, Methods
from omero_fs_plugin.dropbox.importing.visible import Visible
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.clocks import DropBoxClock
from omero_fs_plugin.dropbox.journal.database import JournalAway, NotYet
from omero_fs_plugin.dropbox.journal.file import sqlite_file
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import Holder
from omero_fs_plugin.dropbox.journal.records import Fileset, Held
from omero_fs_plugin.dropbox.journal.rounds import NODE_EXPIRES, RENEW_NODE, Rounds
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.settling.groupers import readers_there
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.errors import ConfigurationError, FsError

from .configuration import Configuration
from .dispatch import Dispatch
from .parts import outside

log = logging.getLogger(__name__)

_AGAIN_S = 5.0  # between two tries to open the journal
_STOP_S = 6.0  # that a stop waits for what is under way
_LEAVE_S = 2.0  # ... and for the journal
_ID_BEFORE_NODE = "DropBoxImporter-"  # of the server, in the template
ADAPTER = "omerofs.DropBoxImporter"


class DropBoxImporter:
    """Importers as a server of its own, from start to stop."""

    def __init__(
        self,
        communicator: Any,
        properties: Mapping[str, str],
        *,
        expires: float = NODE_EXPIRES,
        renew: float = RENEW_NODE,
    ) -> None:
        """`expires`, `renew`: s, see `rounds`.

        Raises ConfigurationError if the journal is not one that several machines can share.
        """
        self._methods = Methods(os.environ.get("OMERODIR"), readers_there)
        settings, of_rules = self._methods.examine(read(properties))
        if sqlite_file(settings.journal_url) is not None:
            raise ConfigurationError(
                "importers on several machines need a journal in PostgreSQL, and omero.fs.journal "
                f"names {settings.journal_url}: see `omero fs journal copy -h`, or do not run "
                "DropBoxImporter"
            )
        self.configuration = Configuration(settings, properties)
        self._of_rules = of_rules
        self._communicator = communicator
        self._expires, self._renew = expires, renew
        self._give_up = partial(icegrid.shut_down, communicator)
        self._me = Holder.me()
        self._seen = Visible(self._me.host, self._by_path, self._beside_omero)
        node = communicator.getProperties().getProperty("Ice.Admin.ServerId")
        names = (self._me.host, node.removeprefix(_ID_BEFORE_NODE))
        self._path_map = for_machine(settings.path_map, names)
        self._places = Places(settings.rules)
        self._lanes = Lanes()
        self._omero = Omero.of(communicator, settings)
        self._journal: Journal | None = None
        self._importers: Importers | None = None
        self._rounds: Rounds | None = None
        self._dispatch: Dispatch | None = None
        self._no_journal = ""  # why it cannot be opened
        self._clock = DropBoxClock()
        self._stopping = threading.Event()
        self._beginning = threading.Lock()  # so that nothing begins after a stop
        self.ended = True  # after `stop`: no thread is left behind
        adapter = communicator.createObjectAdapter(ADAPTER)
        communicator.addAdminFacet(icegrid.StatusFacet(self.figures), icegrid.STATUS_FACET)
        adapter.activate()
        # A daemon: the journal may hold it.
        self._beginner = threading.Thread(target=self._begin, name="begin", daemon=True)

    def start(self) -> None:
        """Begins as soon as the journal is there."""
        self._beginner.start()

    def _begin(self) -> None:
        try:
            journal = self._opened()
            if journal is None:
                return
            self._put_together(journal)
            with self._beginning:
                if self._rounds is not None and not self._stopping.is_set():
                    self._rounds.start()
        except FsError as error:
            log.error("cannot begin; ending: %s", error)
            self._give_up()
        except Exception:
            log.exception("cannot begin; ending")
            self._give_up()

    def _opened(self) -> Journal | None:
        """The journal, when it is there; None if we are stopped before.  DropBox makes it."""
        url = self.configuration.settings.journal_url
        who = f"DropBoxImporter, {self._me.name()}"
        while not self._stopping.is_set():
            try:
                journal = Journal(url, make=False, who=who, clock=self._clock)
                self._clock.differs(journal.ahead_of(self._clock.here))
                return journal
            except (JournalAway, NotYet) as error:
                if not self._no_journal:
                    log.warning("waiting for the journal: %s", error)
                self._no_journal = str(error)
            self._stopping.wait(_AGAIN_S)
        return None

    def _put_together(self, journal: Journal) -> None:
        settings = self.configuration.settings
        self._no_journal, self._journal = "", journal

        def held(user: str) -> str:
            return self.configuration.held(user, self._places)

        importers = Importers(
            journal,
            self._omero,
            places=self._places,
            number=settings.importers_elsewhere,
            held=held,
            import_duplicates=lambda: self.configuration.settings.duplicates == "import",
            # DropBox hears of both from the journal.
            quarantine=lambda fileset: None,
            changed=lambda fileset: None,
            methods=self._methods,
            address=(settings.host, settings.port),
            shared=True,
            unseen=self._seen.unseen,
        )
        # Nothing is heard and nothing settles here: it looks after the disks and the importers.
        pipeline = Pipeline(
            journal,
            self._places,
            Settler(60.0),
            outside(self._lanes, self._places, is_user=lambda user: True, held=held),
        )
        self._dispatch = Dispatch(
            pipeline,
            self._lanes,
            batch=lambda: 1,
            rested=lambda: None,
            failed=lambda why: None,
            back=lambda root: None,
            missed=lambda why: None,
            reading=importers.reading,
            tend=importers.relieve,
            busy=importers.busy_at_work,
        )
        self._rounds = Rounds(
            journal,
            self._me,
            told=self._told,
            joined=self._joined,
            lost=self._lost,
            looked=lambda: self._clock.differs(journal.ahead_of(self._clock.here)),
            adopted=importers.finish_too,
            expires=self._expires,
            renew=self._renew,
        )
        self._importers = importers
        self._take(settings, self._of_rules)

    def _take(self, settings: Settings, methods: dict[Rule, Method]) -> None:
        """Puts `settings` into force."""
        for problem in (*settings.problems, *settings.warnings):
            log.warning("%s", problem)
        self.configuration.settings = settings
        self._methods.apply(methods)
        apart = apart_from(settings, os.environ.get("OMERODIR"))
        here = partial(translated, paths=self._path_map)
        ROOTS.apply([str(rule.watch_dir) for rule in settings.rules], apart, here)
        self._places.apply(settings.rules)
        self._omero.sessions_last(settings.time_to_live, settings.time_to_idle)
        if self._importers is not None:
            self._importers.turns.priority = settings.priority
            self._importers.turns.zone = self._clock.zone
            self._importers.retry(settings.max_retries, settings.retry_interval)
            self._importers.wake()

    def _by_path(self, fileset: Fileset) -> str:
        """Why a fileset is imported only under its own path; empty: it may be under another."""
        if registers(fileset):
            return "a registration would tell OMERO that path"
        choice = self._methods.of(self._places.rule_of(fileset.path, fileset.user)).choice
        if choice.importer == JAVA:
            return "OMERO's own importer would tell OMERO that path"
        if choice.transfer.in_place:
            return "a transfer in place would tell OMERO that path"
        return ""

    def _beside_omero(self, fileset: Fileset) -> str:
        """What the import needs of OMERO's machine that is not here; empty: nothing."""
        repository = self.configuration.settings.managed_dir
        if not registers(fileset) or repository.is_dir():
            return ""
        return (
            f"{fileset.path} is registered only where OMERO's files are, and {repository} is not "
            f"on {self._me.host}"
        )

    def _joined(self, held: Held) -> None:
        """The journal knows us: from now on we may import."""
        assert self._journal is not None
        assert self._importers is not None
        assert self._dispatch is not None
        self._journal.work_as(held, lost=lambda: self._lost("its claims were given to others"))
        with self._beginning:
            if not self._stopping.is_set():
                number = self.configuration.settings.importers_elsewhere
                log.info("node %d: %d importers", held.epoch, number)
                self._importers.start()
                self._dispatch.start()

    def _lost(self, why: str) -> None:
        if not self._stopping.is_set():
            log.error("%s; ending", why)
        self._stopping.set()
        self._give_up()

    def reconfigure(self, properties: Mapping[str, str]) -> None:
        """IceGrid calls this with properties that have changed.  A node begins anew with them."""
        log.info("the configuration has changed; starting anew")
        self._give_up()

    def stop(self) -> None:
        """Ends every thread.  What is being imported is finished or given back."""
        self._stopping.set()
        until = time.monotonic() + _STOP_S
        with self._beginning:
            importers, dispatch, rounds = self._importers, self._dispatch, self._rounds
        ended = [True]
        if importers is not None and dispatch is not None:
            importers.ask_to_stop()
            ended += [dispatch.stop(until), importers.stop(until)]
        ended.append(self._lanes.stop(until))
        if rounds is not None:  # last: until now our claims are renewed
            ended.append(rounds.stop(_LEAVE_S))
        if self._beginner.is_alive():
            self._beginner.join(max(0.0, until - time.monotonic()))
            ended.append(not self._beginner.is_alive())
        self.ended = all(ended)
        self._omero.close()
        if self._journal is not None:
            self._journal.close()
        log.info("DropBoxImporter has stopped")

    def figures(self) -> dict[str, str]:
        """What `omero fs status` shows of us."""
        state, reason = self._state()
        settings = self.configuration.settings
        return {
            "state": state,
            "reason": reason,
            "version": __version__,
            "importers": str(settings.importers_elsewhere),
            **{f"left.{root}": why for root, why in self._seen.told().items()},
            **{f"left.{root}": why for root, why in PROOFS.told().items()},
            **{f"away.{root}": why for root, why in self._lanes.calls.told().items()},
        }

    def _state(self) -> tuple[str, str]:
        importers, rounds = self._importers, self._rounds
        if self._no_journal:
            return "waiting for the journal", self._no_journal
        if importers is None or rounds is None:
            return "starting", ""
        if rounds.trouble:
            return "waiting for the journal", rounds.trouble
        if self.configuration.settings.problems or importers.wrong:
            problems = map(str, self.configuration.settings.problems)
            return "misconfigured", "; ".join(filter(None, (*problems, importers.wrong)))
        if importers.away:
            return "waiting for OMERO", importers.away
        return "running", ""

    def _told(self) -> str:
        return json.dumps(self.figures())
