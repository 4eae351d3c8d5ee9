"""The thread that finds out which imported files are to go, and hands them to their lanes.

Rule: it waits for no disk, and OMERO is asked just before the files are read.  It goes round from
time to time; what was imported a moment ago, and is to go at once, it hears of by the events.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from omero_fs_plugin.attendant import Attendant
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.after_import import AfterImport
from omero_fs_plugin.config.layout import OF_OWNER
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.importing.importers import Stopped
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.receipts.proof import Prover, Stored
from omero_fs_plugin.errors import FsError, JournalError, UserError

from .emptied import QUIET_S, tidy
from .leaving import Leaving, NotNow

log = logging.getLogger(__name__)

_LOOK_S = 5.0  # between two looks at the events
_AGAIN_S = 30.0  # after OMERO or the journal was away
_ROUND_S = 600.0  # between two rounds through all that was imported
# OMERO verifies so many filesets and bytes together, just before they are read here.
_LOT, _LOT_BYTES = 20, 2**30
_SOME = 500  # events that are read together
_LANE = "after import"


@dataclass
class _Round:
    """How far we are, in one user's directory."""

    after: int = 0  # the fileset looked at last
    done: bool = False  # there are no more in this round
    busy: bool = False  # its lane is at some
    resting: bool = False  # until the next round, which goes on where this one ended
    new: list[int] = field(default_factory=list)  # imported a moment ago

    def rest(self) -> None:
        """Nothing more before the next round."""
        self.done = self.resting = True
        self.new = []

    def begin(self) -> None:
        """The next round."""
        if not self.resting:
            self.after = 0
        self.done = self.resting = False


