"""Files under way, in the settler, the lots and the journal at once; or left alone, and told of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.journal.records import GONE, Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places

from .lots import Lots
from .outside import Outside
from .settle import Settler

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal

log = logging.getLogger(__name__)

BATCH = 1_000  # files looked at while others wait for the lock
_LEFT_MOST = 100  # files left alone that are remembered, for people to read


@dataclass
class Underway:
    """What is known of each file.

    Rule: a file is in the journal from the moment it is met, and leaves the
    settler only for the journal.  `lock` is held around every call but
    `leave_alone` and `cannot_tell`.
    """

    journal: Journal
    places: Places
    settler: Settler
    outside: Outside
    # Files that no import can be made of, and why: path with odd bytes escaped -> reason.
    left_alone: dict[str, str] = field(default_factory=dict)
    unsure: bool = False  # something could not be looked at: revisit before long
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.lots = Lots(rule_of=self._rule_of, held=self.outside.held)

    def _rule_of(self, path: str) -> Rule | None:
        place = self.places.place(path)
        return place.rule if place is not None else None

    def stir(self, met: Found, now: float) -> None:
        """Its quiet period begins."""
        rule = self._rule_of(met.path)
        quiet = rule.quiet_period if rule is not None else None
        self.settler.stir(met.path, met.stat, now, quiet)

    def stir_released(self, now: float) -> None:
        """What left the lots without an end of its own settles anew."""
        for met in self.lots.take_released():
            self.stir(met, now)

    def record(self, found: Sequence[Found]) -> None:
        """They are in the journal from now on, each as a fileset that waits."""
        by_place: dict[tuple[str, str], list[Found]] = {}
        for met in found:
            place = self.places.place(met.path)
            if place is not None:
                by_place.setdefault((place.user, place.root), []).append(met)
        for (user, root), theirs in by_place.items():
            self.journal.wait(user, root, theirs)

    def gone(self, paths: Sequence[str]) -> None:
        """They are there no more, or their share is away."""
        for path in paths:
            self.settler.forget(path)
            self.lots.remove(path)
        for fileset in self.journal.open_at(paths).values():
            if not self.outside.is_there(fileset.root):
                # A share that is away, rather than everything deleted.
                self.tell(fileset, f"{fileset.root} is not there")
                continue
            # What is queued or importing finds out by itself.
            self.journal.move(fileset.id, State.WAITING, State.SKIPPED, GONE)

    def tell(self, fileset: Fileset, reason: str) -> None:
        """What it waits for, once."""
        if fileset.reason != reason:
            self.journal.move(fileset.id, State.WAITING, State.WAITING, reason)

    def leave_alone(self, path: str, reason: str) -> None:
        """Tells of what no import can be made of, once."""
        shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        if shown not in self.left_alone and len(self.left_alone) < _LEFT_MOST:
            log.warning("%s is left alone: %s", shown, reason)
            self.left_alone[shown] = reason

    def cannot_tell(self, path: str, error: OSError) -> None:
        """Nobody knows whether it is there."""
        self.unsure = True
        self.leave_alone(path, f"cannot be looked at: {error.strerror}")
