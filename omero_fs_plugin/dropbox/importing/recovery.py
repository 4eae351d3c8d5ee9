"""What OMERO knows and the journal does not: after a journal was lost, or an old one restored."""

from __future__ import annotations

import logging
import threading

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.places import Places

from .importers import client_path

log = logging.getLogger(__name__)


class Recovery:
    """Once for each user, before the first import of theirs.  Thread-safe.

    Filesets get ever higher ids, so what a journal has missed since it was
    written, or saved, is above the highest that it knows.  Whatever is found
    is recorded as imported, and its file, met again under whatever name, is
    known by its content.
    """

    def __init__(self, journal: Journal, omero: Omero, places: Places) -> None:
        self._journal = journal
        self._omero = omero
        self._places = places
        self._done: set[str] = set()
        self._at: dict[str, threading.Lock] = {}  # user: one who has very many holds up nobody else
        self._lock = threading.Lock()

    def of(self, user: str) -> None:
        """Returns when the journal knows what OMERO has of `user`.

        Raises ServerAwayError, UserError, ImportRefused or JournalError, and is
        to be asked again then.
        """
        with self._lock:
            at = self._at.setdefault(user, threading.Lock())
        with at:
            if user in self._done:
                return
            whose, number = self._omero.user(user), 0
            rules = self._omero.path_rules
            roots = [(root, f"{client_path(root, rules)}/") for root in self._places.roots(user)]
            after = self._journal.newest_in_omero(user)
            # By their ids, over all directories: so what was interrupted goes on where it was.
            while some := self._omero.filesets_after(whose, after):
                for root, below in roots:
                    found = [
                        fileset
                        for fileset in some
                        if fileset.images and all(path.startswith(below) for path in fileset.paths)
                    ]
                    number += self._journal.found_in_omero(user, root, found)
                after = some[-1].id
            if number:
                log.warning(
                    "%d filesets of %s in OMERO were not in the journal, and are now", number, user
                )
            self._done.add(user)
