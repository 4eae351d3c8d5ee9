"""The importers: threads that take queued filesets, fairly, and import them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.confine import is_there
from omero_fs_plugin.dropbox.confine.trees import stat_of
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import GONE, HANDED_OVER, Fileset, Start
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import (
    FsError,
    ImportRefused,
    JournalError,
    RecordRefused,
    ServerAwayError,
    ServerBusyError,
    UnclearError,
    UserError,
)

from .attempts import TRIES, TRY_AGAIN_S, refuse
from .beginning import Beginning
from .crew import Crew
from .importers import DiskAway, Stopped
from .importers.choice import JAVA
from .importing import BadAdvice, Importing, Plan
from .leftovers import give_back_cut_off
from .line import Line
from .methods import Methods
from .outage import IN_VAIN_S, Outage
from .pace import Pace
from .recovery import Recovery
from .slots import Slots, ahead_of
from .turns import STOPPED_S, Turn, Turns

log = logging.getLogger(__name__)

_LOOK_S = 1.0  # how often the journal is looked at for what was handed over
_PING_S = 5.0  # before anything is tried again after the journal, or an importer, has failed
_TIDY_S = 5.0  # how often sessions are looked at that nobody uses
SWEEP_S = 30.0  # how often OMERO is looked at for what was left there
_LOOKED_AT = 1000  # queued filesets of such a user that are looked for on disk at a time
_LEAVE_S = 0.5  # the least time that a stop has for giving filesets back
_TOGETHER = 30  # filesets in one run of OMERO's own importer
_LONGEST_REST_S = 60.0  # a fileset waits at most so long for another with the same content


class Importers:
    """Threads that import what is queued, in turns of the users, `number` at a time.

    Some more bring the files of the next ones to OMERO meanwhile.  With a `number` of 0 nothing is
    taken: one thread finishes what others have left, and the rest is for other machines.

    `changed` is called with a fileset if one of its files changed during the import,
    so that it settles anew, `quarantine` with one that has failed.  `held` and `places`
    are those of Turns.

    `shared`: importers of other machines may work on the journal too.  `unseen` is for importers
    on another machine than DropBox's.  It says why this machine does not see the files that the
    journal means, and is empty if it does.  Those files are left to others.

    Of the threads without work one looks out: it looks every _LOOK_S at the journal, which
    other processes write too, and at what may have become due.  The others wait until it has
    found something, or until `wake`.
    """

    def __init__(
        self,
        journal: Journal,
        omero: Omero,
        *,
        places: Places,
        number: int,
        held: Callable[[str], str],
        import_duplicates: Callable[[], bool],
        quarantine: Callable[[Fileset], None],
        changed: Callable[[Fileset], None],
        methods: Methods,
        address: tuple[str, int] = ("localhost", 4064),
        shared: bool = False,
        unseen: Callable[[Fileset], str] | None = None,
    ) -> None:
        self._shared, self._unseen = shared, unseen
        self._takes = number > 0
        # How many other machines have importers at work; None: nobody knows yet.
        self.elsewhere: int | None = None
        self._journal = journal
        self._line = Line(lambda: journal.queued_users())
        self._omero = omero
        self._recovery = Recovery(journal, omero, places)
        self._places = places
        self._quarantine = quarantine
        self._changed = changed
        self._methods = methods
        self._stopping = threading.Event()
        ahead = ahead_of(number)
        self._slots = Slots(
            lambda: self._pace.allowed, lambda: {work.thread for work in self._crew.parked()}
        )
        self._importing = Importing(
            journal,
            omero,
            places=places,
            methods=methods,
            address=address,
            import_duplicates=import_duplicates,
            stopping=lambda: self._stopping.is_set(),
            slots=self._slots,
        )
        # Held for a moment only: never while a disk, OMERO or the journal is asked.
        self._news = threading.Condition()
        self._lookout = 0  # the thread that looks out, as threading.get_ident has it; 0: none
        self.turns = Turns(places, held)
        self._resting: dict[int, float] = {}  # fileset that rests after a refusal -> until (s)
        self._under_way: Counter[int] = Counter()  # fileset -> threads that are at it
        self._pace = Pace(max(1, number), ahead)
        self._at_work = 0  # threads that import, or look for something to import
        self._went_through = 0  # imports that succeeded since the start
        # Fileset that failed for an unknown reason -> imports that had succeeded by then
        self._suspects: dict[int, int] = {}
        self._odd_ends: Counter[int] = Counter()  # imported fileset -> times it was not finished
        self._not_given_back: dict[int, str] = {}  # fileset still importing in the journal -> why
        self._giving_back: set[int] = set()  # those of them that a thread is giving back
        self._finishing: set[int] = set()  # imported filesets
        self._begun = 0  # times that something was taken from the journal, or it was tried
        self._taking = 0  # threads that do that, until what they took is in `_under_way`
        # The journal failed at a write, which it may have done all the same: see `_find_adrift`.
        self._adrift = False
        self._outage = Outage(omero, self._stopping)
        self.retry = self._outage.retry
        self.beginning = Beginning()
        self._number = max(1, number + ahead)
        self._crew = Crew(self._number, self._work)
        self.relieve = self._crew.relieve
        self.reading = self._crew.reading
        self.busy_at_work = self._crew.at_work
        self._threads = [
            # Daemons: one held by a call to OMERO must not keep us from ending.
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._tidy, "sessions"), (self._sweep, "leftovers"))
        ]

    @property
    def short_of_threads(self) -> str:
        """Why there are fewer importers than there must be; empty if there are enough."""
        return self._crew.trouble

    @property
    def nobody(self) -> str:
        """Why nothing is imported although all is well; empty if somebody imports."""
        if self._takes or self.elsewhere != 0:
            return ""
        return "omero.fs.importers is 0, and no other machine has importers at work"

    def start(self) -> None:
        """Starts the threads.

        Filesets that the journal has as importing were interrupted, if nobody else's importers
        are at them.  They are queued, so that OMERO is asked about them.
        """
        for fileset in self._journal.importing():
            log.info("fileset %d: is being imported, or was interrupted", fileset.id)
        self.finish_too(self._journal.give_back_orphans("interrupted; OMERO will be asked"))
        self.beginning.begin(time.monotonic())
        self._crew.start()
        for thread in self._threads:
            thread.start()

    def finish_too(self, imported: Sequence[int]) -> None:
        """Takes on imported filesets for which something is still to be done; they are ours."""
        self._importing.unfinished.extend(imported)

    def progress(self) -> dict[int, str]:
        """Id of each fileset under way -> how many of its bytes are done, for people."""
        return self._importing.progress()

    @property
    def away(self) -> str:
        """Why OMERO cannot be reached; empty while it can."""
        return self._outage.away

    @property
    def wrong(self) -> str:
        """What must be changed before anything is imported; empty: nothing."""
        return self._outage.wrong

    def wake(self) -> None:
        """Tells the threads that there is something new in the queue."""
        with self._news:
            self._news.notify_all()

    def ask_to_stop(self) -> None:
        """Tells the threads to begin nothing more, and to end where it can be taken up again."""
        self._stopping.set()
        self.wake()
        self._slots.stir()

    def stop(self, until: float) -> bool:
        """Waits for what is under way until `until` (s, monotonic), and gives back the rest.

        Whether every thread has ended.  An import that OMERO does not let us
        leave in time goes on there without us: OMERO is asked for its end at
        the next start.
        """
        self.ask_to_stop()
        ended = self._crew.stop(until)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
                ended &= not thread.is_alive()
        with self._news:
            left = set(self._under_way)
        # A daemon: the journal may hold it.  Then the next start finds them importing.
        leaving = threading.Thread(
            target=self._leave, args=[left], name="importer-leaving", daemon=True
        )
        leaving.start()
        leaving.join(max(_LEAVE_S, until - time.monotonic()))
        ended &= not leaving.is_alive()
        if ended:
            self._importing.pool.tidy(everything=True)
        return ended

    def _leave(self, left: Collection[int]) -> None:
        """Gives back filesets whose threads have not ended."""
        for identifier in left:
            log.warning("fileset %d: left to OMERO, which will be asked for it", identifier)
            try:
                give_back_cut_off(self._journal, identifier, "stopped; OMERO will be asked")
            except JournalError as error:
                log.warning("fileset %d: %s", identifier, error)
                return  # it is away, and each further call would wait for it

    def _work(self) -> None:
        try:
            self._work_on()
        finally:
            self._leave_lookout()

    def _wait(self) -> None:
        """There is nothing to do now.  Returns when there may be."""
        with self._news:
            if self._stopping.is_set():
                return
            if not self._lookout:
                self._lookout = threading.get_ident()
            mine = self._lookout == threading.get_ident()
            self._news.wait(_LOOK_S if mine else None)

    def _leave_lookout(self) -> None:
        """This thread has something else to do.  If it looked out, another one does."""
        with self._news:
            if self._lookout == threading.get_ident():
                self._lookout = 0
                self._news.notify_all()

    def _work_on(self) -> None:
        while not self._stopping.is_set() and not self._crew.is_spare():
            try:
                with self._turn_of_one() as may:
                    filesets = self._take() if may else []
                    if filesets:
                        self._leave_lookout()
                        with self._crew.at(filesets):
                            self._import(filesets)
                        continue
                self._wait()
            except ServerBusyError as error:
                self._ease(error)
            except ServerAwayError as error:
                self._outage.wait(error)
            except JournalError as error:
                log.error("%s", error)
                self._adrift = True
                self._stopping.wait(_PING_S)
            except Exception:
                # A defect of ours must neither end the thread nor be tried again at once.
                log.exception("an importer failed")
                self._stopping.wait(_PING_S)

    @contextmanager
    def _turn_of_one(self) -> Iterator[bool]:
        """Yields whether OMERO can take one more import.  If so, it counts until the end."""
        with self._news:
            getting_on = self._at_work - len(self._crew.parked())
            may = self._pace.may_begin(max(0, getting_on), time.monotonic())
            self._at_work += may
        try:
            if may:
                self._finish()
            yield may
        finally:
            if may:
                with self._news:
                    self._at_work -= 1

    def _ease(self, error: ServerBusyError) -> None:
        """OMERO has too much to do: no import begins for a while, then fewer run at a time."""
        with self._news:
            rest = self._pace.busy(str(error), time.monotonic(), back_off=error.back_off)
            allowed = self._pace.allowed
        log.warning(
            "OMERO is busy, no import begins for %g s, then %d at a time: %s", rest, allowed, error
        )

    @property
    def busy(self) -> str:
        """How many imports OMERO can take now, and why not more; empty if OMERO is not busy."""
        with self._news:
            return self._pace.told()

    def _finish(self) -> None:
        """Finishes one import that was interrupted after the images were in OMERO.

        If this fails in a way that nobody expects, the fileset rests, longer each time: it keeps
        nothing else from being imported.
        """
        now, unfinished = time.monotonic(), self._importing.unfinished
        with self._news:
            due = (one for one in list(unfinished) if self._resting.get(one, 0.0) <= now)
            identifier = next(due, None)
            if identifier is None:
                return
            unfinished.remove(identifier)
            self._finishing.add(identifier)
        done = False
        try:
            done = self._finish_one(identifier)
        except Exception as error:
            if is_odd(error):
                done = self._not_finished(identifier, error)
            raise
        finally:
            with self._news:
                self._finishing.discard(identifier)
                if not done:
                    self._importing.unfinished.append(identifier)

    def _finish_one(self, identifier: int) -> bool:
        """Whether there is nothing left to do.  Raises ServerAwayError and JournalError."""
        fileset = self._journal.get(identifier)
        if fileset is None:
            return True
        self._leave_lookout()
        try:
            with self._crew.at([fileset]):
                self._importing.finish(fileset)
        except (DiskAway, Stopped):
            return False
        except (UserError, ImportRefused, BadAdvice) as error:
            self._journal.finished(fileset.id, f"imported, but {error}")
        return True

    def _not_finished(self, identifier: int, error: Exception) -> bool:
        """Whether it is given up: it failed TRIES times, while others were imported."""
        with self._news:
            self._odd_ends[identifier] += 1
            tries = self._odd_ends[identifier]
            then = self._suspects.setdefault(identifier, self._went_through)
            self._resting[identifier] = time.monotonic() + min(IN_VAIN_S, 2.0 ** min(tries, 30))
            others = self._went_through > then
        if tries < TRIES or not others:
            return False
        self._journal.finished(identifier, f"imported, but {in_words(error)}")
        with self._news:
            del self._odd_ends[identifier], self._suspects[identifier]
        return True

    def _take(self) -> list[Fileset]:
        """The oldest queued fileset of the user who has waited longest for a turn.

        OMERO's own importer gets more filesets of that user, which it imports in one run.
        They are under way from now on.
        """
        self._give_back_the_rest()
        if self._adrift:
            self._find_adrift()
        if not self._takes:
            return []
        now = time.monotonic()
        with self._news:
            self._resting = {i: until for i, until in self._resting.items() if until > now}
            resting = frozenset(self._resting)
        users, as_now = self._line.users(now)
        taken = self._take_of(users, resting, now)
        return taken if taken or as_now else self._take_of(self._line.as_now(now), resting, now)

    def _take_of(self, users: list[str], resting: frozenset[int], now: float) -> list[Fileset]:
        """As `_take`, for one of `users`."""
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
                    small=self.turns.priority.small,
                    turn=turn.number,
                    start=Start(turn.entry, turn.apart) if self._shared and turn.apart else None,
                )
                if fileset is not None:
                    taken.append(fileset)
                    self._take_more(taken)
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
        with self._news:
            self.turns.hear(users, given)
            self.turns.hear_of_starts(started, time.monotonic())

    def _next_turn(self, users: Sequence[str], now: float) -> Turn | None:
        """Of the user among `users` who comes first, if one may go on now."""
        with self._news:
            # The places of those that are parked are for the other users.
            beyond = self._at_work > self._number
            but = {work.user for work in self._crew.parked()} if beyond else ()
            turn = self.turns.next(users, now, time.time(), but)
            if turn is not None:
                self._begun += 1
                self._taking += 1
            return turn

    def _end_turn(
        self, turn: Turn, taken: Sequence[Fileset], now: float, *, failed: bool = False
    ) -> None:
        """Without anything `taken`, the turn does not count.  If it `failed`, it is given back."""
        with self._news:
            self._taking -= 1
            if failed:
                self._not_given_back.update((one.id, "not begun") for one in taken)
            else:
                self._under_way.update(one.id for one in taken)
            self.turns.end(turn, taken[0] if taken else None, now)

    def _find_adrift(self) -> None:
        """Finds what is importing or unfinished in the journal, and with none of our threads.

        When the journal is lost in the middle of a write, nobody knows whether it did it.
        """
        with self._news:
            begun, quiet = self._begun, not self._taking
            self._adrift = not quiet  # another thread may find the journal away from now on
            at_it = set(self._under_way)
            ours = at_it | self._not_given_back.keys() | self._giving_back
            # One that is given back may have been imported before that; then it is unfinished.
            finishing = at_it | self._finishing | set(self._importing.unfinished)
        if not quiet:
            return
        importing, unfinished = self._journal.mine()
        with self._news:
            if self._taking or begun != self._begun:
                self._adrift = True
                return  # some of it may be taken just now: at the next look
            self._begun += 1  # what another thread read at the same time does not count any more
            why = "the journal was away when it was taken; OMERO will be asked"
            self._not_given_back.update((one, why) for one in importing if one not in ours)
            finishing |= self._finishing | set(self._importing.unfinished)
            self._importing.unfinished.extend(one for one in unfinished if one not in finishing)
        self._give_back_the_rest()

    def _take_more(self, taken: list[Fileset]) -> None:
        """Adds to the first of a run those that OMERO's own importer imports with it."""
        (first,) = taken
        with self._news:
            suspects = set(self._suspects)
            apart = suspects | self._resting.keys()
        # If something unknown is wrong with a fileset, it is imported alone.
        method = self._methods.of(self._places.rule_of(first.path, first.user))
        if method.choice.importer != JAVA or first.id in suspects:
            return
        while len(taken) < _TOGETHER and not self._stopping.is_set():
            # Of one root: while they are imported, their importer is known to be at it.
            fileset = self._journal.take(first.user, apart, CALLS.away(), first.root)
            if fileset is None:
                return
            taken.append(fileset)

    def _import(self, filesets: list[Fileset]) -> None:
        """Imports what was taken."""
        left = {fileset.id: fileset for fileset in filesets}
        try:
            plans: dict[tuple[object, ...], tuple[Plan, list[Fileset]]] = {}
            for fileset in filesets:
                log.info("fileset %d: importing %s for %s", fileset.id, fileset.path, fileset.user)
                try:
                    if self._unseen is not None and (why := self._unseen(fileset)):
                        self._leave_to_others(left.pop(fileset.id), why)
                        continue
                    plan = self._importing.plan(fileset)
                except BadAdvice as error:
                    self._advised_badly([left.pop(fileset.id)], str(error))
                    continue
                except DiskAway as error:
                    self._give_back([left.pop(fileset.id)], str(error))
                    self._rest(fileset)
                    continue
                except Exception as error:
                    log.exception("an importer failed")
                    self._against([left.pop(fileset.id)], error)
                    continue
                # What a sidecar says is of its own filesets: they are not taken together.
                key = (id(plan.method), fileset.id if plan.said.files else 0)
                plans.setdefault(key, (plan, []))[1].append(fileset)
            for plan, together in plans.values():
                self._attempt(plan, together, left)
        finally:
            with self._news:
                # Something is left if another of them failed in a way that concerns all.
                self._not_given_back.update(dict.fromkeys(left, "not begun"))
                self._under_way -= Counter(fileset.id for fileset in filesets)
            self._give_back_the_rest()

    def _leave_to_others(self, fileset: Fileset, why: str) -> None:
        log.warning("fileset %d: left to others: %s", fileset.id, why)
        with self._news:
            self._resting[fileset.id] = time.monotonic() + _LONGEST_REST_S
        self._give_back([fileset], f"left to other importers: {why}")

    def _attempt(self, plan: Plan, together: list[Fileset], left: dict[int, Fileset]) -> None:
        """Imports filesets, and removes from `left` those that have their state."""
        user = together[0].user

        def mine() -> list[Fileset]:
            return [left.pop(f.id) for f in together if f.id in left]

        try:
            self._recovery.of(user)
            for fileset, state in self._importing.run(plan, together):
                del left[fileset.id]
                self._ended(fileset, state)
        except BadAdvice as error:
            self._advised_badly(mine(), str(error))
        except (UserError, ImportRefused) as error:  # the fault of the account, not of the files
            self._give_back(mine(), str(error))
            self._stop_queue(user, str(error))
            if isinstance(error, UserError):
                self._skip_gone(user)
        except Exception as error:
            if not is_odd(error):
                self._give_back(mine(), str(error))
                raise
            if not self._against(mine(), error):
                raise

    def _against(self, filesets: list[Fileset], error: Exception) -> bool:
        """OMERO or DropBox failed for an unknown reason while these were under way.

        They rest, longer each time.  If a fileset meets this again after others succeeded,
        the fault is in the fileset and not in OMERO: it counts as refused.  Returns
        whether this was so.
        """
        for fileset in filesets:
            log.warning("fileset %d: %s", fileset.id, in_words(error))
        now, refused = time.monotonic(), False
        given_back = list(filesets)
        for fileset in filesets:
            with self._news:
                then = self._suspects.get(fileset.id)
                self._suspects[fileset.id] = self._went_through
                rest = min(IN_VAIN_S, 2.0 ** min(fileset.attempts, 30))
                self._resting[fileset.id] = now + rest
            if len(filesets) == 1 and then is not None and self._went_through > then:
                state = refuse(self._journal, fileset, in_words(error))
                self._ended(fileset, state)
                given_back.remove(fileset)
                refused = True
        self._give_back(given_back, in_words(error))
        return refused

    def _advised_badly(self, filesets: list[Fileset], why: str) -> None:
        """They wait until their sidecar is changed; filesets handed over have failed."""
        for fileset in filesets:
            log.warning("fileset %d: %s", fileset.id, why)
            if fileset.origin == HANDED_OVER:
                self._journal.move(fileset.id, State.IMPORTING, State.FAILED, why)
            else:
                self._journal.settle_anew(fileset.id, why)
                self._changed(fileset)

    def _ended(self, fileset: Fileset, state: State) -> None:
        self._outage.over()
        if state in (State.IMPORTED, State.FAILED):
            self.beginning.went()
        with self._news:
            self.turns.go_on(fileset.user)
            if state is State.SKIPPED:
                self.turns.nothing_started(fileset.user)
            if state is State.IMPORTED:
                self._went_through += 1
                self._pace.well(time.monotonic())
            if state is not State.QUEUED:
                self._suspects.pop(fileset.id, None)
        if state is State.SKIPPED:
            self._not_started(fileset)
        if state is State.FAILED:
            self._quarantine(fileset)
        elif state is State.WAITING:
            self._changed(fileset)
        elif state is State.QUEUED:
            self._rest(fileset)

    def _not_started(self, fileset: Fileset) -> None:
        """As `Turns.nothing_started`, for the importers of other machines."""
        rule = self._places.rule_for(fileset.user)
        if self._shared and rule is not None and rule.throttle_import:
            with suppress(JournalError):  # then they wait as long as after any import
                self._journal.not_started(rule.user, fileset.id)

    def _rest(self, fileset: Fileset) -> None:
        """It was refused; or it, or its content, or its disk, is busy, which may take long."""
        rest = TRY_AGAIN_S[min(fileset.refusals, len(TRY_AGAIN_S) - 1)]
        doubled = 2.0 ** min(fileset.attempts - TRIES, 30)
        rest = max(rest, min(_LONGEST_REST_S, doubled))
        with self._news:
            self._resting[fileset.id] = time.monotonic() + rest

    def _give_back(self, filesets: Sequence[Fileset], reason: str) -> None:
        """Gives filesets back to the queue, so that none is left between two states.

        If the journal cannot be written now, this is done before anything else is taken.
        """
        with self._news:  # note all of them first: the journal may fail at any of them
            self._not_given_back.update((fileset.id, reason) for fileset in filesets)
        self._give_back_the_rest()

    def _give_back_the_rest(self) -> None:
        """Raises JournalError; what is not given back then is kept for the next call."""
        while True:
            with self._news:
                if not self._not_given_back:
                    return
                # Only one thread gives it back: right after that another may take it again.
                identifier, reason = self._not_given_back.popitem()
                self._giving_back.add(identifier)
            given = False
            try:
                self._journal.move(identifier, State.IMPORTING, State.QUEUED, reason)
                given = True
            finally:
                with self._news:
                    self._giving_back.discard(identifier)
                    if not given:
                        self._not_given_back[identifier] = reason

    def stopped(self) -> dict[str, str]:
        """Users whose queue rests, and why."""
        with self._news:
            return self.turns.stopped()

    def closed(self) -> dict[str, str]:
        """Watched directories whose imports do not begin now, and why (omero.fs.window)."""
        return self.turns.closed(time.time())

    def _stop_queue(self, user: str, why: str) -> None:
        log.warning("the queue of %s rests for %g s: %s", user, STOPPED_S, why)
        with self._news:
            self.turns.stop(user, why, time.monotonic())

    def _skip_gone(self, user: str) -> None:
        """Skips queued filesets whose files are gone, for a user whose queue rests.

        An import would find this out, but there is none now.  A fileset stays if OMERO may
        have been told to import it.  A file that comes back is met anew.
        """
        if self._unseen is not None:
            return  # they may be there on another machine
        for fileset in self._journal.select(State.QUEUED, limit=_LOOKED_AT, user=user):
            watched = self._places.watch_dir(fileset.path)
            # Without the directory that is watched a share is away, and nothing was removed.
            if watched and not fileset.verified and is_there(watched) and _is_gone(fileset):
                self._journal.move(fileset.id, State.QUEUED, State.SKIPPED, GONE)
                log.info("fileset %d: %s: %s", fileset.id, fileset.path, GONE)
        if user not in self._journal.queued_users():
            with self._news:
                self.turns.go_on(user)

    def _tidy(self) -> None:
        while not self._stopping.wait(_TIDY_S):
            try:
                self._importing.pool.tidy()
            except Exception:
                log.exception("closing idle sessions failed")

    def _greet(self) -> None:
        """Asks OMERO for a sign of life until it gives one, also if there is nothing to import."""
        while not self._stopping.is_set():
            try:
                self._omero.ping()
            except FsError as error:
                self.beginning.not_up = str(error)
            except Exception:
                log.exception("asking OMERO for a sign of life failed")
                return
            else:
                self.beginning.not_up = ""
                return
            self._stopping.wait(_PING_S)

    def _sweep(self) -> None:
        self._greet()
        while not self._stopping.wait(SWEEP_S):
            try:
                self._importing.leftovers.sweep()
            except (ServerAwayError, JournalError) as error:
                log.debug("looking for what is left in OMERO: %s", error)
            except Exception:
                log.exception("looking for what is left in OMERO failed")


def is_odd(error: Exception) -> bool:
    """Whether nobody knows what it says of the fileset: a defect of ours, or something unclear."""
    return isinstance(error, UnclearError | RecordRefused) or not isinstance(error, FsError)


def in_words(error: Exception) -> str:
    """One line for people."""
    return str(error) if isinstance(error, FsError) else f"{type(error).__name__}: {error}"


def _is_gone(fileset: Fileset) -> bool:
    """Whether nothing is left of it: not one of its files."""
    try:
        return all(stat_of(fileset.root, met.path) is None for met in fileset.files)
    except OSError:
        return False  # nobody knows
