"""Which store a path lies in: a store is met as one thing.

An event of a chunk is an event of its store, which follows from the path.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable

from omero_fs_plugin.config.layout import OF_OWNER
from omero_fs_plugin.dropbox.places import Place
from omero_fs_plugin.names import is_utf8
from omero_fs_plugin.stores import (
    above,
    directory_of,
    is_marker,
    is_store_name,
    store_at,
    store_by_name,
)

from .underway import Underway

log = logging.getLogger(__name__)


class Stores:
    """Knows which directories are stores.

    Rule: a directory that is called like a store is one.  Any other is one from the moment that
    its metadata is met; what was met of it before, file by file, is then a part of it.  The disk
    is asked only when a name of such metadata is met that lies in no known store, and when
    something comes of what was known to be a part.
    """

    def __init__(self, files: Underway) -> None:
        self._files = files
        self._by_content: set[str] | None = None  # stores that their names do not tell
        # Those of them about which the disk is being asked: store -> who asks
        self._doubted: dict[str, set[object]] = {}
        self._own = threading.Lock()  # never kept for long, except to read the journal once

    def of(self, path: str) -> str:
        """The store that `path` is or lies in; empty: in none.  Raises OSError."""
        place = self._files.places.place(path)
        if place is None:
            return ""
        known = self._known()
        named = store_by_name(place.root, path)
        for directory in above(place.root, path):
            store = store_at(directory)
            if store == named or (store in known and store not in self._doubted):
                return store
        if named:  # it is one itself, as its path says
            self.met(named)
            return named
        return self._asked(path) if is_marker(path) else ""

    def around(self, path: str) -> str:
        """The outermost store that `path` lies in and that was met; empty: none.  Needs no disk.

        Stores that their names tell are found by `of`.  Whoever has looked at a path has to ask
        this once more with the lock: a store may have been met since.  What lies below it has
        ended with that, and is to get no row any more.
        """
        return next(iter(self._all_around(path)), "")

    def on_disk(self, path: str) -> str:
        """As `around`, if the disk says that it is a store still.  Raises OSError.

        One that is none any more has ended.
        """
        former = self._all_around(path)
        if not former:
            return ""
        us = object()
        with self._own:
            for one in former:
                self._doubted.setdefault(one, set()).add(us)
        ended: list[str] = []
        try:
            store = self._asked(path)
            away = self._files.roots_away(former)
            with self._files.lock:
                # One that was met since we began to ask is no matter of our answer.
                ended = self._no_longer_doubted(former, us, none=True)
                self._files.gone(ended, away)
        finally:
            if not ended:
                self._no_longer_doubted(former, us, none=False)
        return store if store != path else ""

    def _no_longer_doubted(self, stores: Iterable[str], us: object, *, none: bool) -> list[str]:
        """Those of them that we have doubted until now.  `none`: they are no stores any more."""
        known, were = self._known(), []
        with self._own:
            for store in stores:
                who = self._doubted.get(store, set())
                if us in who:
                    were.append(store)
                    who.remove(us)
                    if none:
                        known.discard(store)
                    if none or not who:
                        del self._doubted[store]
        return were

    def is_none(self, store: str) -> bool:
        """Whether nothing is there, or a directory that is no store any more.  Raises OSError.

        One that its name tells is one whenever something is there.
        """
        self.on_disk(f"{store}any")
        return not _is_named(store) and store not in self._known()

    def look_for_files(self, stores: Iterable[str]) -> None:
        """Nothing was found at them.  What came in the place of one is met by the next rescan.

        That comes soon: no event may tell of these files any more.
        """
        for store in stores:
            try:
                there = self.is_none(store) and self._files.outside.is_there(directory_of(store))
            except OSError as error:
                self._files.cannot_tell(store, error)
                continue
            place = self._files.places.place(store)
            if there and place is not None:
                self._files.unsure.add(place.root)

    def inside(self, paths: Iterable[str]) -> dict[str, str]:
        """Those of `paths` that lie in a store which was met, each with it, as the disk says now.

        If it cannot tell, what was known counts.
        """
        inside: dict[str, str] = {}
        asked: set[str] = set()
        for path in paths:
            if not (store := self.around(path)):
                continue
            if store not in asked:
                try:
                    store = self.on_disk(path)
                except OSError as error:
                    self._files.cannot_tell(path, error)
                asked.add(store)
            if store:
                inside[path] = store
        return inside

    def _asked(self, path: str) -> str:
        store = self._files.outside.store_around(path)
        if store:
            self.met(store)
        return store

    def met(self, store: str) -> None:
        """A store is there.  What waits of it file by file goes: it is a part of the store."""
        if _is_named(store):
            return
        place = self._files.places.place(store)
        if place is None:
            return
        known = self._known()
        with self._own:
            doubted = self._doubted.pop(store, None)
            if store in known and not doubted:
                return
            known.add(store)  # before the lock of all: see `around`
        try:
            self._absorb(store, place)
        except BaseException:  # such as one of the journal
            known.discard(store)  # else nobody would do this any more
            raise

    def _absorb(self, store: str, place: Place) -> None:
        with self._files.lock:
            for path in (*self._files.settler.below(store), *self._files.lots.below(store)):
                of = self._files.places.place(path)
                if of is None or not of.root.startswith(store):  # else another rule has it
                    self._files.settler.forget(path)
                    self._files.lots.remove(path)
            if not is_utf8(store):
                return  # the journal has nothing of it
            users = {place.user}
            if place.user == OF_OWNER:
                users = set(self._files.journal.owners_below(store))
            number = sum(self._files.journal.absorb(user, store) for user in users)
        if number:
            log.info(
                "%s is one image: %d files that were met before are parts of it", store, number
            )

    def met_apart(self, paths: Collection[str]) -> None:
        """A rescan met these files by themselves: what is known around them is asked about."""
        if self._known():
            self.inside([f"{directory}/any" for directory in {_directory(path) for path in paths}])

    def _all_around(self, path: str) -> list[str]:
        """The stores that `path` lies in and that were met, from the outermost on."""
        known = self._known()
        place = self._files.places.place(path) if known else None
        if place is None:
            return []
        stores = map(store_at, above(place.root, path))
        return [store for store in stores if store != path and store in known]

    def _known(self) -> set[str]:
        if self._by_content is None:
            with self._own:  # else one thread would not know what another one has met
                if self._by_content is None:
                    stores = self._files.journal.stores()
                    self._by_content = {store for store in stores if not _is_named(store)}
        return self._by_content


def _directory(path: str) -> str:
    return path.rpartition("/")[0]


def _is_named(store: str) -> bool:
    return is_store_name(directory_of(store).rpartition("/")[2])
