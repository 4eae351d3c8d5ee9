"""Builds the parts of DropBox and puts them together; none is at work yet."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from omero_fs_plugin import icegrid
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.settings import Rule, Settings
from omero_fs_plugin.dropbox.afterwards.caretaker import Caretaker
from omero_fs_plugin.dropbox.confine import is_there, look_beneath
from omero_fs_plugin.dropbox.confine.roots import ROOTS, apart_from
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.importing.methods import Method, Methods
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.file import sqlite_file
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.letters.notes import Notes
from omero_fs_plugin.dropbox.letters.postman import Postman
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.publishing.publisher import Publisher
from omero_fs_plugin.dropbox.settling.groupers import Choice, Groupers, choose
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.dropbox.settling.writers import Writers
from omero_fs_plugin.dropbox.targets.sidecar import is_sidecar, wrong_in
from omero_fs_plugin.dropbox.users import Users
from omero_fs_plugin.dropbox.watching.rescan import oddity_at
from omero_fs_plugin.dropbox.watching.rescanner import Rescanner
from omero_fs_plugin.errors import ImportRefused, JournalError, Unreadable
from omero_fs_plugin.stores import directory_of

from .configuration import Configuration
from .new_users import NewUsers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The parts: first those that all others use, then in the order of a file's way."""

    journal: Journal
    omero: Omero
    users: Users
    new_users: NewUsers
    places: Places
    rescanner: Rescanner
    pipeline: Pipeline
    grouping: Choice
    groupers: Groupers
    methods: Methods
    importers: Importers
    quarantine: Quarantine
    lanes: Lanes
    postman: Postman
    caretaker: Caretaker
    publisher: Publisher

    def sweep(self) -> None:
        """Moves into quarantine what failed before, or while nobody was able to move it.

        What was on its way back from there comes back.
        """
        for identifier, root in self.quarantine.returning().items():
            self.lanes.do(root, partial(self._finish, identifier), beside="quarantine")
        for fileset, act in self.quarantine.due():
            self.lanes.do(fileset.root, partial(act, fileset), beside="quarantine")

    def tend(self) -> None:
        """To be called from time to time: what could not be done is tried again.

        It asks neither a disk nor the journal: nobody is handed events meanwhile.
        """
        self.importers.relieve()
        for root, identifier in self.quarantine.staying.due(time.monotonic()).items():
            again = partial(_unless_away, partial(self.quarantine.take_again, identifier, root))
            self.lanes.do(root, again, key="again", beside="quarantine")
        for identifier, root in self.quarantine.wanted().items():
            bring = partial(_unless_away, partial(self._bring_wanted, identifier))
            self.lanes.do(root, bring, key=f"wanted {identifier}", beside="quarantine")
        if self.quarantine.looks(time.monotonic()):
            forsaken = partial(_unless_away, self._finish_forsaken)
            self.lanes.do("", forsaken, key="forsaken", beside="quarantine")

    def has_failed(self, fileset: Fileset) -> None:
        """An import has failed, here or on another machine."""
        self.groupers.could_not_import(fileset)
        take_out(self.lanes, self.quarantine, fileset)

    def _finish_forsaken(self) -> None:
        """In a lane of its own: the journal may not answer, and whoever tends waits for nothing."""
        now = time.monotonic()
        for identifier, root in self.quarantine.forsaken(now).items():
            finish = partial(_unless_away, partial(self._finish, identifier))
            self.lanes.do(root, finish, key=f"returning {identifier}", beside="quarantine")
        for identifier, root in self.quarantine.unfinished(now).items():
            go_on = partial(_unless_away, partial(self.quarantine.go_on, identifier))
            self.lanes.do(root, go_on, key=f"going {identifier}", beside="quarantine")

    def _bring_wanted(self, identifier: int) -> None:
        if back := self.quarantine.bring_wanted(identifier):
            self.pipeline.heard(back, time.monotonic())

    def _finish(self, identifier: int) -> None:
        if back := self.quarantine.finish(identifier):
            self.pipeline.heard(back, time.monotonic())

    def apply(self, settings: Settings, methods: dict[Rule, Method]) -> None:
        """Puts `settings` into force.  What waits or is being imported goes on."""
        self.methods.apply(methods)
        apart = apart_from(settings, os.environ.get("OMERODIR"))
        ROOTS.apply([str(rule.watch_dir) for rule in settings.rules], apart)
        self.places.apply(settings.rules)
        with self.pipeline.files.lock:
            self.pipeline.files.requiet()
        self.pipeline.settler.longest = settings.longest_wait or math.inf
        self.quarantine.directory = settings.quarantine
        self.omero.sessions_last(settings.time_to_live, settings.time_to_idle)
        self.importers.turns.priority = settings.priority
        self.importers.retry(settings.max_retries, settings.retry_interval)
        self.postman.wake()
        self.caretaker.wake()
        self.publisher.wake()


