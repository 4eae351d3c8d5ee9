"""The importers: threads that take queued filesets, fairly, and import them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import HANDED_OVER, Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import (
    FsError,
    ImportRefused,
    JournalError,
    ServerAwayError,
    ServerBusyError,
    UserError,
)

from .attempts import refuse
from .beginning import Beginning
from .blame import LONGEST_REST_S, Blame, in_words, is_odd
from .crew import Crew
from .importers import DiskAway, Stopped
from .importing import BadAdvice, Importing, Plan
from .in_hand import InHand
from .load import Load
from .lookout import Lookout
from .methods import Methods
from .outage import Outage
from .recovery import Recovery
from .slots import Slots, ahead_of
from .taking import Taking
from .turns import Turns

log = logging.getLogger(__name__)

_PING_S = 5.0  # before anything is tried again after the journal, or an importer, has failed
_TIDY_S = 5.0  # how often sessions are looked at that nobody uses
SWEEP_S = 30.0  # how often OMERO is looked at for what was left there
_LEAVE_S = 0.5  # the least time that a stop has for giving filesets back


class Importers:
    """Threads that import what is queued, in turns of the users, `number` at a time.

    Some more bring the files of the next ones to OMERO meanwhile.

    `changed` is called with a fileset if one of its files changed during the import,
    so that it settles anew, `quarantine` with one that has failed.  `held` and `places`
    are those of Turns.

    `shared`: importers of other machines may work on the journal too.  `unseen` is for importers
    on another machine than DropBox's.  It says why this machine does not see the files that the
    journal means, and is empty if it does.  Those files are left to others.
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
        self._unseen = unseen
        self._journal = journal
        self._omero = omero
        self._recovery = Recovery(journal, omero, places)
        self._quarantine = quarantine
        self._changed = changed
        self._stopping = threading.Event()
        self._lookout = Lookout(self._stopping)
        ahead = ahead_of(number)
        self._crew = Crew(number + ahead, self._work)
        self.relieve = self._crew.relieve
        self.reading = self._crew.reading
        self.busy_at_work = self._crew.at_work
        self._load = Load(number, ahead, lambda: len(self._crew.parked()))
        self._slots = Slots(
            self._load.allowed, lambda: {work.thread for work in self._crew.parked()}
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
        self._blame = Blame()
        self._in_hand = InHand(journal, self._importing.unfinished)
        self._outage = Outage(omero, self._stopping)
        self.retry = self._outage.retry
        self.beginning = Beginning()
        self.turns = Turns(places, held)
        self._taking = Taking(
            journal,
            places,
            turns=self.turns,
            methods=methods,
            crew=self._crew,
            load=self._load,
            in_hand=self._in_hand,
            blame=self._blame,
            stopping=self._stopping,
            shared=shared,
            elsewhere=unseen is not None,
        )
        self._threads = [
            # Daemons: one held by a call to OMERO must not keep us from ending.
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._tidy, "sessions"), (self._sweep, "leftovers"))
        ]

    @property
    def short_of_threads(self) -> str:
        """Why there are fewer importers than there must be; empty if there are enough."""
        return self._crew.trouble

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
        self._lookout.wake()

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
        # A daemon: the journal may hold it.  Then the next start finds them importing.
        leaving = threading.Thread(target=self._in_hand.leave, name="importer-leaving", daemon=True)
        leaving.start()
        leaving.join(max(_LEAVE_S, until - time.monotonic()))
        ended &= not leaving.is_alive()
        if ended:
            self._importing.pool.tidy(everything=True)
        return ended

    def _work(self) -> None:
        try:
            self._work_on()
        finally:
            self._lookout.leave()

    def _work_on(self) -> None:
        while not self._stopping.is_set() and not self._crew.is_spare():
            try:
                with self._load.one_more() as may:
                    if may:
                        self._finish()
                    filesets = self._taking.take() if may else []
                    if filesets:
                        self._lookout.leave()
                        with self._crew.at(filesets):
                            self._import(filesets)
                        continue
                self._lookout.wait()
            except ServerBusyError as error:
                self._load.ease(error)
            except ServerAwayError as error:
                self._outage.wait(error)
            except JournalError as error:
                log.error("%s", error)
                self._in_hand.adrift = True
                self._stopping.wait(_PING_S)
            except Exception:
                # A defect of ours must neither end the thread nor be tried again at once.
                log.exception("an importer failed")
                self._stopping.wait(_PING_S)

    @property
    def busy(self) -> str:
        """How many imports OMERO can take now, and why not more; empty if OMERO is not busy."""
        return self._load.told()

    def _finish(self) -> None:
        """Finishes one import that was interrupted after the images were in OMERO.

        If this fails in a way that nobody expects, the fileset rests, longer each time: it keeps
        nothing else from being imported.
        """
        now, done = time.monotonic(), False
        identifier = self._in_hand.next_to_finish(lambda one: self._blame.rests(one, now))
        if identifier is None:
            return
        try:
            done = self._finish_one(identifier)
        except Exception as error:
            if is_odd(error):
                done = self._not_finished(identifier, error)
            raise
        finally:
            self._in_hand.end_finishing(identifier, done=done)

    def _finish_one(self, identifier: int) -> bool:
        """Whether there is nothing left to do.  Raises ServerAwayError and JournalError."""
        fileset = self._journal.get(identifier)
        if fileset is None:
            return True
        self._lookout.leave()
        try:
            with self._crew.at([fileset]):
                self._importing.finish(fileset)
        except (DiskAway, Stopped):
            return False
        except (UserError, ImportRefused, BadAdvice) as error:
            self._journal.finished(fileset.id, f"imported, but {error}")
        return True

    def _not_finished(self, identifier: int, error: Exception) -> bool:
        """Whether it is given up."""
        if not self._blame.was_not_finished(identifier, time.monotonic()):
            return False
        self._journal.finished(identifier, f"imported, but {in_words(error)}")
        self._blame.given_up(identifier)
        return True

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
                    self._in_hand.give_back([left.pop(fileset.id)], str(error))
                    self._blame.was_refused(fileset, time.monotonic())
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
            # Something is left if another of them failed in a way that concerns all.
            self._in_hand.let_go(filesets, left)

    def _leave_to_others(self, fileset: Fileset, why: str) -> None:
        log.warning("fileset %d: left to others: %s", fileset.id, why)
        self._blame.rest(fileset.id, time.monotonic() + LONGEST_REST_S)
        self._in_hand.give_back([fileset], f"left to other importers: {why}")

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
            self._in_hand.give_back(mine(), str(error))
            self._taking.stop_queue(user, str(error))
            if isinstance(error, UserError):
                self._taking.skip_gone(user)
        except Exception as error:
            if not is_odd(error):
                self._in_hand.give_back(mine(), str(error))
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
            at_fault = self._blame.failed(fileset, now)
            if len(filesets) == 1 and at_fault:
                state = refuse(self._journal, fileset, in_words(error))
                self._ended(fileset, state)
                given_back.remove(fileset)
                refused = True
        self._in_hand.give_back(given_back, in_words(error))
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
        self._taking.ended(fileset.user, state)
        if state is State.IMPORTED:
            self._load.went_well()
            self._blame.was_imported()
        if state is not State.QUEUED:
            self._blame.acquit(fileset.id)
        if state is State.FAILED:
            self._quarantine(fileset)
        elif state is State.WAITING:
            self._changed(fileset)
        elif state is State.QUEUED:
            self._blame.was_refused(fileset, time.monotonic())

    def stopped(self) -> dict[str, str]:
        """Users whose queue rests, and why."""
        return self._taking.stopped()

    def closed(self) -> dict[str, str]:
        """Watched directories whose imports do not begin now, and why (omero.fs.window)."""
        return self.turns.closed(time.time())

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