class Caretaker(Attendant):
    """Does what omero.fs.afterImport says."""

    def __init__(self, journal: Journal, omero: Omero, places: Places, lanes: Lanes) -> None:
        self._journal = journal
        self._prover = Prover(omero)
        self._omero = omero
        self._places = places
        self._lanes = lanes
        self._leaving = Leaving(journal, lambda: self._stopping.is_set(), self._why_not)
        self._rounds: dict[str, _Round] = {}  # root -> how far
        self._rules: tuple[Rule, ...] | None = None  # for which the rounds are; None: none yet
        self._last_round = 0.0  # s, monotonic
        self._heard = 0  # the last event that was heard
        self._lock = threading.Lock()
        self.trouble: dict[str, str] = {}  # root -> why files stay there that were to go
        self.away = ""  # why nothing can go anywhere; empty: it can
        super().__init__(_LANE)

    def _look(self) -> float | None:
        acts, away = True, ""
        try:
            acts = self.look(time.monotonic())
        except FsError as error:
            away = str(error)
            if away != self.away:
                log.warning("imported files stay where they are: %s", away)
        except Exception:
            away = "a defect; see the log"
            log.exception("what is to be done after imports")
        self.away = away
        return (_AGAIN_S if away else _LOOK_S) if acts else None

    def look(self, now: float) -> bool:
        """Hands out what is due.  `now`: s, monotonic.  False: no rule wants anything.

        Raises ServerAwayError and JournalError.
        """
        rules = self._places.rules
        if not any(rule.after_import.acts for rule in rules):
            self._rules = None
            self.trouble.clear()
            return False
        if rules != self._rules or now - self._last_round >= _ROUND_S:
            self._begin_round(rules, now)
        self._hear()
        for root, one in list(self._rounds.items()):
            if self._stopping.is_set():
                break
            if not one.busy:
                self._hand_out(root, one)
        return True

    def _begin_round(self, rules: tuple[Rule, ...], now: float) -> None:
        if rules != self._rules:
            self._heard = self._journal.last_event()
        for root in self._journal.afterwards.roots():
            self._rounds.setdefault(root, _Round()).begin()
        self._tidy()
        # Last: if the journal is away, all of this is done again.
        self._rules, self._last_round = rules, now

    def _hear(self) -> None:
        while events := self._journal.events_after(self._heard, _SOME):
            for event in events:
                if event.after == State.IMPORTED:
                    self._rounds.setdefault(event.root, _Round(done=True)).new.append(event.fileset)
            self._heard = events[-1].id

    def _hand_out(self, root: str, one: _Round) -> None:
        """Gives the next lot of `root` to its lane."""
        while not self._stopping.is_set():
            lot = self._next(root, one)
            if not lot:
                return
            try:
                lot = self._lanes.ask(root, partial(self._worth_asking, root, lot))
                if not lot:
                    continue
                for user in {fileset.user for fileset in lot}:
                    self._omero.user(user)  # without the account, OMERO verifies nothing
                stored = self._prover.stored(lot)
            except (OSError, UserError) as error:
                self._tell(root, str(error))
                one.rest()
                return
            one.busy = True
            self._lanes.do(
                root,
                partial(self._take, root, one, lot, stored),
                beside=_LANE,
                lost=partial(self._free, one),
            )
            return

    def _next(self, root: str, one: _Round) -> list[Fileset]:
        """The next filesets of `root` that are due: a lot; empty if there are none."""
        now = self._journal.now()
        new, one.new = one.new[:_LOT], one.new[_LOT:]
        ready, later = self._journal.afterwards.open(new) if new else ([], [])
        one.new += later
        found = [fileset for fileset in self._journal.load(ready) if self._is_due(fileset, now)]
        if found:
            lot = _lot(found)
            one.new = [fileset.id for fileset in found[len(lot) :]] + one.new
            return lot
        while not one.done:
            ids = self._journal.afterwards.due(root, one.after, now, _LOT)
            if not ids:
                one.done = True
                break
            lot = _lot(self._journal.load(ids))
            one.after = lot[-1].id
            due = [fileset for fileset in lot if self._is_due(fileset, now)]
            if due:
                return due
        return []

    def _acting_rule(self, fileset: Fileset) -> Rule | None:
        """The rule of its directory, if it wants anything.  Files from elsewhere are not ours."""
        places = [self._places.place(met.path) for met in fileset.files]
        theirs = (fileset.user, OF_OWNER)
        if not places or any(place is None or place.user not in theirs for place in places):
            return None
        rule = places[0].rule if places[0] is not None else None
        return rule if rule is not None and rule.after_import.acts else None

    def _is_due(self, fileset: Fileset, now: float) -> bool:
        rule = self._acting_rule(fileset)
        return rule is not None and fileset.changed + rule.after_import.delay <= now

    # In the lanes

    def _why_not(self, fileset: Fileset, act: AfterImport) -> str:
        """Why its files stay now, although they were to go.  Asked when they have been read."""
        rule = self._acting_rule(fileset)
        if rule is None or rule.after_import != act:
            return "omero.fs.afterImport was changed meanwhile"
        if fileset.server_fileset not in self._omero.filesets_of_images(fileset.images):
            return "OMERO has no images of it any more"
        return ""

    def _worth_asking(self, root: str, lot: Sequence[Fileset]) -> list[Fileset]:
        """Those of which something is there that the server may take.  Raises OSError."""
        found = []
        for fileset in lot:
            try:
                if self._leaving.is_there(fileset):
                    found.append(fileset)
            except RootAway:
                raise
            except OSError as error:
                self._tell(root, str(error))
        return found

    def _take(self, root: str, one: _Round, lot: Sequence[Fileset], stored: Stored) -> None:
        went = []
        try:
            for fileset in lot:
                went.append(self._take_one(root, fileset, stored))
        except (Stopped, JournalError, RootAway) as error:
            log.debug("%s: %s", root, error)
            one.rest()
        finally:
            if all(went):
                self.trouble.pop(root, None)
            if not any(went):
                one.rest()  # the next round goes on behind these
            self._free(one)

    def _take_one(self, root: str, fileset: Fileset, stored: Stored) -> bool:
        """Whether nothing is in the way.  An error concerns this fileset, not the next."""
        rule = self._acting_rule(fileset)
        if rule is None or self._stopping.is_set():
            return False
        if why := _never(fileset, stored):
            self._leaving.leave(fileset, why)
            return True
        try:
            self._leaving.take(fileset, rule.after_import, stored, tidy=rule.tidy_directories)
        except NotNow as error:
            log.debug("fileset %d: %s", fileset.id, error)
        except (Stopped, JournalError, RootAway):
            raise
        except (OSError, FsError) as error:
            self._tell(root, f"fileset {fileset.id}: {error}")
            return False
        return True

    def _tell(self, root: str, why: str) -> None:
        if self.trouble.get(root) != why:
            log.warning("%s: imported files stay there for now: %s", root, why)
        self.trouble[root] = why

    def _free(self, one: _Round) -> None:
        one.busy = False
        self._news.set()

    def _tidy(self) -> None:
        """Hands out the directories that may be removed."""
        now = self._journal.now()
        for one in self._journal.afterwards.emptied():
            if not 0 <= now - one.at < QUIET_S:
                self._lanes.do(one.root, partial(self._tidy_one, one.root, one.path), beside=_LANE)

    def _tidy_one(self, root: str, directory: str) -> None:
        place = self._places.place(f"{directory}/.")
        wanted = place is not None and place.root == root and place.rule.tidy_directories
        later = ""
        try:
            if wanted:
                later = tidy(root, directory, self._journal.now())
        except (OSError, FsError) as error:
            log.debug("%s: is not removed now: %s", directory, error)
            return
        if later:
            self._journal.afterwards.note_emptied(root, later)
        if later != directory:
            self._journal.afterwards.forget_emptied(directory)


def _lot(filesets: Sequence[Fileset]) -> list[Fileset]:
    """The first of them, as many as OMERO verifies together; one at least."""
    lot: list[Fileset] = []
    size = 0
    for fileset in filesets:
        size += sum(met.stat.size for met in fileset.files)
        if lot and size > _LOT_BYTES:
            break
        lot.append(fileset)
    return lot


def _never(fileset: Fileset, stored: Stored) -> str:
    """Why its files never go, as far as OMERO alone can say; empty: they may."""
    server = fileset.server_fileset or 0
    copies = stored.copies.get(server, ())
    if not stored.images.get(server):
        return "OMERO has no images of it any more"
    if copies and all(copy.in_place for copy in copies):
        return f"it was imported in place ({copies[0].transfer.lower()}): it is OMERO's data"
    return stored.wrong.get(server, "")