def put_together(
    communicator: Any,
    configuration: Configuration,
    methods: Methods,
    *,
    who: str,
    heard: Callable[[Sequence[str]], None],
    troubles: Callable[[], Mapping[str, str]],
) -> Parts:
    """The parts, as the settings in force want them.

    `who` is the name under which the journal is written; `heard` is called with
    paths that have changed; `troubles` gives what is wrong with the system.
    """
    settings = configuration.settings
    journal = open_journal(settings.journal_url, who)
    omero = Omero.of(communicator, settings)
    users = Users(omero)
    places = Places(settings.rules)

    def held(user: str) -> str:
        return configuration.held(user, places)

    lanes = Lanes()
    quarantine = Quarantine(settings.quarantine, places, journal)
    pipeline = Pipeline(
        journal,
        places,
        Settler(60.0),
        outside(lanes, places, is_user=users.is_user, held=held, coming=quarantine.coming),
    )
    grouping = choose(
        settings.bioformats_jars,
        os.environ.get("OMERODIR"),
        time_limit=settings.bioformats_timeout,
        memory=settings.bioformats_memory,
        roots=lambda: [str(rule.watch_dir) for rule in places.rules],
    )
    importers = Importers(
        journal,
        omero,
        places=places,
        number=settings.importers,
        held=held,
        import_duplicates=lambda: configuration.settings.duplicates == "import",
        quarantine=lambda fileset: parts.has_failed(fileset),
        changed=lambda fileset: heard([met.path for met in fileset.files]),
        methods=methods,
        address=(settings.host, settings.port),
        shared=sqlite_file(settings.journal_url) is None,
    )
    groupers = Groupers(
        pipeline,
        grouping.make,
        lanes=lanes,
        readers=methods.readers,
        queued=importers.wake,
        failed=partial(take_out, lanes, quarantine),
        lacking=quarantine.bring_what_lacks,
        complete_timeout=lambda: configuration.settings.complete_timeout,
    )
    new_users = NewUsers(omero, lanes, lambda: configuration.settings)
    rescanner = Rescanner(
        pipeline,
        users,
        lanes,
        lambda: configuration.settings.rescan_interval,
        beside=new_users.look,
    )
    places.late = partial(rescanner.ask, "directories are known now that were not at the start")
    parts = Parts(
        journal=journal,
        omero=omero,
        users=users,
        new_users=new_users,
        places=places,
        rescanner=rescanner,
        pipeline=pipeline,
        grouping=grouping,
        groupers=groupers,
        methods=methods,
        importers=importers,
        quarantine=quarantine,
        lanes=lanes,
        postman=Postman(
            journal,
            omero,
            settings=lambda: configuration.settings,
            troubles=troubles,
            notes=Notes(journal, lanes, lambda: configuration.settings),
        ),
        caretaker=Caretaker(journal, omero, places, lanes),
        publisher=Publisher(
            journal,
            # Of its own: what this asks is not in the way of what an import asks.
            Omero.of(communicator, settings),
            settings=lambda: configuration.settings,
            progress=importers.progress,
            trouble_at=lambda root: (
                lanes.calls.told().get(root, "")
                or ROOTS.trouble(root)
                or _unheard(root, places, troubles())
            ),
            unwatched=lambda: troubles().get(icegrid.FSSERVER, ""),
            unwatched_nodes=lambda: unheard_nodes(troubles()),
        ),
    )
    return parts


def fault_of(node: str) -> str:
    """The name of the fault that the FSServer of a node is not heard."""
    # The first word says how long it must last before admins are told.
    return f"{icegrid.FSSERVER} {node}" if node else icegrid.FSSERVER


def unheard_nodes(troubles: Mapping[str, str]) -> list[str]:
    """The nodes whose FSServer is not heard."""
    before = fault_of("")
    return [name[len(before) + 1 :] for name in troubles if name.startswith(f"{before} ")]


def _unheard(root: str, places: Places, troubles: Mapping[str, str]) -> str:
    """What a user is told of the FSServer of a node."""
    place = places.place(f"{root}/any")
    node = place.rule.node if place is not None else ""
    if not node or fault_of(node) not in troubles:
        return ""
    return f"FSServer on {node} is not heard. New files may be found later than usual"


def outside(
    lanes: Lanes,
    places: Places,
    *,
    is_user: Callable[[str], bool],
    held: Callable[[str], str],
    coming: Callable[[Collection[str]], set[str]] = lambda paths: set(),
) -> Outside:
    """What settling asks of the disks, each call by its root."""
    calls = lanes.calls

    def root_of(path: str) -> str:
        place = places.place(path)
        return place.root if place is not None else directory_of(path).rpartition("/")[0]

    def oddity(path: str) -> str:
        with calls.at(root_of(path)):
            return oddity_at(path)

    def may_read(path: str) -> bool:
        try:
            look_beneath(root_of(path), path)
        except Unreadable:
            return False
        except ImportRefused:
            return True  # it is something else by now: whoever meets it says what
        return True

    return Outside(
        stat=places.stat,
        is_user=is_user,
        may_read=may_read,
        oddity=oddity,
        is_there=is_there,
        written=Writers(places.watch_dir).of,
        store_around=places.store_on_disk,
        advice=wrong_in,
        is_advice=is_sidecar,
        held=held,
        coming=coming,
        answers=calls.answers,
        ask=lanes.ask,
    )


def take_out(lanes: Lanes, quarantine: Quarantine, fileset: Fileset) -> None:
    """Into quarantine, in a lane of its root: neither disk is waited for here."""
    if quarantine.directory is not None:
        lanes.do(fileset.root, partial(quarantine.take, fileset), beside="quarantine")


def _unless_away(act: Callable[[], None]) -> None:
    """Does what is tried again later.  If the journal is away, others say so."""
    with suppress(JournalError):
        act()


def open_journal(url: str, who: str) -> Journal:
    """The journal.  A warning is logged if it lies where it is slow."""
    journal = Journal(url, who=who)
    if journal.share:
        log.warning(
            "the journal %s lies on a network file system (%s): every write is slower there; "
            "omero.fs.journal may name a place on a local disk, or a PostgreSQL",
            journal.shown,
            journal.share,
        )
    return journal
