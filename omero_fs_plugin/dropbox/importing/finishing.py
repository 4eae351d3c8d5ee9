"""Finishes imports that were interrupted after the images were in OMERO."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import ImportRefused, UserError

from .blame import Blame, in_words, is_odd
from .importers import DiskAway, Stopped
from .importing import BadAdvice, Importing
from .in_hand import InHand


class Finishing:
    """Does for one fileset what was left to do after its import.  Thread-safe.

    Rule: if this fails in a way that nobody expects, the fileset rests, longer each time.  So it
    keeps nothing else from being imported.
    """

    def __init__(
        self,
        journal: Journal,
        importing: Importing,
        in_hand: InHand,
        blame: Blame,
        at: Callable[[Sequence[Fileset]], AbstractContextManager[None]],
    ) -> None:
        """`at` gives a context manager for the time in which this thread works on filesets."""
        self._journal, self._importing = journal, importing
        self._in_hand, self._blame = in_hand, blame
        self._at = at

    def finish_one(self) -> None:
        """Finishes the next one, if there is any.

        Raises ServerAwayError and JournalError.  Also raises what nobody expects.
        """
        now, done = time.monotonic(), False
        identifier = self._in_hand.next_to_finish(lambda one: self._blame.rests(one, now))
        if identifier is None:
            return
        try:
            done = self._finish(identifier)
        except Exception as error:
            if is_odd(error):
                done = self._is_given_up(identifier, error)
            raise
        finally:
            self._in_hand.end_finishing(identifier, done=done)

    def _finish(self, identifier: int) -> bool:
        """Whether there is nothing left to do.  Raises ServerAwayError and JournalError."""
        fileset = self._journal.get(identifier)
        if fileset is None:
            return True
        try:
            with self._at([fileset]):
                self._importing.finish(fileset)
        except (DiskAway, Stopped):
            return False
        except (UserError, ImportRefused, BadAdvice) as error:
            self._journal.finished(fileset.id, f"imported, but {error}")
        return True

    def _is_given_up(self, identifier: int, error: Exception) -> bool:
        if not self._blame.was_not_finished(identifier, time.monotonic()):
            return False
        self._journal.finished(identifier, f"imported, but {in_words(error)}")
        self._blame.given_up(identifier)
        return True
