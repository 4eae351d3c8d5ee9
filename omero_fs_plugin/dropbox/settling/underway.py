"""Keeps the settler, the lots and the journal in step on each file.  Lists the files left alone."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omero_fs_plugin.accounts import NoAnswer
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.journal.records import GONE, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Place, Places
from omero_fs_plugin.errors import RecordRefused
from omero_fs_plugin.events import SEVERAL, UNKNOWN
from omero_fs_plugin.names import encodable

from .fair import FairLock
from .left_alone import LeftAlone
from .lots import Lots
from .outside import Outside
from .settle import Settler

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal

log = logging.getLogger(__name__)

BATCH = 1_000  # files handled at once, while others wait for the lock
SMALL_BATCH = 100  # of those that take the journal longer
GONE_KEPT = 5_000  # filesets of a user whose files were gone before anything was tried


@dataclass
class Underway:
    """What is known of each file.

    Rule: a file is in the journal from the moment it is met, and leaves the
    settler only for the journal.  The caller holds `lock` around every call,
    except for `leave_alone`, `not_seen`, `nobodys`, `no_account`, `no_longer_left`, `roots_away`,
    `place_of`, `cannot_tell` and `cannot_record`.
    """

    journal: Journal
    places: Places
    settler: Settler
    outside: Outside
    # Files that cannot be imported: path, with odd bytes escaped -> why
    left_alone: LeftAlone = field(default_factory=LeftAlone)
    # Roots in which something could not be looked at: they are rescanned before long.
    unsure: set[str] = field(default_factory=set)
    # Accounts (uid) that own files here and are no user's: one of them may get a name
    unowned: set[int] = field(default_factory=set)
    unrecorded: bool = False  # something could not be recorded: rescan before long
    lock: FairLock = field(default_factory=FairLock)
    # User -> filesets that have ended since the start because their files were gone; oldest first
    _gone_of: dict[str, deque[int]] = field(default_factory=dict)

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

    def place_of(self, met: Found) -> Place | None:
        """As Places.of; None also while nobody answers, who knows whose it is."""
        try:
            return self.places.of(met.path, met.stat)
        except NoAnswer as error:
            self.cannot_tell(met.path, error)
            return None

    def nobodys(self, met: Found, why: str) -> None:
        """It lies in no user's directory, or belongs to an account that is no user's."""
        if self.places.place(met.path) is not None:
            self.no_account(met)
        self.leave_alone(met.path, why)

    def no_account(self, met: Found) -> None:
        """The account that owns it is no user's: when it has a name, all is looked at again."""
        if met.stat.owner not in (SEVERAL, UNKNOWN):
            self.unowned.add(met.stat.owner)

    def requiet(self) -> None:
        """Files that are in their quiet period get that of the rules in force now."""

        def quiet(path: str) -> float | None:
            rule = self._rule_of(path)
            return None if rule is None else rule.quiet_period

        self.settler.requiet(quiet)

    def stir_released(self, now: float) -> None:
        """Lets files settle anew that left the lots without a result."""
        for met in self.lots.take_released():
            self.stir(met, now)

    def record(self, found: Sequence[Found]) -> list[Found]:
        """Records each file in the journal as a fileset that waits.

        Returns the files that the journal refuses.  They are left alone for now, and do
        not hurt the others.
        """
        by_place: dict[tuple[str, str], list[Found]] = {}
        for met in found:
            place = self.place_of(met)
            if place is not None:
                by_place.setdefault((place.user, place.root), []).append(met)
        refused: list[Found] = []
        for (user, root), theirs in by_place.items():
            refused += self._record_some(user, root, theirs)
        return refused

    def _record_some(self, user: str, root: str, found: Sequence[Found]) -> list[Found]:
        """Finds a file that is refused by halving."""
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
        """Those directories of users that are not there, if `paths` have open filesets in them.

        Call it with no lock held: a share may hang.
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

    def coming(self, paths: Collection[str]) -> set[str]:
        """Those of `paths` that are on their way home from quarantine, and so get no row here."""
        return self.outside.coming(paths) if paths else set()

    def gone(self, paths: Sequence[str], roots_away: Collection[str]) -> list[str]:
        """Takes files that are no longer there, or whose share is away.

        Returns those of which anything was under way.
        """
        if not paths:
            return []
        under_way = {path for path in paths if path in self.settler or path in self.lots}
        for path in paths:
            self.settler.forget(path)
            self.lots.remove(path)
        told: dict[int, str] = {}
        gone: dict[int, str] = {}
        opened = self.journal.open_at(paths)
        for fileset in opened.values():
            if fileset.root in roots_away:
                # The share is away; not everything on it was deleted.
                told[fileset.id] = f"{fileset.root} is not there"
            else:
                gone[fileset.id] = GONE
        self.journal.tell(told)
        # If a fileset is queued or importing, its importer finds out.
        ended = set(self.journal.end_waiting(gone, State.SKIPPED))
        for fileset in opened.values():
            if fileset.id in ended:
                self._gone_of.setdefault(fileset.user, deque()).append(fileset.id)
        self._forget_gone()
        return sorted(under_way.union(opened))

    def _forget_gone(self) -> None:
        """The journal keeps the last ones of each user: there is nothing more to know of them.

        A program may make and remove files without end, and each would stay in the journal.
        """
        for ended in self._gone_of.values():
            while len(ended) > GONE_KEPT:
                oldest = [ended.popleft() for _ in range(min(SMALL_BATCH, len(ended)))]
                self.journal.forget_gone(oldest)

    def leave_alone(self, path: str, reason: str) -> None:
        """Tells people of a file that cannot be imported.

        `omero fs status` shows each.  The log has one line for a directory and reason.
        """
        self._leave(path, reason, unseen=False)

    def not_seen(self, path: str, reason: str) -> None:
        """As `leave_alone`, until the path, or something in it, is met."""
        self._leave(path, reason, unseen=True)

    def _leave(self, path: str, reason: str, *, unseen: bool) -> None:
        place = self.places.place(path)
        top = place.root if place is not None else path.rpartition("/")[0]
        shown = _shown(path)
        if self.left_alone.note(top, shown, reason, unseen=unseen):
            log.warning("%s, and others there like it, are left alone: %s", shown, reason)

    def no_longer_left(self, path: str) -> None:
        """It is gone, so people need not hear of it any more."""
        self.left_alone.forget(_shown(path))

    def seen(self, path: str) -> None:
        """It was met: what was told because it, or one above it, could not be seen is over."""
        while self.left_alone and path:
            self.left_alone.seen(_shown(path))
            path = path.rpartition("/")[0]

    def cannot_tell(self, path: str, error: OSError) -> None:
        """Nobody knows whether it is there."""
        place = self.places.place(path)
        self.unsure.add(place.root if place is not None else "")
        if not isinstance(error, RootAway):  # which is told by itself, and may be many files
            self.not_seen(path, f"cannot be looked at: {error.strerror}")

    def cannot_record(self, path: str, error: RecordRefused) -> None:
        """Notes that the journal refused a file: a defect of ours, not a fault of the file."""
        self.unrecorded = True
        self.not_seen(path, f"cannot be recorded, and is tried again soon: {error}")


def _shown(path: str) -> str:
    """`path` with its odd bytes escaped, for people."""
    return encodable(path)
