"""From files at rest to filesets: what happens with the answer of a grouper.

Pure, except for the journal.  The pipeline holds its lock around every call, and around every
step of those that have steps, so nothing here looks at the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from omero_fs_plugin.dropbox.grouping.filesets import DEADLY, Candidate, Grouping
from omero_fs_plugin.dropbox.grouping.native.signatures import is_image_name
from omero_fs_plugin.dropbox.journal.records import PART, Fileset, Found, chunks
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat

from .around import Around
from .forming import BUSY_S, PATIENT, UNTOLD_S, Forming, Lock, Waits
from .lots import Lot, Lots
from .overdue import give_up

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal

log = logging.getLogger(__name__)

_NAMED = 4  # files that a reason names at most
# Before a file is read again after its reader failed.  When a part of its set comes later, it is
# read once more.
_READ_AGAIN_S = (2.0, 10.0)


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


class Assembly:
    """What becomes of each file of a lot: it goes into a fileset, waits or has failed.

    Rule: a fileset is formed when every file that it uses is at rest, or was
    accounted for before.  If one of them waits, all of them wait, for the same reason.
    No step is about more than PART files.
    """

    def __init__(self, journal: Journal, lots: Lots, forming: Forming) -> None:
        self._journal = journal
        self._lots = lots
        self._forming = forming
        self._failed: list[int] = []  # filesets, since they were last taken

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
                    patient = max(BUSY_S, PATIENT * took)
                    self._lots.again(files, now + min(patient, UNTOLD_S))
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
            self._lots.again(untold, now + UNTOLD_S)
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
                found = self._forming.ready(lot, candidate, around, still, now)
                if len(found) == 1 and not candidate.plate:
                    singles[found[0].path] = candidate, found[0]
                else:
                    self._forming.form(lot, candidate, found)
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
                self._forming.form(lot, candidate, [met])
                formed += 1
            except Waits as waiting:
                waits.append((candidate, waiting))
        queued = {path: candidate.reader for path, (candidate, _) in singles.items()}
        return formed + self._forming.queue_singles(queued, now)

    def _is_as_asked(self, lot: Lot, path: str) -> bool:
        """Whether it rests here as it did when the lot was asked about."""
        rested = self._lots.stat_of(path)
        return FileStat.untouched(lot.stats.get(path, rested), rested)

    def give_up(self, filesets: list[Fileset], lacks: Candidate, lock: Lock) -> None:
        """As `overdue.give_up`."""
        failed = give_up(self._journal, self._lots, filesets, lacks, lock)
        if failed is not None:
            with lock:
                self._failed.append(failed)

    def take_failed(self) -> list[int]:
        """The filesets that have failed here since the last call."""
        failed, self._failed = self._failed, []
        return failed

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


def reason_to_wait(candidate: Candidate) -> str:
    if candidate.missing:
        names = ", ".join(candidate.missing[:_NAMED])
        more = len(candidate.missing) - _NAMED
        also = f": {candidate.alike}" if candidate.alike else ""
        return f"waits for {names}" + (f" and {more} more" if more > 0 else "") + also
    return candidate.incomplete or candidate.broken or candidate.held
