"""Unfinished filesets in OMERO that can be deleted only later, also after a success.

OMERO may carry out a call that we gave up, up to 90 s later.  The next attempt then finds
nothing and imports, and afterwards half a fileset appears beside it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.nodes import LEFTOVER
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from omero_fs_plugin.errors import ImportRefused, UserError

from .activity import LATE_S, Watch
from .earlier import Earlier
from .importers import DiskAway
from .pool import SessionPool

log = logging.getLogger(__name__)


def note_leftover(journal: Journal, fileset: int) -> None:
    """Notes that OMERO has, or may still make, an unfinished fileset from this one."""
    journal.note(f"{LEFTOVER}{fileset}", f"{time.time():.0f}")


def give_back_cut_off(journal: Journal, fileset: int, reason: str) -> None:
    """Queues a fileset whose import nobody sees the end of.  Raises JournalError."""
    note_leftover(journal, fileset)  # first: after a kill in between, it is importing still
    journal.move(fileset, State.IMPORTING, State.QUEUED, reason)


class Leftovers:
    """Deletes what was noted, when it is certain that it is ours and nobody is at it."""

    def __init__(
        self,
        journal: Journal,
        omero: Omero,
        pool: SessionPool,
        watch: Watch,
        group_of: Callable[[Fileset], str],
    ) -> None:
        """`group_of` gives the group of a fileset's import; empty is the user's default.

        It raises DiskAway if the group cannot be known now.
        """
        self._journal, self._omero = journal, omero
        self._pool, self._watch, self._group_of = pool, watch, group_of
        # Note -> what it says, and since when (s, monotonic) we know that
        self._since: dict[str, tuple[str, float]] = {}

    def sweep(self) -> None:
        """Looks once.  Raises ServerAwayError and JournalError."""
        for key, said in self._journal.notes(LEFTOVER).items():
            fileset = self._journal.get(int(key.removeprefix(LEFTOVER)))
            if fileset is None:
                self._journal.note(key, "")
            elif fileset.state not in OPEN:  # the next attempt at an open one looks itself
                self._look(fileset, key, said)

    def _look(self, fileset: Fileset, key: str, said: str) -> None:
        try:
            with self._pool.session(fileset.user, self._group_of(fileset)) as session:
                earlier = Earlier(self._journal, self._omero, session, fileset, self._watch)
                left = earlier.clear()
                strangers = earlier.strangers()
        except (UserError, ImportRefused, DiskAway) as error:
            log.warning("fileset %d: what is left of it in OMERO: %s", fileset.id, error)
            return
        # This clock is never set, and after a restart we only look for longer.
        now = time.monotonic()
        noted, since = self._since.get(key, ("", now))
        if noted != said:  # it is new, or OMERO may carry out a call of a later attempt
            since = now
            self._since[key] = said, now
        if left or not all(strangers.values()) or now - since <= LATE_S:
            return
        self._tell_of(fileset, sorted(strangers))
        self._journal.unnote(key, said)
        del self._since[key]

    def _tell_of(self, fileset: Fileset, strangers: list[int]) -> None:
        """Notes at the fileset what DropBox may not delete, so that status tells of it."""
        if strangers:
            told = ", ".join(f"Fileset:{one}" for one in strangers)
            why = (
                f"OMERO has an unfinished {told} of the same file, and DropBox does not know who "
                "made it: delete it there if nobody uploads it"
            )
            log.warning("fileset %d: %s", fileset.id, why)
            self._journal.remark(fileset.id, f"imported, but {why}")
