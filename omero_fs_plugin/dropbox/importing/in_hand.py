"""What the importers' threads have in hand, so that no fileset is left between two states."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import JournalError

from .leftovers import give_back_cut_off

log = logging.getLogger(__name__)


class InHand:
    """The filesets that are importing or unfinished in the journal, and ours.  Thread-safe.

    Rule: such a fileset is in one of these places at any time.  A thread is taking it.  It is
    under way.  It is to be given back to the queue, or a thread is giving it back.  A thread is
    finishing it, or it is in `unfinished`.  If it is in none of them, it is adrift: then the
    journal was lost in the middle of a write.  `find_adrift` finds it again.

    One lock guards all of this, because a fileset goes from one place to the next in one step.  The
    lock is held for a moment only: never while the journal is asked.
    """

    def __init__(self, journal: Journal, unfinished: deque[int]) -> None:
        """`unfinished`: imported filesets that are still to be finished; others add to it too."""
        self._journal = journal
        self._unfinished = unfinished
        self._lock = threading.Lock()
        self._under_way: Counter[int] = Counter()  # fileset -> threads that are at it
        self._not_given_back: dict[int, str] = {}  # fileset still importing in the journal -> why
        self._giving_back: set[int] = set()  # those of them that a thread is giving back
        self._finishing: set[int] = set()  # imported filesets
        self._begun = 0  # times that something was taken from the journal, or it was tried
        self._taking = 0  # threads that do that, until what they took is in `_under_way`
        # The journal failed at a write, which it may have done all the same.
        self.adrift = False

    def begin(self) -> None:
        """This thread is about to take something from the journal.  `took` or `lost` follows."""
        with self._lock:
            self._begun += 1
            self._taking += 1

    def took(self, filesets: Collection[Fileset]) -> None:
        """They were taken, and are under way; without any, there was nothing to take."""
        with self._lock:
            self._taking -= 1
            self._under_way.update(one.id for one in filesets)

    def lost(self, filesets: Collection[Fileset]) -> None:
        """They were taken, and then it failed."""
        with self._lock:
            self._taking -= 1
            self._not_given_back.update((one.id, "not begun") for one in filesets)

    def let_go(self, filesets: Collection[Fileset], left: Collection[int]) -> None:
        """They are not under way any more.  Those `left` have no state yet, and are given back.

        Raises JournalError, as `give_back`.
        """
        with self._lock:
            self._not_given_back.update(dict.fromkeys(left, "not begun"))
            self._under_way -= Counter(fileset.id for fileset in filesets)
        self.give_back_the_rest()

    def give_back(self, filesets: Sequence[Fileset], reason: str) -> None:
        """Gives filesets back to the queue, so that none is left between two states.

        If the journal cannot be written now, this is done before anything else is taken.
        """
        with self._lock:  # note all of them first: the journal may fail at any of them
            self._not_given_back.update((fileset.id, reason) for fileset in filesets)
        self.give_back_the_rest()

    def give_back_the_rest(self) -> None:
        """Raises JournalError; what is not given back then is kept for the next call."""
        while True:
            with self._lock:
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
                with self._lock:
                    self._giving_back.discard(identifier)
                    if not given:
                        self._not_given_back[identifier] = reason

    def next_to_finish(self, rests: Callable[[int], bool]) -> int | None:
        """An unfinished fileset that does not rest, if any.  The caller finishes it.

        `rests` is called while the lock is held.
        """
        with self._lock:
            due = (one for one in list(self._unfinished) if not rests(one))
            identifier = next(due, None)
            if identifier is not None:
                self._unfinished.remove(identifier)
                self._finishing.add(identifier)
            return identifier

    def end_finishing(self, identifier: int, *, done: bool) -> None:
        """The caller is at it no more.  If it is not `done`, it is still unfinished."""
        with self._lock:
            self._finishing.discard(identifier)
            if not done:
                self._unfinished.append(identifier)

    def find_adrift(self) -> None:
        """Finds what is importing or unfinished in the journal, and with none of our threads.

        When the journal is lost in the middle of a write, nobody knows whether it did it.
        """
        with self._lock:
            begun, quiet = self._begun, not self._taking
            self.adrift = not quiet  # another thread may find the journal away from now on
            at_it = set(self._under_way)
            ours = at_it | self._not_given_back.keys() | self._giving_back
            # One that is given back may have been imported before that; then it is unfinished.
            finishing = at_it | self._finishing | set(self._unfinished)
        if not quiet:
            return
        importing, unfinished = self._journal.mine()
        with self._lock:
            if self._taking or begun != self._begun:
                self.adrift = True
                return  # some of it may be taken just now: at the next look
            self._begun += 1  # what another thread read at the same time does not count any more
            why = "the journal was away when it was taken; OMERO will be asked"
            self._not_given_back.update((one, why) for one in importing if one not in ours)
            finishing |= self._finishing | set(self._unfinished)
            self._unfinished.extend(one for one in unfinished if one not in finishing)
        self.give_back_the_rest()

    def leave(self) -> None:
        """Gives back the filesets of threads that have not ended."""
        with self._lock:
            left = set(self._under_way)
        for identifier in left:
            log.warning("fileset %d: left to OMERO, which will be asked for it", identifier)
            try:
                give_back_cut_off(self._journal, identifier, "stopped; OMERO will be asked")
            except JournalError as error:
                log.warning("fileset %d: %s", identifier, error)
                return  # it is away, and each further call would wait for it
