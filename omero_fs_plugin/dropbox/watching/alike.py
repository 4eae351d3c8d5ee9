"""Whether FSServer sees a watched directory as this machine does: it may have another mount there.

Rule: it is only told.  What FSServer does not see, DropBox finds at its rescans.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import Ice

import omero
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.confine.probe import make, new_name, remove
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.errors import FsError

log = logging.getLogger(__name__)

PROVED_S = 600.0  # that a proof counts
_SOME = 1_000  # names that are compared


class Alike:
    """Asks FSServer for a file with a name that nobody knows.  One thread calls `look`."""

    def __init__(
        self,
        server: Callable[[], Any],
        lanes: Lanes,
        clock: Callable[[], float] = time.monotonic,
        *,
        there: Callable[[str], str] = str,
        name: str = "FSServer",
    ) -> None:
        """`server` gives FSServer's file server, and `there` the path on its machine.

        `clock`: seconds, monotonic; `name`: as people have it.
        """
        self._there, self._name = there, name
        self._server, self._lanes, self._clock = server, lanes, clock
        self._until: dict[str, float] = {}  # directory -> proved until (s)
        self.told: dict[str, str] = {}  # directory -> why it is not the same, for people

    def look(self, rules: Sequence[Rule]) -> None:
        """Compares the directories that are not proved.  While somebody is away, nothing is said.

        `rules`: those that FSServer watches.
        """
        told: dict[str, str] = {}
        for directory in {str(rule.watch_dir) for rule in rules}:
            if self._until.get(directory, 0.0) > self._clock():
                continue
            try:
                alike = self._is_alike(directory)
            except Ice.Exception as error:  # what else it would be asked, it does not answer either
                log.debug("%s is away: %s", self._name, type(error).__name__)
                break
            except (omero.ServerError, FsError, OSError) as error:
                log.debug("%s is not compared: %s", directory, type(error).__name__)
                continue
            if alike:
                self._until[directory] = self._clock() + PROVED_S
                continue
            told[directory] = (
                f"{self._name} sees another directory there than DropBox, so only rescans find "
                f"files: mount the same one at {directory} on the machines of both"
            )
            there = self._there(directory)
            if there != directory:
                told[directory] += f"; omero.fs.pathMap says that it is {there} on FSServer's"
            if directory not in self.told:
                log.error("%s: %s", directory, told[directory])
        self.told = told

    def _is_alike(self, directory: str) -> bool:
        name, there = new_name(), self._there(directory)
        try:
            if self._lanes.ask(directory, lambda: make(directory, name)):
                return bool(self._server().fileExists(f"{there.rstrip('/')}/{name}"))
        finally:
            with suppress(FsError, OSError):
                self._lanes.ask(directory, lambda: remove(directory, name))
        # Nothing may be made there: then one name in it must be in both.
        theirs = set(self._server().getDirectory(there, "*"))
        ours = self._lanes.ask(directory, lambda: _names(directory))
        return ours == theirs or not ours.isdisjoint(theirs)


def _names(directory: str) -> set[str]:
    """Some of the names in it; all, if they are few."""
    with CALLS.at(directory), os.scandir(directory) as entries:
        return {entry.name for entry in islice(entries, _SOME)}
