"""Imports what an importer took from the queue, as the rule and the sidecar say."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.config.layout import OF_OWNER
from omero_fs_plugin.dropbox.confine import owner_of
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import HANDED_OVER, Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places, whose
from omero_fs_plugin.dropbox.targets.annotations import annotate
from omero_fs_plugin.dropbox.targets.containers import Containers, Destination, ensure_linked
from omero_fs_plugin.dropbox.targets.sidecar import Sidecar
from omero_fs_plugin.dropbox.targets.sidecar import read as read_sidecar
from omero_fs_plugin.dropbox.targets.targets import Source
from omero_fs_plugin.errors import ConfigurationError, FsError, ImportRefused, UserError
from omero_fs_plugin.stores import is_store

from .activity import Watch, is_by_dropbox
from .attempts import Attempt
from .importers import client_path
from .importers.choice import Choice
from .importers.disk import meaning
from .importers.factory import make
from .importers.native import NativeImporter
from .importers.protocol import Importer, Wishes
from .importers.registering import registers
from .importers.sources import remove
from .importers.waits import Waits
from .leftovers import Leftovers
from .methods import Method, Methods
from .pool import SessionPool
from .slots import Slots
from .store_importer import StoreImporter, remove_store
from .together import run_together

log = logging.getLogger(__name__)


class BadAdvice(ConfigurationError):
    """A sidecar, or the group of a directory, asks for something impossible: its filesets wait
    until that is changed."""


class NoSuchAccount(ConfigurationError):
    """A file belongs to an account that this machine does not know."""


@dataclass(frozen=True)
class Plan:
    """How one fileset is imported."""

    method: Method
    said: Sidecar
    laid: str = ""  # the group by omero.fs.layout; empty: it names none

    @property
    def group(self) -> str:
        """Empty: the user's default."""
        return self.said.group or self.laid or self.method.group


