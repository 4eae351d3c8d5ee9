"""Whose directories are watched: those that the rules name, and those of each user below them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from omero_fs_plugin.config.layout import OF_OWNER, OWNER, depth, owner
from omero_fs_plugin.config.settings import EVERYONE, Rule
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline

from .rescan import tops
from .rounds import Round

log = logging.getLogger(__name__)

# Told of a directory that took long: its path, the files in it (None: unknown), whether to look
# at it once more.
CaughtUp = Callable[[str, int | None, bool], None]


class Owners:
    """The directories that rules watch, which of them are away, and who owns those below them.

    `ask` asks for a rescan and says why.  Thread-safe: lanes call it too.
    """

    def __init__(self, pipeline: Pipeline, lanes: Lanes, ask: Callable[[str], None]) -> None:
        self._pipeline, self._lanes, self._ask = pipeline, lanes, ask
        self._lock = threading.Lock()
        self._away: dict[Rule, str] = {}  # lanes change it too, so with the lock
        self._tops: dict[Rule, list[str]] = {}  # the directories in each that is watched

    def away(self) -> dict[Rule, str]:
        """The rules whose directories are not there, or do not answer, and why."""
        with self._lock:
            return dict(self._away)

    def is_looked_at(self, directory: str) -> None:
        """`directory` is being looked at: nobody knows now that it is away."""
        with self._lock:
            self._away = {r: why for r, why in self._away.items() if str(r.watch_dir) != directory}

    def listed(self, round_of: Callable[[CaughtUp], Round]) -> list[tuple[str, str]]:
        """(user, directory) of all watched directories.  Reports stray files above them."""
        rules = self._pipeline.places.rules
        with self._lock:
            self._away = {rule: why for rule, why in self._away.items() if rule in rules}
        found: dict[Rule, list[str]] = {}
        looked = round_of(lambda root, number, again: self._top_caught_up(root, found))
        for rule in rules:
            looked.begin(str(rule.watch_dir), partial(self.top, rule, found))
        looked.wait()
        owners: list[tuple[str, str]] = []
        for rule in rules:
            directory = str(rule.watch_dir)
            if directory in looked.away:
                self._is_away(rule, f"{directory}: {looked.away[directory]}")
                continue
            # If it takes long to list, those that were there the last time.
            names = self._tops.get(rule) if directory in looked.late else found.get(rule)
            if names is None:
                continue
            self._tops[rule] = names
            if rule.user != EVERYONE:
                owners.append((rule.user, directory))
            elif rule.layout == OWNER:
                owners.append((OF_OWNER, directory))
            else:
                below = [(_user_of(rule, name), f"{rule.watch_dir}/{name}") for name in names]
                owners += [one for one in below if self._pipeline.places.enters(one[1])]
        return owners

    def _top_caught_up(self, directory: str, found: dict[Rule, list[str]]) -> None:
        """`directory` took long to list.  If there are others in it now, all is looked at again."""
        changed = {
            rule: names
            for rule, names in list(found.items())
            if str(rule.watch_dir) == directory and self._tops.get(rule) != names
        }
        if changed:
            self._tops.update(changed)
            self._ask(f"{directory} was listed at last")

    def top(self, rule: Rule, found: dict[Rule, list[str]]) -> int:
        """Puts the users' directories of `rule` into `found`.  Runs in the lane of its directory.

        Raises RootAway if its disk does not answer.  Gives 0, as it counts no files.
        """
        directory = str(rule.watch_dir)
        try:
            with self._lanes.calls.at(directory) as call:
                unseen = self._pipeline.files.not_seen
                names, strays = tops(directory, _levels(rule), call.pulse, unseen)
        except RootAway:
            raise
        except OSError as error:
            self._is_away(rule, f"{directory}: {error.strerror}")
            return 0
        with self._lock:
            self._away.pop(rule, None)
        found[rule] = names
        if rule.user == EVERYONE:
            self._pipeline.scanned(strays, time.monotonic())
        return 0

    def _is_away(self, rule: Rule, why: str) -> None:
        log.error("%s", why)
        with self._lock:
            self._away[rule] = why


def _levels(rule: Rule) -> int:
    return depth(rule.layout) if rule.user == EVERYONE else 1


def _user_of(rule: Rule, path: str) -> str:
    """Whose a directory is, by its path from the one that is watched for everyone."""
    whose = owner(rule.layout, path.split("/"))
    return whose.user if whose is not None else ""
