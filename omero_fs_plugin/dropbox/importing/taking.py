"""Takes filesets from the queue: which user is next, and which filesets of that user."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from omero_fs_plugin.dropbox.confine import is_there
from omero_fs_plugin.dropbox.confine.trees import stat_of
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import GONE, Fileset, Start
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import JournalError

from .blame import Blame
from .crew import Crew
from .importers.choice import JAVA
from .in_hand import InHand
from .line import Line
from .load import Load
from .methods import Methods
from .turns import STOPPED_S, Turn, Turns

log = logging.getLogger(__name__)

_LOOKED_AT = 1000  # queued filesets of such a user that are looked for on disk at a time
_TOGETHER = 30  # filesets in one run of OMERO's own importer


class Taking:
    """Gives the importers' threads their filesets, in turns of the users.  Thread-safe.

    The lock guards the turns.  It is held for a moment only: never while a disk, OMERO or the
    journal is asked.
    """

    def __init__(
        self,
        journal: Journal,
        places: Places,
        *,
        turns: Turns,
        methods: Methods,
        crew: Crew,
        load: Load,
        in_hand: InHand,
        blame: Blame,
        stopping: threading.Event,
        takes: bool = True,
        shared: bool = False,
        elsewhere: bool = False,
    ) -> None:
        """Unless it `takes`, everything is for other machines.

        `shared`: importers of other machines may work on the journal too.

        `elsewhere`: DropBox is on another machine than we are.
        """
        self._journal, self._places, self._methods = journal, places, methods
        self._crew, self._load = crew, load
        self._in_hand, self._blame = in_hand, blame
        self._stopping = stopping
        self._takes, self._shared, self._elsewhere = takes, shared, elsewhere
        self._line = Line(lambda: journal.queued_users())
        self._lock = threading.Lock()
        self._turns = turns

    def take(self) -> list[Fileset]:
        """The oldest queued fileset of the user who has waited longest for a turn.

        OMERO's own importer gets more filesets of that user, which it imports in one run.
        They are under way from now on.
        """
        self._in_hand.give_back_the_rest()
        if self._in_hand.adrift:
            self._in_hand.find_adrift()
        if not self._takes:
            return []
        now = time.monotonic()
        resting = self._blame.resting(now)
        users, as_now = self._line.users(now)
        taken = self._take_of(users, resting, now)
        return taken if taken or as_now else self._take_of(self._line.as_now(now), resting, now)

    def _take_of(self, users: list[str], resting: frozenset[int], now: float) -> list[Fileset]:
        """As `take`, for one of `users`."""
        self._hear_of_turns(users)
        not_at = {*CALLS.away(), *self._crew.crowded(self._journal.queued_roots)}
        while not self._stopping.is_set() and (turn := self._next_turn(users, now)) is not None:
            users.remove(turn.user)
            taken: list[Fileset] = []
            try:
                fileset = self._journal.take(
                    turn.user,
                    resting,
                    not_at,
                    small=self._turns.priority.small,
                    turn=turn.number,
                    start=Start(turn.entry, turn.apart) if self._shared and turn.apart else None,
                )
                if fileset is not None:
                    taken.append(fileset)
                    self._take_more(taken, now)
            except BaseException:
                self._end_turn(turn, taken, now, failed=True)
                raise
            self._end_turn(turn, taken, now)
            if taken:
                return taken
        return []

    def _hear_of_turns(self, users: Sequence[str]) -> None:
        """The importers of other machines give turns too: a user has one share of all of them."""
        if not (self._shared and users):
            return
        given = self._journal.turns()
        throttled = any(rule.throttle_import for rule in self._places.rules)
        started = self._journal.started() if throttled else {}
        with self._lock:
            self._turns.hear(users, given)
            self._turns.hear_of_starts(started, time.monotonic())

    def _next_turn(self, users: Sequence[str], now: float) -> Turn | None:
        """Of the user among `users` who comes first, if one may go on now."""
        # The places of those that are parked are for the other users.
        but = {work.user for work in self._crew.parked()} if self._load.is_beyond() else ()
        with self._lock:
            turn = self._turns.next(users, now, self._journal.now(), but)
        if turn is not None:
            self._in_hand.begin()
        return turn

    def _take_more(self, taken: list[Fileset], now: float) -> None:
        """Adds to the first of a run those that OMERO's own importer imports with it."""
        (first,) = taken
        suspects = self._blame.suspects()
        apart = suspects | self._blame.resting(now)
        # A fileset that may have an unknown fault is imported alone.
        method = self._methods.of(self._places.rule_of(first.path, first.user))
        if method.choice.importer != JAVA or first.id in suspects:
            return
        while len(taken) < _TOGETHER and not self._stopping.is_set():
            # Of one root: while they are imported, their importer is known to be at it.
            fileset = self._journal.take(first.user, apart, CALLS.away(), first.root)
            if fileset is None:
                return
            taken.append(fileset)

    def _end_turn(
        self, turn: Turn, taken: Sequence[Fileset], now: float, *, failed: bool = False
    ) -> None:
        """Without anything `taken`, the turn does not count.  If it `failed`, it is given back."""
        if failed:
            self._in_hand.lost(taken)
        else:
            self._in_hand.took(taken)
        with self._lock:
            self._turns.end(turn, taken[0] if taken else None, now)

    def ended(self, fileset: Fileset, state: State) -> None:
        """A fileset has got its state, so there is no reason to stop the queue of its user."""
        with self._lock:
            self._turns.go_on(fileset.user)
            if state is State.SKIPPED:
                self._turns.nothing_started(fileset.user)
        if state is State.SKIPPED:
            self._not_started(fileset)

    def _not_started(self, fileset: Fileset) -> None:
        """As `Turns.nothing_started`, for the importers of other machines."""
        rule = self._places.rule_for(fileset.user)
        if self._shared and rule is not None and rule.throttle_import:
            with suppress(JournalError):  # then they wait as long as after any import
                self._journal.not_started(rule.user, fileset.id)

    def stopped(self) -> dict[str, str]:
        """Users whose queue rests, and why."""
        with self._lock:
            return self._turns.stopped()

    def stop_queue(self, user: str, why: str) -> None:
        """Lets the queue of a user rest whose account is at fault."""
        log.warning("the queue of %s rests for %g s: %s", user, STOPPED_S, why)
        with self._lock:
            self._turns.stop(user, why, time.monotonic())

    def skip_gone(self, user: str) -> None:
        """Skips queued filesets whose files are gone, for a user whose queue rests.

        An import would find this out, but there is none now.  A fileset stays if OMERO may
        have been told to import it.  A file that comes back is met anew.
        """
        if self._elsewhere:
            return  # they may be there on another machine
        for fileset in self._journal.select(State.QUEUED, limit=_LOOKED_AT, user=user):
            watched = self._places.watch_dir(fileset.path)
            # Without the directory that is watched a share is away, and nothing was removed.
            gone = watched and not fileset.verified and is_there(watched) and _is_gone(fileset)
            if gone and self._journal.skip_as_seen(fileset, GONE):
                log.info("fileset %d: %s: %s", fileset.id, fileset.path, GONE)
        if user not in self._journal.queued_users():
            with self._lock:
                self._turns.go_on(user)


def _is_gone(fileset: Fileset) -> bool:
    """Whether nothing is left of it: not one of its files."""
    try:
        return all(stat_of(fileset.root, met.path) is None for met in fileset.files)
    except OSError:
        return False  # nobody knows