class Importing:
    """What every importer thread shares.  Thread-safe."""

    def __init__(
        self,
        journal: Journal,
        omero: Omero,
        *,
        places: Places,
        methods: Methods,
        address: tuple[str, int],
        import_duplicates: Callable[[], bool],
        stopping: Callable[[], bool],
        slots: Slots | None = None,
        newest: Callable[[str], int | None] = lambda user: None,
    ) -> None:
        """`address` is the router's host and port, for OMERO's own importer.

        `newest` is that of Recovery.
        """
        self._journal = journal
        self._omero = omero
        self._places = places
        self._methods = methods
        self._host, self._port = address
        self._import_duplicates = import_duplicates
        self._stopping = stopping
        self._slots = slots
        self._newest = newest
        # The last file that another DropBox has imported while we are at work, and why that is so.
        self.beside: tuple[str, str] | None = None
        self._waits = Waits()
        self._containers = Containers(alone=journal.one_at_a_time)
        self._watch = Watch()
        self.pool = SessionPool(omero)
        self.leftovers = Leftovers(journal, omero, self.pool, self._watch, self._group)
        self.unfinished: deque[int] = deque()  # ids of imported filesets, still to be finished
        self._importers: dict[int, Importer] = {}  # fileset under way -> what imports it

    def plan(self, fileset: Fileset) -> Plan:
        """How it is imported.  Raises BadAdvice, and DiskAway."""
        # Before the sidecar is read: that may take long, and the rules may be others then.
        method = self._methods.of(self._places.rule_of(fileset.path, fileset.user))
        laid = self._places.group_of(fileset.path, fileset.user)
        try:
            said = read_sidecar(fileset.root, fileset.path)
        except (ConfigurationError, ImportRefused) as error:
            raise BadAdvice(str(error)) from error
        except OSError as error:
            raise meaning(error, str(error.filename or fileset.path)) from error
        for file in said.files:
            if why := self._not_for(file, fileset):
                raise BadAdvice(why)
        return Plan(method, said, laid)

    def _not_for(self, sidecar: str, fileset: Fileset) -> str:
        """Why a sidecar says nothing for files of the user; empty if it does.  Raises DiskAway.

        Where users share a directory, one of them would decide for the others.
        """
        place = self._places.place(sidecar)
        if place is None or place.user != OF_OWNER:
            return ""
        try:
            stat = self._places.stat(sidecar)
            if stat is None or stat.owner in (0, owner_of(place.root)):
                return ""
            name, _ = whose(stat)
        except OSError as error:
            raise meaning(error, sidecar) from error
        if name == fileset.user:
            return ""
        return f"{sidecar} belongs to {name or 'nobody'}, and the files beside it to {fileset.user}"

    def _is_shared(self, fileset: Fileset) -> bool:
        place = self._places.place(fileset.path)
        return place is not None and place.user == OF_OWNER

    def given_away(self, fileset: Fileset) -> str:
        """Why its files are not the user's any more, where their owners say whose they are.

        No event tells that a file was given to another account.  Raises DiskAway, and
        NoSuchAccount if this machine has no account of the owner.
        """
        if fileset.origin == HANDED_OVER or self._places.user_of(fileset.path) is not None:
            return ""
        for met in fileset.files:
            try:
                stat = self._places.stat(met.path)
                place = None if stat is None else self._places.of(met.path, stat)
            except OSError as error:  # also NoAnswer
                raise meaning(error, met.path) from error
            if stat is None or self._places.place(met.path) is None:
                continue  # the attempt finds out
            if place is None:
                raise NoSuchAccount(f"{met.path}: {self._places.nobodys(met.path, stat)}")
            if place.user != fileset.user:
                return f"{met.path} belongs to {place.user} now, and not to {fileset.user}"
        return ""

    def run(self, plan: Plan, filesets: Sequence[Fileset]) -> Iterator[tuple[Fileset, State]]:
        """Imports filesets of one user with one plan.  Yields each with its state, as it ends.

        Raises ServerAwayError, UserError, BadAdvice and ImportRefused.  Filesets
        that were not yielded by then are still importing.
        """
        name = filesets[0].user
        try:
            # A separate call, so that a wrong group in a sidecar, or of a directory, does not count
            # against the user.
            of_files = plan.said.group or plan.laid
            user = self._omero.user(name, plan.group) if of_files else None
        except UserError as error:
            where = plan.said.files[-1] if plan.said.group else filesets[0].root
            raise BadAdvice(f"{where}: {error}") from error
        with self.pool.session(name, user.group if user else plan.method.group) as session:
            importer = make(
                _for_stores(plan.method.choice, filesets),
                session,
                self._omero,
                host=self._host,
                port=self._port,
                waits=self._waits,
            )
            if isinstance(importer, NativeImporter):
                importer = StoreImporter(importer, session)
            attempts = [self._attempt(plan, session, one) for one in filesets]
            for fileset in filesets:
                self._importers[fileset.id] = importer
            try:
                for attempt, state in run_together(attempts, importer):
                    if state is not State.IMPORTED:
                        self._containers.forget(session)
                    yield attempt.fileset, state
            finally:
                for fileset in filesets:
                    self._importers.pop(fileset.id, None)

    def finish(self, fileset: Fileset) -> None:
        """Does what was left to do after the fileset's import.

        Raises what `run` raises, DiskAway, and Stopped.
        """
        plan = self.plan(fileset)
        transfer = plan.method.choice.transfer
        kept, removes = "", transfer.removes and not registers(fileset)
        if removes:
            sha1s = [sha1 or "" for sha1 in fileset.sha1s]
            kept = self._remove(fileset, sha1s, linked=transfer.links)
        if not (plan.said.annotates or _aims(plan)):
            gone = "what had to be done after that is unknown: the sidecar or the rule is gone"
            self._journal.finished(fileset.id, "" if removes else f"imported, but {gone}")
        else:
            with self.pool.session(fileset.user, plan.group) as session:
                self._afterwards(plan, session, fileset, None, fileset.images)
        if kept:
            self._journal.remark(fileset.id, f"imported, but {kept}")

    def _remove(self, fileset: Fileset, sha1s: list[str], *, linked: bool) -> str:
        """Removes what was imported.  A store that was begun to be removed stays, and is logged.

        Gives why a file may not be removed; empty if none is kept by that.
        """
        if is_store(fileset.path):
            return remove_store(fileset, sha1s, linked=linked, stopping=self._stopping)
        return remove(fileset, sha1s, linked=linked, stopping=self._stopping)

    def progress(self) -> dict[int, str]:
        """Id of each fileset under way -> how many of its bytes are done, for people."""
        told = {}
        for identifier, importer in list(self._importers.items()):
            figures = importer.progress()
            if figures.total:
                told[identifier] = f"{figures.done} of {figures.total} bytes"
        return told

    def _group(self, fileset: Fileset) -> str:
        try:
            return self.plan(fileset).group
        except BadAdvice:
            return ""

    def _attempt(self, plan: Plan, session: UserSession, fileset: Fileset) -> Attempt:
        found: list[Destination | None] = []

        def wishes() -> Wishes:
            place = self._destination(plan, session, fileset)
            found.append(place)
            arguments = plan.method.choice.arguments
            return Wishes(
                reader=fileset.reader,
                name=plan.said.name or arguments.name,
                description=plan.said.description or arguments.description,
                target=place.object() if place is not None else None,
            )

        def afterwards(images: Sequence[int]) -> None:
            place = found[-1] if found else None
            try:
                self._afterwards(plan, session, fileset, place, images)
            except FsError:
                self.unfinished.append(fileset.id)
                raise

        return Attempt(
            self._journal,
            self._omero,
            session,
            fileset,
            stopping=self._stopping,
            watch=self._watch,
            import_duplicates=self._import_duplicates(),
            wishes=wishes,
            removes=plan.method.choice.transfer.removes and not registers(fileset),
            later=lambda: self.unfinished.append(fileset.id),
            exclude_imported_paths=plan.method.choice.arguments.exclude_imported_paths,
            shared=self._is_shared(fileset),
            slots=self._slots,
            beside=partial(self._met_beside, session, fileset),
            afterwards=afterwards if plan.said.annotates or _aims(plan) else None,
        )

    def _met_beside(self, session: UserSession, fileset: Fileset, there: int) -> None:
        """OMERO has it as Fileset `there`, and we have never tried to import it.

        A person may have imported it.  If a DropBox did, since we began, that one has another
        journal: neither waits for the other, and some files are imported by both.
        """
        newest = self._newest(fileset.user)
        if newest is None or there <= newest or not is_by_dropbox(session, there):
            return
        why = (
            f"another DropBox has just imported it, as Fileset:{there}, and this one does not have "
            "its journal: stop one of the two, or they import files twice (omero.fs.journal)"
        )
        if self.beside is None:
            log.error("%s: %s", fileset.path, why)
        self.beside = fileset.path, why

    def _destination(
        self, plan: Plan, session: UserSession, fileset: Fileset
    ) -> Destination | None:
        template = plan.method.template if plan.said.target is None else plan.said.target
        if template is None:
            return None
        first = fileset.files[0]
        # The FileStat of a store has no mtime.
        day = first.stat.ctime_ns if is_store(first.path) else first.stat.mtime_ns
        source = Source.of(fileset.user, fileset.root, first.path, day)
        target = template.fill(source, plate=fileset.plate)
        if target.left_out:
            log.info("fileset %d: %s", fileset.id, target.left_out)
        made_for = client_path(first.path, self._omero.path_rules)
        return self._containers.find(session, target, plate=fileset.plate, made_for=made_for)

    def _afterwards(
        self,
        plan: Plan,
        session: UserSession,
        fileset: Fileset,
        place: Destination | None,
        images: Sequence[int],
    ) -> None:
        """Links and annotates what was imported.  If OMERO refuses this, the journal says so."""
        told = ""
        try:
            if place is None:
                place = self._destination(plan, session, fileset)
            if place is not None:
                told = ensure_linked(session, place, images)
            annotate(session, images, plan.said, self._journal.one_at_a_time)
        except ImportRefused as error:
            told = str(error)
        if told:
            log.warning("fileset %d: imported, but %s", fileset.id, told)
        self._journal.finished(fileset.id, f"imported, but {told}" if told else "")


def _for_stores(choice: Choice, filesets: Sequence[Fileset]) -> Choice:
    """The Java importer finds the files of a set itself, so stores take the native one."""
    return replace(choice, client_dir=None) if any(is_store(f.path) for f in filesets) else choice


def _aims(plan: Plan) -> bool:
    return (plan.method.template if plan.said.target is None else plan.said.target) is not None
