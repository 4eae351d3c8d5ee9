"""Unfinished filesets in OMERO that can be taken away only later, also after a success.

A call that we gave up is carried out all the same, up to 90 s later: the next
attempt finds nothing, imports, and then half a fileset appears beside it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import OPEN
from omero_fs_plugin.errors import ImportRefused, UserError

from .activity import LATE_S, Watch
from .earlier import Earlier
from .pool import SessionPool

log = logging.getLogger(__name__)

_NOTE = "leftover:"  # and a fileset's id: when it was noted, in s since the epoch


def note_leftover(journal: Journal, fileset: Fileset) -> None:
    """OMERO has, or may yet make, something of this fileset that nobody will finish."""
    journal.note(f"{_NOTE}{fileset.id}", f"{time.time():.0f}")


class Leftovers:
    """Takes away what was noted, once that is certain to be ours and without life."""

    def __init__(
        self,
        journal: Journal,
        omero: Omero,
        pool: SessionPool,
        watch: Watch,
        group_of: Callable[[Fileset], str],
    ) -> None:
        """`group_of`: where a fileset is imported to; empty is the user's default."""
        self._journal, self._omero = journal, omero
        self._pool, self._watch, self._group_of = pool, watch, group_of

    def sweep(self) -> None:
        """Looks once.  Raises ServerAwayError and JournalError."""
        for key, noted in self._journal.notes(_NOTE).items():
            fileset = self._journal.get(int(key.removeprefix(_NOTE)))
            if fileset is None:
                self._journal.note(key, "")
            elif fileset.state not in OPEN:  # those are looked up by their next attempt
                self._look(fileset, key, float(noted))

    def _look(self, fileset: Fileset, key: str, noted: float) -> None:
        try:
            with self._pool.session(fileset.user, self._group_of(fileset)) as session:
                earlier = Earlier(self._journal, self._omero, session, fileset, self._watch)
                left = earlier.clear()
        except (UserError, ImportRefused) as error:
            log.warning("fileset %d: what is left of it in OMERO: %s", fileset.id, error)
            return
        # A clock that was set back makes us look for longer, no more.
        if not left and time.time() - noted > LATE_S:
            self._journal.note(key, "")
