"""Files under way, in the settler, the lots and the journal at once; or left alone, and told of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.journal.records import GONE, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import RecordRefused

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
    `leave_alone`, `roots_away` and those that tell of an error.
    """

    journal: Journal
    places: Places
    settler: Settler
    outside: Outside
    # Files that no import can be made of, and why: path with odd bytes escaped -> reason.
    left_alone: dict[str, str] = field(default_factory=dict)
    # Roots in which something could not be looked at: they are rescanned before long.
    unsure: set[str] = field(default_factory=set)
    unrecorded: bool = False  # something could not be recorded: rescan before long
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.lots = Lots(
            rule_of=self._rule_of, held=self.outside.held, answers=self.outside.answers
        )

    def _rule_of(self, path: str) -> Rule | None:
        place = self.places.place(path)
        return place.rule if place is not None else None

    def stir(self, met: Found, now: float, root: str | None = None) -> None:
        """Its quiet period begins; `root` holds where no rule says another."""
        place = self.places.place(met.path)
        if place is not None:
            self.settler.stir(met.path, met.stat, now, place.rule.quiet_period, place.root)
        else:
            self.settler.stir(met.path, met.stat, now, None, root)

    def stir_released(self, now: float) -> None:
        """What left the lots without an end of its own settles anew."""
        for met in self.lots.take_released():
            self.stir(met, now)

    def record(self, found: Sequence[Found]) -> list[Found]:
        """They are in the journal from now on, each as a fileset that waits.

        Those that the journal refuses are left alone for now: they hurt no other.
        """
        by_place: dict[tuple[str, str], list[Found]] = {}
        for met in found:
            place = self.places.place(met.path)
            if place is not None:
                by_place.setdefault((place.user, place.root), []).append(met)
        refused: list[Found] = []
        for (user, root), theirs in by_place.items():
            refused += self._record_some(user, root, theirs)
        return refused

    def _record_some(self, user: str, root: str, found: Sequence[Found]) -> list[Found]:
        """The file that is refused is found by halves."""
        try:
            self.journal.wait(user, root, found)
        except RecordRefused as error:
            if len(found) == 1:
                self.cannot_record(found[0].path, error)
                return list(found)
            half = len(found) // 2
            return self._record_some(user, root, found[:half]) + self._record_some(
                user, root, found[half:]
            )
        return []

    def roots_away(self, paths: Sequence[str]) -> set[str]:
        """Users' directories that are not there, of what is open of `paths`.

        To be called with no lock held, for a share may hang.
        """
        if not paths:
            return set()
        roots = {fileset.root for fileset in self.journal.open_at(paths).values()}
        return {root for root in roots if not self._is_there(root)}

    def _is_there(self, root: str) -> bool:
        try:
            return self.outside.is_there(root)
        except OSError:
            return False

    def gone(self, paths: Sequence[str], roots_away: Collection[str]) -> None:
        """They are there no more, or their share is away."""
        if not paths:
            return
        for path in paths:
            self.settler.forget(path)
            self.lots.remove(path)
        told: dict[int, str] = {}
        gone: dict[int, str] = {}
        for fileset in self.journal.open_at(paths).values():
            if fileset.root in roots_away:
                # A share that is away, rather than everything deleted.
                told[fileset.id] = f"{fileset.root} is not there"
            else:
                gone[fileset.id] = GONE
        self.journal.tell(told)
        # What is queued or importing finds out by itself.
        self.journal.end_waiting(gone, State.SKIPPED)

    def leave_alone(self, path: str, reason: str) -> None:
        """Tells of what no import can be made of, once."""
        shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        if shown not in self.left_alone and len(self.left_alone) < _LEFT_MOST:
            log.warning("%s is left alone: %s", shown, reason)
            self.left_alone[shown] = reason

    def cannot_tell(self, path: str, error: OSError) -> None:
        """Nobody knows whether it is there."""
        place = self.places.place(path)
        self.unsure.add(place.root if place is not None else "")
        if not isinstance(error, RootAway):  # which is told by itself, and may be many files
            self.leave_alone(path, f"cannot be looked at: {error.strerror}")

    def cannot_record(self, path: str, error: RecordRefused) -> None:
        """The journal will not have it: a defect of ours, and no fault of the file."""
        self.unrecorded = True
        self.leave_alone(path, f"cannot be recorded, and is met again before long: {error}")
