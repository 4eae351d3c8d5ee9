"""Whether a set can be formed now, or what it waits for.

Pure, except for the journal.  Whoever calls holds the pipeline's lock, so nothing here looks at
the disk.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from omero_fs_plugin.dropbox.grouping.completeness import is_only_index
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Reach
from omero_fs_plugin.dropbox.journal.records import Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import RecordRefused
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store

from .around import Around
from .lots import AGAIN_S, Lot, Lots
from .often import Often
from .uncovered import Uncovered

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal

log = logging.getLogger(__name__)

# Files that wait are asked about again after AGAIN_S, or after so many times the time that the
# last answer took, whichever is longer.
PATIENT = 20
# Before files are asked about again when one of them is being imported: at least, and at most.
# Nobody tells of the end of an import, so this is how long a set waits for nothing.
BUSY_S, _BUSY_MOST_S = 5.0, 15.0
# Quiet periods that a set must rest if more of it may come although nothing is missing.
_LONGER = 10
UNTOLD_S = 60.0  # before files are asked about again when the answer does not name them

Lock = AbstractContextManager[object]


class Waits(Exception):
    """Why a candidate cannot be formed now, and in how many seconds it is asked about again."""

    def __init__(self, why: str, again: float = AGAIN_S, at_most: float = math.inf) -> None:
        super().__init__(why)
        self._again = again
        self._at_most = at_most

    def again(self, took: float) -> float:
        """In how many seconds, if the answer took `took` s."""
        return min(max(self._again, PATIENT * took), self._at_most)


class Forming:
    """Forms a fileset when every file that it uses is at rest, or was accounted for before.

    `pending` says whether a path is in its quiet period, `stirring` which file of a tree is;
    empty: none.
    """

    def __init__(
        self,
        journal: Journal,
        lots: Lots,
        *,
        pending: Callable[[str], bool],
        stirring: Callable[[Reach], str] = lambda reach: "",
    ) -> None:
        self._journal = journal
        self._lots = lots
        self._pending = pending
        self._stirring = stirring
        self._uncovered = Uncovered()
        self._often = Often()

    def forget_unasked(self) -> None:
        """Forgets the files outside of every rule that no set has used for a while."""
        self._uncovered.forget_unasked()

    def ready(
        self, lot: Lot, candidate: Candidate, around: Around, still: set[str], now: float
    ) -> list[Found]:
        """The files of a complete candidate, each at rest.  Raises Waits.

        `still`: those of the lot that rest as they did when it was asked about.
        """
        found: list[Found] = []
        uncovered: list[Found] = []
        for path in candidate.files:
            if self._pending(path):
                raise Waits(f"waits for {path}, which is in its quiet period")
            rested = self._lots.stat_of(path)
            if path in lot.stats and (path not in still or rested not in (None, lot.stats[path])):
                raise Waits(f"waits for {path}, which has changed")
            if path in around.away:
                raise Waits(f"waits for {path}, which {around.away[path]}", BUSY_S)
            stat = lot.stats.get(path) or rested or around.stats.get(path)
            if stat is None:
                is_gone = path in around.stats  # else it rested here when it was looked at
                why = "is not there" if is_gone else "has changed"
                raise Waits(f"waits for {path}, which {why}", BUSY_S)
            found.append(Found(path, stat))
            if rested is None and path not in lot.stats:
                uncovered.append(found[-1])
        self._wait_for_one_owner(lot, candidate, around, still)
        self._wait_for_uncovered(lot, uncovered, now)
        for tree in candidate.trees:
            if path := self._stirring(tree):
                raise Waits(f"waits for {path}, which is in its quiet period")
        if candidate.slow:
            self._rest_longer(lot, candidate, now)
        if is_store(candidate.files[0]):
            self._rest_as_often(lot, candidate.files[0], now)
        advice = around.advice.get(candidate.files[0].rpartition("/")[0], "")
        if advice:
            raise Waits(advice, UNTOLD_S)
        return found

    def _wait_for_one_owner(
        self, lot: Lot, candidate: Candidate, around: Around, still: set[str]
    ) -> None:
        """Waits until all files are of the user of the lot, where their owners say so.

        Those that were given to another settle anew, and are that one's then.  Raises Waits.
        """
        owners = {around.owners.get(path, lot.user) for path in candidate.files}
        if owners == {lot.user}:
            return
        if len(owners) > 1:
            names = " and ".join(sorted(name or "nobody" for name in owners))
            why = f"waits: its files belong to {names}: chown them to one user"
            raise Waits(why, UNTOLD_S, UNTOLD_S)
        self._lots.release([one for one in candidate.files if one in still and one in self._lots])
        raise Waits(f"waits: it belongs to {owners.pop() or 'nobody'} now")

    def _rest_longer(self, lot: Lot, candidate: Candidate, now: float) -> None:
        """Waits until a set that may still grow has been quiet for long.  Raises Waits."""
        quiet = lot.rule.quiet_period if lot.rule is not None else 0.0
        rested = max(map(self._lots.at_rest_since, candidate.files))
        left = rested + (_LONGER - 1) * quiet - now
        if left > 0:
            raise Waits(f"{candidate.slow}: it must be quiet for {_LONGER} quiet periods", left)

    def _rest_as_often(self, lot: Lot, store: str, now: float) -> None:
        """Waits until a store that changes often has been quiet for longer.  Raises Waits."""
        quiet = lot.rule.quiet_period if lot.rule is not None else 0.0
        wanted = self._often.rest(store, quiet, now)
        left = self._lots.at_rest_since(store) - quiet + wanted - now
        if wanted > quiet and left > 0:
            why = f"changes often: waits until it has been quiet for {_span(wanted)}"
            raise Waits(why, left, max(left, AGAIN_S))

    def _wait_for_uncovered(self, lot: Lot, uncovered: list[Found], now: float) -> None:
        """Waits for files that nobody has settled, as no rule covers them.  Raises Waits."""
        known = self._journal.known(uncovered)
        quiet = lot.rule.quiet_period if lot.rule is not None else 0.0
        for met in uncovered:
            if known.get(met.path) in (None, State.WAITING):
                left = self._uncovered.left(met, now, quiet)
                if left > 0:
                    raise Waits(f"waits for {met.path}, which is in its quiet period", left)

    def together(self, lot: Lot, candidate: Candidate, around: Around, now: float) -> Formed | None:
        """What is to be formed of a candidate while its lot is out.  Raises Waits.

        None: there is nothing to be formed, or it is refused.
        """
        still = self._lots.unchanged(lot)
        if not candidate.complete or candidate.refused or still.isdisjoint(candidate.files):
            return None
        return _together(lot, candidate, self.ready(lot, candidate, around, still, now))

    def changed(self, formed: Formed) -> Waits | None:
        """Why a set waits of which a file settles anew, or has changed; None if none has."""
        for met in formed.found:
            rested = self._lots.stat_of(met.path)
            if self._pending(met.path) or (rested is not None and rested != met.stat):
                return Waits(f"waits for {met.path}, which has changed")
        return None

    @staticmethod
    def busy() -> Waits:
        """Why a set waits that the journal does not take now."""
        why = "waits for the end of an import of one of its files"
        return Waits(why, BUSY_S, _BUSY_MOST_S)

    def form(self, lot: Lot, candidate: Candidate, found: list[Found]) -> None:
        """Queues a set of these files.  Raises Waits."""
        together = _together(lot, candidate, found)
        try:
            answer = self._journal.form(together)
        except RecordRefused as error:
            raise self.not_recorded(together, error) from error
        self.queued(candidate, answer)

    @staticmethod
    def not_recorded(formed: Formed, error: RecordRefused) -> Waits:
        """Why a set waits that the journal refuses: a defect of ours hurts this set alone."""
        log.error("%s: %s", formed.found[0].path, error)
        return Waits(f"waits, as it cannot be recorded: {error}", UNTOLD_S)

    def queued(self, candidate: Candidate, answer: tuple[int | None, list[Found]]) -> None:
        """Takes what the journal answered when it was to queue a set.  Raises Waits."""
        identifier, left = answer
        if identifier is None:
            raise self.busy()
        if candidate.remark:
            log.warning("%s: %s", candidate.files[0], candidate.remark)
        self._lots.settle_anew(left)
        for path in candidate.files:
            self._lots.remove(path)

    def queue_singles(self, singles: Mapping[str, str], now: float) -> int:
        """Queues filesets of one file: path -> reader.  Returns how many."""
        opened = self._journal.open_at(singles)
        settled: dict[int, FileStat] = {}
        readers: dict[int, str] = {}
        gone: list[str] = []
        for path, reader in singles.items():
            fileset = opened.get(path)
            stat = self._lots.stat_of(path)
            if stat is None:
                continue
            if fileset is None:
                gone.append(path)
            elif fileset.state is State.WAITING:
                settled[fileset.id] = stat
                readers[fileset.id] = reader
                if is_store(path):
                    self._often.queued(path, now)
        self._journal.settled(settled, readers)
        self._lots.release(gone)
        for path in singles:
            self._lots.remove(path)
        return len(settled)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _together(lot: Lot, candidate: Candidate, found: list[Found]) -> Formed:
    return Formed(
        lot.user,
        lot.root,
        found,
        candidate.reader,
        candidate.plate,
        indexes=frozenset(filter(is_only_index, candidate.files)),
        remark=candidate.remark,
    )
