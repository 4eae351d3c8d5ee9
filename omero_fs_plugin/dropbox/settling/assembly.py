"""From files at rest to filesets: what happens with the answer of a grouper.

Pure, except for the journal.  The pipeline holds its lock around every call, and around every
step of those that have steps, so nothing here looks at the disk.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from omero_fs_plugin.dropbox.grouping.completeness import is_only_index
from omero_fs_plugin.dropbox.grouping.filesets import DEADLY, Candidate, Grouping, Reach
from omero_fs_plugin.dropbox.grouping.native.signatures import is_image_name
from omero_fs_plugin.dropbox.journal.records import PART, Fileset, Formed, Found, chunks
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
_PATIENT = 20
# Before files are asked about again when one of them is being imported: at least, and at most.
# Nobody tells of the end of an import, so this is how long a set waits for nothing.
_BUSY_S, _BUSY_MOST_S = 5.0, 15.0
_NAMED = 4  # files that a reason names at most
# Before a file is read again after its reader failed.  When a part of its set comes later, it is
# read once more.
_READ_AGAIN_S = (2.0, 10.0)
# Quiet periods that a set must rest if more of it may come although nothing is missing.
_LONGER = 10
_UNTOLD_S = 60.0  # before files are asked about again when the answer does not name them


@dataclass(frozen=True)
class _Verdict:
    """What becomes of a file."""

    state: State
    why: str
    lacks: Candidate | None = None  # the incomplete set that it belongs to

    @property
    def waits(self) -> bool:
        return self.state is State.WAITING


# What becomes of many files is done in steps.  Between two of them the lock may be free, and files
# may change: these are left to whoever asks about them next.
Steps = Generator[None, None, int]
Lock = AbstractContextManager[object]


class Waits(Exception):
    """Why a candidate cannot be formed now, and in how many seconds it is asked about again."""

    def __init__(self, why: str, again: float = AGAIN_S, at_most: float = math.inf) -> None:
        super().__init__(why)
        self._again = again
        self._at_most = at_most

    def again(self, took: float) -> float:
        """In how many seconds, if the answer took `took` s."""
        return min(max(self._again, _PATIENT * took), self._at_most)


class _Waiting:
    """Filesets that wait for the same, without what the journal has of each."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.ids: set[int] = set()
        self.shortest = math.inf  # s that one of them has waited, at least

    def add(self, path: str, fileset: Fileset) -> None:
        self.paths.append(path)
        self.ids.add(fileset.id)
        self.shortest = min(self.shortest, fileset.waited)


