"""Tells the journal what OMERO has, after a journal was lost or an old one was restored."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.layout import WITH_GROUPS, owner, path_of
from omero_fs_plugin.config.settings import EVERYONE
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.places import Places

from .importers import client_path

log = logging.getLogger(__name__)


class Recovery:
    """Runs once for each user, before the user's first import.  Thread-safe.

    OMERO gives each new fileset a higher id.  So what a journal has missed is above
    the highest id that it knows.  What is found is recorded as imported.  If one of
    its files is met again, under any name, the journal knows it by its content.
    """

    def __init__(self, journal: Journal, omero: Omero, places: Places) -> None:
        self._journal = journal
        self._omero = omero
        self._places = places
        self._done: set[str] = set()
        self._newest: dict[str, int] = {}
        # One lock a user, so that a user with very many filesets holds up nobody else.
        self._at: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def of(self, user: str) -> None:
        """Returns when the journal knows what OMERO has of `user`.

        Raises ServerAwayError, UserError, ImportRefused or JournalError; call it again
        then.
        """
        with self._lock:
            at = self._at.setdefault(user, threading.Lock())
        with at:
            if user in self._done:
                return
            whose, number = self._omero.user(user), 0
            self._journal.finish_uniting()
            rules = self._omero.path_rules
            roots = [(root, f"{client_path(root, rules)}/") for root in self._places.roots(user)]
            after = self._journal.newest_in_omero(user)
            # In the order of their ids, over all directories: if it is interrupted, it goes on
            # from there.
            while some := self._omero.filesets_after(whose, after):
                for root, below in [*roots, *self._of_groups(user, some, rules)]:
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
            self._newest[user] = after
            self._done.add(user)

    def _of_groups(
        self, user: str, some: Sequence[ServerFileset], path_rules: str
    ) -> list[tuple[str, str]]:
        """The user's directories with `some`, where a layout has groups: a path has the group."""
        found: dict[str, str] = {}
        for rule in self._places.rules:
            if rule.user != EVERYONE or rule.layout not in WITH_GROUPS:
                continue
            top = str(rule.watch_dir).rstrip("/")
            start = f"{client_path(top, path_rules)}/"
            for path in (path for one in some for path in one.paths if path.startswith(start)):
                whose = owner(rule.layout, path[len(start) :].split("/")[:-1])
                if whose is not None:
                    root = f"{top}/{path_of(rule.layout, user, whose.group)}"
                    found[root] = f"{client_path(root, path_rules)}/"
        return list(found.items())

    def newest(self, user: str) -> int | None:
        """The highest Fileset id that the user had in OMERO then, also without images."""
        return self._newest.get(user)
