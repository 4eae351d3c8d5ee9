"""The file systems that are mounted below a monitor's root, and how they answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from omero_fs_plugin.filesystems import Mount

from .answers import Beat, Long, Place, place_of
from .entries import Unanswered, Unfinished

T = TypeVar("T")
# Of a directory: its device, and all that is in it
Gathered = tuple[int, list[tuple[bytes, "os.stat_result | None"]]]

# So long (s) a caller waits for a listing; it goes on without anybody.
LISTED = 0.1


class Below:
    """Rule: of each mount one directory at a time is listed, and nobody waits for its end."""

    def __init__(
        self,
        there: Callable[[], Iterable[Mount]],
        known_as: Callable[[Mount], bytes],
        wake: Callable[[], None],
    ) -> None:
        """`there`: the mounts below the root.  `known_as`: the path of one, as its caller has it.

        `wake` is called, from any thread, when a mount answers again, and when a listing ends.
        """
        self.waited = 0.0  # s; as Disk.waited
        self.directories: set[Mount] = set()  # those that were seen to be no file
        self._there = there
        self._known_as = known_as
        self._wake = wake
        self._places: dict[Mount, Place] = {}
        self._late: dict[bytes, Place] = {}  # by mount point
        self._listings: dict[Mount, Long[Gathered]] = {}  # those that take long

    def late(self) -> Mapping[bytes, float]:
        """As Disk.late; by time.monotonic()."""
        late: dict[bytes, float] = {}
        if not self._late:
            return late
        for path, place in list(self._late.items()):
            since = place.late_since
            if since is None:
                del self._late[path]
            else:
                late[path] = since
        return late

    def listing(self) -> Collection[bytes]:
        """As Disk.listing."""
        return [
            self._known_as(mount)
            for mount, listing in list(self._listings.items())
            if self._lives(mount, listing) and not listing.done
        ]

    def ask(self, mount: Mount, path: bytes, act: Callable[[Beat], T]) -> T:
        """Calls `act`, which looks at files on `mount`.  Returns its answer.  Raises Unanswered."""
        place = self._place(mount)
        began = time.monotonic()
        try:
            return place.call(act, path)
        except Unanswered:
            self._is_late(mount, place)
            raise
        finally:
            self.waited += time.monotonic() - began

    def list(self, mount: Mount, path: bytes, act: Callable[[Beat], Gathered]) -> Gathered:
        """As `ask`, for a listing of `path`.  Raises Unfinished too."""
        place = self._place(mount)
        listing = self._listings.get(mount)
        if listing is None or (listing.what != path and listing.done):
            try:
                listing = self._listings[mount] = place.begin(act, path, self._wake)
            except Unanswered:
                self._is_late(mount, place)
                raise
            began = time.monotonic()
            listing.wait(LISTED)
            self.waited += time.monotonic() - began
        if listing.what == path and listing.done:
            del self._listings[mount]
            return listing.result()
        if not self._lives(mount, listing):
            raise Unanswered(path)
        raise Unfinished(self._known_as(mount))

    def _lives(self, mount: Mount, listing: Long[Gathered]) -> bool:
        if listing.lives():
            return True
        del self._listings[mount]
        self._is_late(mount, self._place(mount))
        return False

    def _place(self, mount: Mount) -> Place:
        place = self._places.get(mount)
        if place is None:
            # Of mounts that are no more nothing is kept.
            there = set(self._there())
            self._places = {one: kept for one, kept in self._places.items() if one in there}
            self._listings = {one: kept for one, kept in self._listings.items() if one in there}
            self.directories &= there
            place = self._places[mount] = place_of(mount)
        return place

    def _is_late(self, mount: Mount, place: Place) -> None:
        self._late[self._known_as(mount)] = place
        place.when_back(self._wake)