class Assembly:
    """What becomes of each file of a lot: it goes into a fileset, waits or has failed.

    Rule: a fileset is formed when every file that it uses is at rest, or was
    accounted for before.  If one of them waits, all of them wait, for the same reason.
    No step is about more than PART files.

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
        self._failed: list[int] = []  # filesets, since they were last taken
        self._uncovered = Uncovered()
        self._often = Often()

    def forget_unasked(self) -> None:
        """Forgets the files outside of every rule that no set has used for a while."""
        self._uncovered.forget_unasked()

    def failed(self, lot: Lot, why: str, now: float, again: float) -> Steps:
        """There was no answer.  The lot is asked about again after `again` s."""
        still = self._lots.unchanged(lot)
        self._lots.again(still, now + again)
        yield from self._conclude(lot, dict.fromkeys(still, _Verdict(State.WAITING, why)))
        self._lots.back(lot)
        return 0

    def answered(
        self,
        lot: Lot,
        grouping: Grouping,
        around: Around,
        now: float,
        took: float,
        large: Sequence[tuple[Candidate, Waits]] = (),
    ) -> Steps:
        """Forms what can be formed, and returns the number of filesets.

        `large`: sets that cannot be formed now, as was found out before.  The lot is out until the
        last step.
        """
        still = self._lots.unchanged(lot)
        but = [candidate for candidate, _ in large]
        waits = list(large)
        formed = yield from self._form_all(lot, grouping, around, still, now, but, waits)
        verdicts: dict[str, _Verdict] = {}

        def mine(candidate: Candidate) -> list[str]:
            files = (path for path in candidate.files if path in still and path in self._lots)
            return [path for path in files if path not in verdicts or verdicts[path].waits]

        for candidate in grouping.candidates:
            files = mine(candidate)
            if candidate.refused:
                refused = _Verdict(State.FAILED, candidate.refused)
                verdicts.update(dict.fromkeys(files, refused))
            elif candidate.broken:
                verdicts.update(self._read_again(files, candidate.broken, now))
            elif not candidate.complete:
                lacks = candidate if candidate.missing or candidate.incomplete else None
                if candidate.not_now:
                    patient = max(_BUSY_S, _PATIENT * took)
                    self._lots.again(files, now + min(patient, _UNTOLD_S))
                waiting = _Verdict(State.WAITING, reason_to_wait(candidate), lacks)
                verdicts.update(dict.fromkeys(files, waiting))
        for candidate, waited in waits:
            files = mine(candidate)
            verdicts.update(dict.fromkeys(files, _Verdict(State.WAITING, str(waited))))
            self._lots.again(files, now + waited.again(took))
        for path, why in grouping.unreadable.items():
            if path in still and path in self._lots:
                # A file whose reader was left out has not failed, nor have notes beside images.
                all_readers = lot.rule is None or lot.rule.readers is None
                failed = all_readers and is_image_name(PurePath(path).name)
                failed = (failed and path not in grouping.parts) or why.startswith(DEADLY)
                verdicts[path] = _Verdict(State.FAILED if failed else State.SKIPPED, why)
        untold = [path for path in still if path in self._lots and path not in verdicts]
        if untold:
            told = {path for candidate in grouping.candidates for path in candidate.files}
            untold = [path for path in untold if path not in told]
        if untold:
            log.error("nothing was found out about %s", untold[0])
            why = "waits: nothing was found out about it; see the log"
            verdicts.update(dict.fromkeys(untold, _Verdict(State.WAITING, why)))
            self._lots.again(untold, now + _UNTOLD_S)
        yield from self._conclude(lot, verdicts)
        self._lots.back(lot)
        return formed

    def _form_all(
        self,
        lot: Lot,
        grouping: Grouping,
        around: Around,
        still: set[str],
        now: float,
        but: Sequence[Candidate],
        waits: list[tuple[Candidate, Waits]],
    ) -> Steps:
        """Forms what can be formed.  Returns the number of filesets; `waits` gets what has to wait.

        This is done first: a file that goes into one set then does not wait with another.
        The largest set comes first: a set that lies within another is not a set of its own.
        """
        singles: dict[str, tuple[Candidate, Found]] = {}
        formed = files = 0
        for candidate in sorted(grouping.candidates, key=lambda one: -len(one.files)):
            if not candidate.complete or candidate.refused or still.isdisjoint(candidate.files):
                continue
            if any(candidate is one for one in but):
                continue
            try:
                found = self._found(lot, candidate, around, still, now)
                if len(found) == 1 and not candidate.plate:
                    singles[found[0].path] = candidate, found[0]
                else:
                    self._form(lot, candidate, found)
                    formed += 1
                    files += len(found)
            except Waits as waiting:
                waits.append((candidate, waiting))
            if files >= PART:
                files = 0
                yield
        for some in chunks(list(singles.items()), PART):
            formed += self._form_singles(lot, dict(some), now, waits)
            yield
        return formed

    def _form_singles(
        self,
        lot: Lot,
        singles: dict[str, tuple[Candidate, Found]],
        now: float,
        waits: list[tuple[Candidate, Waits]],
    ) -> int:
        formed = 0
        for path in list(singles):
            if path in self._lots and not self._is_as_asked(lot, path):
                del singles[path]
        left = [met for path, (_, met) in singles.items() if path in self._lots]
        for path in self._journal.in_sets(lot.user, left):
            candidate, met = singles.pop(path)
            try:
                self._form(lot, candidate, [met])
                formed += 1
            except Waits as waiting:
                waits.append((candidate, waiting))
        queued = {path: candidate.reader for path, (candidate, _) in singles.items()}
        return formed + self._queue_singles(queued, now)

    def _is_as_asked(self, lot: Lot, path: str) -> bool:
        """Whether it rests here as it did when the lot was asked about."""
        rested = self._lots.stat_of(path)
        return rested is not None and rested == lot.stats.get(path, rested)

    def overdue(
        self, waiting: Mapping[str, Candidate], passed: float, timeout: float
    ) -> Iterator[tuple[list[Fileset], Candidate]]:
        """Sets that were incomplete for `timeout` s; `passed` s of them have just gone by.

        `waiting`: the files that wait, see `Lots.incomplete`.  No lock is needed here.

        The parts of a set wait for the same file.  They fail together, when the last of them has
        waited so long.  Time counts only while DropBox could see the missing file come: not when
        somebody sets the clock, suspends the machine or stops DropBox.
        """
        sets: dict[tuple[str, str, str], _Waiting] = {}
        for some in chunks(list(waiting), PART):
            for path, fileset in self._journal.open_at(some).items():
                if fileset.state is State.WAITING and fileset.reason:
                    key = fileset.user, fileset.reason, waiting[path].files[0]
                    sets.setdefault(key, _Waiting()).add(path, fileset)
        longer: list[int] = []
        for (_, reason, _), one in sets.items():
            if one.shortest + passed < timeout:
                longer += one.ids
                continue
            parts = (self._journal.open_at(some) for some in chunks(one.paths, PART))
            filesets = [
                fileset
                for part in parts
                for fileset in part.values()
                if fileset.id in one.ids
                and fileset.state is State.WAITING
                and fileset.reason == reason
            ]
            if filesets:
                yield filesets, waiting[filesets[0].path]
        if longer:
            self._journal.waited(longer, passed)

    def give_up(self, filesets: list[Fileset], lacks: Candidate, lock: Lock) -> None:
        """Fails the parts of one set as one fileset, if none of them has changed by then.

        Takes the lock itself, for the last part.
        """
        with lock:
            stats = {one.path: self._lots.stat_of(one.path) for one in filesets}

        def sure() -> bool:
            now = ((self._lots.stat_of(path), stat) for path, stat in stats.items())
            return all(rested is not None and rested == stat for rested, stat in now)

        order = {path: position for position, path in enumerate(lacks.files)}
        filesets.sort(key=lambda one: order.get(one.path, len(order)))
        reason = filesets[0].reason
        ids = [fileset.id for fileset in filesets]
        failed = self._journal.give_up(ids, reason, lacks.missing, lock=lock, sure=sure)
        if failed is None:
            return  # one of them stirs: it is asked about again
        with lock:
            self._failed.append(failed)
            for path, stat in stats.items():
                if self._lots.stat_of(path) == stat:
                    self._lots.remove(path)

    def take_failed(self) -> list[int]:
        """The filesets that have failed here since the last call."""
        failed, self._failed = self._failed, []
        return failed

    def _found(
        self, lot: Lot, candidate: Candidate, around: Around, still: set[str], now: float
    ) -> list[Found]:
        """The files of a complete candidate, each at rest.  Raises Waits."""
        found: list[Found] = []
        uncovered: list[Found] = []
        for path in candidate.files:
            if self._pending(path):
                raise Waits(f"waits for {path}, which is in its quiet period")
            rested = self._lots.stat_of(path)
            if path in lot.stats and (path not in still or rested not in (None, lot.stats[path])):
                raise Waits(f"waits for {path}, which has changed")
            if path in around.away:
                raise Waits(f"waits for {path}, which {around.away[path]}", _BUSY_S)
            stat = lot.stats.get(path) or rested or around.stats.get(path)
            if stat is None:
                is_gone = path in around.stats  # else it rested here when it was looked at
                why = "is not there" if is_gone else "has changed"
                raise Waits(f"waits for {path}, which {why}", _BUSY_S)
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
            raise Waits(advice, _UNTOLD_S)
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
            raise Waits(why, _UNTOLD_S, _UNTOLD_S)
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
        return _together(lot, candidate, self._found(lot, candidate, around, still, now))

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
        return Waits(why, _BUSY_S, _BUSY_MOST_S)

    def _form(self, lot: Lot, candidate: Candidate, found: list[Found]) -> None:
        """Raises Waits."""
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
        return Waits(f"waits, as it cannot be recorded: {error}", _UNTOLD_S)

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

    def _queue_singles(self, singles: Mapping[str, str], now: float) -> int:
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

    def _read_again(self, paths: list[str], why: str, now: float) -> dict[str, _Verdict]:
        """Has the files read again, and fails them after the last try."""
        tries = max(map(self._lots.tries, paths), default=0)
        if tries == len(_READ_AGAIN_S):
            return dict.fromkeys(paths, _Verdict(State.FAILED, why))
        for path in paths:
            self._lots.tried(path, tries + 1)
        self._lots.again(paths, now + _READ_AGAIN_S[tries])
        return dict.fromkeys(paths, _Verdict(State.WAITING, why))

    def _conclude(self, lot: Lot, verdicts: Mapping[str, _Verdict]) -> Steps:
        """Records what becomes of files: in the journal first, in few statements for many files."""
        for number, some in enumerate(chunks(list(verdicts.items()), PART)):
            if number:
                yield
            self._conclude_some(
                {path: verdict for path, verdict in some if self._is_as_asked(lot, path)}
            )
        return 0

    def _conclude_some(self, verdicts: Mapping[str, _Verdict]) -> None:
        opened = self._open(verdicts)
        reasons: dict[State, dict[int, str]] = {}
        for fileset in opened:
            verdict = verdicts[fileset.path]
            if not verdict.waits or fileset.reason != verdict.why:
                reasons.setdefault(verdict.state, {})[fileset.id] = verdict.why
        self._journal.tell(reasons.pop(State.WAITING, {}))
        for state, of in reasons.items():
            ended = self._journal.end_waiting(of, state)
            if state is State.FAILED:
                self._failed += ended
        for path, verdict in verdicts.items():
            if verdict.waits:
                self._lots.wait(path, verdict.lacks)
            else:
                self._lots.remove(path)

    def _open(self, paths: Iterable[str]) -> list[Fileset]:
        """The waiting filesets of `paths`; their files are recorded as they came to rest.

        The journal knows the files as they were met, when somebody began to write them.
        """
        opened = [f for f in self._journal.open_at(paths).values() if f.state is State.WAITING]
        now = {}
        for fileset in opened:
            stat, was = self._lots.stat_of(fileset.path), fileset.files[0].stat
            if stat is not None and (stat, stat.ctime_ns) != (was, was.ctime_ns):
                now[fileset.id] = stat
        self._journal.rested(now)
        return opened


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


def reason_to_wait(candidate: Candidate) -> str:
    if candidate.missing:
        names = ", ".join(candidate.missing[:_NAMED])
        more = len(candidate.missing) - _NAMED
        also = f": {candidate.alike}" if candidate.alike else ""
        return f"waits for {names}" + (f" and {more} more" if more > 0 else "") + also
    return candidate.incomplete or candidate.broken or candidate.held
