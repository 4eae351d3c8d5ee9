"""The importers: threads that take queued filesets, fairly, and import them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import JournalError, ServerAwayError, ServerBusyError

from .beginning import Beginning
from .blame import Blame
from .crew import Crew
from .finishing import Finishing
from .importing import Importing
from .in_hand import InHand
from .load import Load
from .lookout import Lookout
from .methods import Methods
from .outage import Outage
from .recovery import Recovery
from .runs import Runs
from .slots import Slots, ahead_of
from .taking import Taking
from .tidying import Tidying
from .turns import Turns

log = logging.getLogger(__name__)

_PING_S = 5.0  # before anything is tried again after the journal, or an importer, has failed
_LEAVE_S = 0.5  # the least time that a stop has for giving filesets back


class Importers:
    """Threads that import what is queued, in turns of the users, `number` at a time.

    Some more threads upload the files of the next imports meanwhile.  With a `number` of 0 nothing
    is taken: one thread finishes what others have left, and the rest is for other machines.

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
        self._takes = number > 0
        # How many other machines have importers at work; None: nobody knows yet.
        self.elsewhere: int | None = None
        self._journal = journal
        self._quarantine = quarantine
        self._changed = changed
        self._stopping = threading.Event()
        self._lookout = Lookout(self._stopping)
        ahead = ahead_of(number)
        self._crew = Crew(max(1, number + ahead), self._work)
        self.relieve = self._crew.relieve
        self.reading = self._crew.reading
        self.busy_at_work = self._crew.at_work
        self._load = Load(max(1, number), ahead, lambda: len(self._crew.parked()))
        self._slots = Slots(
            self._load.allowed, lambda: {work.thread for work in self._crew.parked()}
        )
        recovery = Recovery(journal, omero, places)
        self._importing = Importing(
            journal,
            omero,
            places=places,
            methods=methods,
            address=address,
            import_duplicates=import_duplicates,
            stopping=lambda: self._stopping.is_set(),
            slots=self._slots,
            newest=recovery.newest,
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
            takes=self._takes,
            shared=shared,
            elsewhere=unseen is not None,
        )
        self._runs = Runs(
            journal,
            self._importing,
            recovery,
            in_hand=self._in_hand,
            blame=self._blame,
            taking=self._taking,
            ended=self._ended,
            changed=changed,
            unseen=unseen,
        )
        self._finishing = Finishing(
            journal, self._importing, self._in_hand, self._blame, self._being_at
        )
        self._tidying = Tidying(
            omero, self._importing.pool, self._importing.leftovers, self.beginning, self._stopping
        )

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

        If the journal has a fileset as importing, and no importer of others works on it, it was
        interrupted.  It is queued, so that OMERO is asked about it.
        """
        for fileset in self._journal.importing():
            log.info("fileset %d: is being imported, or was interrupted", fileset.id)
        self.finish_too(self._journal.give_back_orphans("interrupted; OMERO will be asked"))
        self.beginning.begin(time.monotonic())
        self._crew.start()
        self._tidying.start()

    def finish_too(self, imported: Sequence[int]) -> None:
        """Takes on imported filesets for which something is still to be done; they are ours."""
        self._importing.unfinished.extend(imported)

    @property
    def beside(self) -> dict[str, str]:
        """The last file that another DropBox imported beside us, and why; empty: none did."""
        found = self._importing.beside
        return dict([found]) if found is not None else {}

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

        Whether every thread has ended.  If OMERO does not let us leave an import in time, it goes
        on there without us.  The next start asks OMERO how it ended.
        """
        self.ask_to_stop()
        ended = self._crew.stop(until)
        ended &= self._tidying.stop(until)
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
                        self._finishing.finish_one()
                    filesets = self._taking.take() if may else []
                    if filesets:
                        with self._being_at(filesets):
                            self._runs.make(filesets)
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

    @contextmanager
    def _being_at(self, filesets: Sequence[Fileset]) -> Iterator[None]:
        """This thread has something to do, and the crew knows what."""
        self._lookout.leave()
        with self._crew.at(filesets):
            yield

    def _ended(self, fileset: Fileset, state: State) -> None:
        """Tells everybody that an attempt gave a fileset its state."""
        self._outage.over()
        if state in (State.IMPORTED, State.FAILED):
            self.beginning.went()
        self._taking.ended(fileset, state)
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
        return self.turns.closed(self._journal.now())
