"""Which store a path lies in: a store is met as one thing.

An event of a chunk is an event of its store, which follows from the path.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from omero_fs_plugin.config.layout import OF_OWNER
from omero_fs_plugin.stores import above, is_marker, is_store, is_store_name, store_at

from .underway import Underway

log = logging.getLogger(__name__)


class Stores:
    """Knows which directories are stores.

    Rule: a directory that is called like a store is one.  Any other is one from the moment that
    its metadata is met; what was met of it before, file by file, is then a part of it.  The disk
    is asked only when a name of such metadata is met that lies in no known store.
    """

    def __init__(self, files: Underway) -> None:
        self._files = files
        self._by_content: set[str] | None = None  # stores that their names do not tell

    def of(self, path: str) -> str:
        """The store that the file at `path` is or lies in; empty: in none.  Raises OSError."""
        if store := self._files.places.store(path):
            if is_store(path):
                self.met(store)
            return store
        place = self._files.places.place(path)
        if place is None:
            return ""
        known = self._known()
        for directory in above(place.root, path) if known else ():
            if store_at(directory) in known:
                return store_at(directory)
        if not is_marker(path):
            return ""
        store = self._files.outside.store_around(path)
        if store:
            self.met(store)
        return store

    def met(self, store: str) -> None:
        """A store is there.  What waits of it file by file goes: it is a part of the store."""
        if is_store_name(store.rstrip("/").rpartition("/")[2]) or store in self._known():
            return
        place = self._files.places.place(store)
        if place is None:
            return
        self._known().add(store)
        with self._files.lock:
            for path in (*self._files.settler.below(store), *self._files.lots.below(store)):
                self._files.settler.forget(path)
                self._files.lots.remove(path)
            users = {place.user}
            if place.user == OF_OWNER:
                waiting = self._files.journal.owners_waiting()
                users = {user for user, root in waiting if root == place.root}
            number = sum(self._files.journal.absorb(user, store) for user in users)
        if number:
            log.info(
                "%s is one image: %d files that were met before are parts of it", store, number
            )

    def not_one(self, path: str) -> None:
        """A rescan met the file at `path` by itself, so no directory above it is a store."""
        known = self._known()
        if known:
            place = self._files.places.place(path)
            for directory in above(place.root, path) if place is not None else ():
                known.discard(store_at(directory))

    def none_around(self, paths: Collection[str]) -> None:
        """As `not_one`, for each of `paths`."""
        if self._known():
            for directory in {path.rpartition("/")[0] for path in paths}:
                self.not_one(f"{directory}/any")

    def _known(self) -> set[str]:
        if self._by_content is None:
            self._by_content = set(self._files.journal.stores())
        return self._by_content
