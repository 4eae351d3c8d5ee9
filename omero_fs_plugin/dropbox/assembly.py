"""From files at rest to filesets: what is asked of a grouper, and what becomes of its answer.

Pure but for the journal, as the pipeline whose part it is: the pipeline's lock
is held around every call.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from ..events import FileStat
from ..settings import Rule
from .filesets import DEADLY, Candidate, Grouping
from .records import Formed, Found
from .signatures import is_image_name
from .states import State

if TYPE_CHECKING:
    from .journal import Journal

log = logging.getLogger(__name__)

_MOST = 2_000  # files asked about in one lot; a directory is not divided
_AGAIN_S = 1.0  # between two questions about the same files that wait
_PATIENT = 20  # ... or so many times what the last answer took
_NAMED = 4  # files that a reason names
# Before a file is read again that a reader failed on; a part of it that comes later
# opens it once more.
_READ_AGAIN_S = (2.0, 10.0)


@dataclass(frozen=True)
class Lot:
    """Files of one user that are asked about together."""

    user: str
    root: str
    rule: Rule | None
    files: tuple[str, ...]
    stats: Mapping[str, FileStat] = field(repr=False, default_factory=dict)


@dataclass
class _Rested:
    stat: FileStat
    user: str
    root: str
    rule: Rule | None
    incomplete: bool = False  # for a part of its fileset, which may never come
    tries: int = 0  # by a reader that failed on it


class Assembly:
    """Files at rest, on their way into filesets.

    Rule: a fileset is formed when every file that it uses is at rest, or was
    accounted for before; whatever one of them waits for, all do.

    `pending` says whether a path is in its quiet period, `stat` what a path is
    now (None: no regular file), `advice` what is wrong with what is said of the
    files of a directory, given the root and the directory.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        pending: Callable[[str], bool],
        stat: Callable[[str], FileStat | None],
        advice: Callable[[str, str], str] = lambda root, directory: "",
    ) -> None:
        self._journal = journal
        self._pending = pending
        self._stat = stat
        self._advice = advice
        self._rested: dict[str, _Rested] = {}
        # root -> directories in which something is to be asked, the longest waiting first
        self._due: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._in: dict[str, set[str]] = {}  # directory -> files at rest in it
        self._waiting: dict[str, set[str]] = {}  # directory -> files in it that were asked about
        self._asking: set[str] = set()  # roots of lots that are out
        self._failed: list[int] = []  # filesets, since they were last taken

    def __len__(self) -> int:
        return len(self._rested)

    def __contains__(self, path: object) -> bool:
        return path in self._rested

    def stat_of(self, path: str) -> FileStat | None:
        """What it was when it came to rest; None when it is not here."""
        rested = self._rested.get(path)
        return rested.stat if rested is not None else None

    def add(self, met: Found, user: str, root: str, rule: Rule | None, now: float) -> None:
        """A file has come to rest."""
        self._rested[met.path] = _Rested(met.stat, user, root, rule)
        directory = met.path.rpartition("/")[0]
        self._in.setdefault(directory, set()).add(met.path)
        self._due.setdefault(root, {})[directory] = now
        self.ask_near(directory, now + _AGAIN_S)

    def ask_near(self, directory: str, at: float) -> None:
        """What waits in or around `directory` is asked about again: it may have waited for this."""
        for other, paths in self._waiting.items():
            if _near(directory, other):
                root = self._rested[next(iter(paths))].root
                self._due.setdefault(root, {}).setdefault(other, at)

    def remove(self, path: str) -> None:
        """It stirs again, is gone, or is in a fileset."""
        if self._rested.pop(path, None) is None:
            return
        directory = path.rpartition("/")[0]
        for index in (self._in, self._waiting):
            files = index.get(directory)
            if files is not None:
                files.discard(path)
                if not files:
                    del index[directory]

    def next_lot(self, now: float) -> Lot | None:
        """What is to be asked next; of each user no more than one lot at a time."""
        for root in list(self._due):
            if root not in self._asking:
                chosen = self._choose(self._due[root], now)
                if not self._due[root]:
                    del self._due[root]
                else:
                    self._due.move_to_end(root)
                if chosen:
                    self._asking.add(root)
                    first = self._rested[chosen[0]]
                    stats = {path: self._rested[path].stat for path in chosen}
                    return Lot(first.user, root, first.rule, tuple(sorted(chosen)), stats)
        return None

    def _choose(self, directories: dict[str, float], now: float) -> list[str]:
        chosen: list[str] = []
        for directory in sorted(directories):
            if directories[directory] <= now and len(chosen) < _MOST:
                del directories[directory]
                chosen += self._in.get(directory, ())
        return chosen

    def next_due(self) -> float | None:
        """When (s, monotonic) the next lot is; None when nothing is to be asked."""
        times = [min(d.values()) for root, d in self._due.items() if root not in self._asking if d]
        return min(times, default=None)

    def failed(self, lot: Lot, why: str, now: float, again: float) -> None:
        """No answer was to be had; the lot is asked about again after `again` s."""
        self._asking.discard(lot.root)
        for path in lot.files:
            self._due.setdefault(lot.root, {})[path.rpartition("/")[0]] = now + again
        self._waits(self._still(lot), why)

    def answered(self, lot: Lot, grouping: Grouping, now: float, took: float) -> int:
        """Forms what can be formed; the number of filesets."""
        self._asking.discard(lot.root)
        still = set(self._still(lot))
        singles: dict[str, str] = {}
        advised: dict[str, str] = {}  # directory -> what is wrong with what is said of it
        formed = 0
        for candidate in grouping.candidates:
            mine = [path for path in candidate.files if path in still]
            if not mine:
                continue  # of others, or stirred meanwhile: they will be asked about again
            why = self._blocked(lot, candidate)
            if candidate.refused:
                self._close(mine, State.FAILED, candidate.refused)
            elif candidate.broken:
                self._read_again(lot, mine, candidate.broken, now)
            elif not candidate.complete:
                self._waits(mine, reason_to_wait(candidate), incomplete=True)
            elif why:
                self._waits(mine, why)
                self._again(lot, mine, now + max(_AGAIN_S, _PATIENT * took))
            elif advice := self._advised(lot.root, candidate.files[0], advised):
                self._waits(mine, advice)
            elif len(candidate.files) == 1 and not candidate.plate:
                singles[mine[0]] = candidate.reader
            elif self._form(lot, candidate):
                formed += 1
            else:
                self._again(lot, mine, now + 5 * _AGAIN_S)
        for path, why in grouping.unreadable.items():
            if path in still and path in self._rested:
                # What readers were left out for is no failure, nor are notes beside images.
                all_readers = lot.rule is None or lot.rule.readers is None
                failed = all_readers and is_image_name(PurePath(path).name)
                failed = failed or why.startswith(DEADLY)
                self._close([path], State.FAILED if failed else State.SKIPPED, why)
        return formed + self._queue_singles(singles)

    def ask_all(self, now: float) -> None:
        """Everything that waits is asked about again: who knows what has changed around it."""
        for directory, paths in self._waiting.items():
            root = self._rested[next(iter(paths))].root
            self._due.setdefault(root, {}).setdefault(directory, now)

    def expire(self, older_than: float) -> None:
        """Fails what has waited incomplete since before `older_than` (s since the epoch)."""
        waiting = [path for path, rested in self._rested.items() if rested.incomplete]
        for fileset in self._journal.open_at(waiting).values():
            if fileset.state is State.WAITING and fileset.reason and fileset.changed < older_than:
                log.warning("fileset %d: given up: %s", fileset.id, fileset.reason)
                self._journal.move(fileset.id, State.WAITING, State.FAILED, fileset.reason)
                self._failed.append(fileset.id)
                self.remove(fileset.path)

    def take_failed(self) -> list[int]:
        """The filesets that have failed here since the last call."""
        failed, self._failed = self._failed, []
        return failed

    def _read_again(self, lot: Lot, paths: list[str], why: str, now: float) -> None:
        """After the last try it has failed."""
        tries = max(self._rested[path].tries for path in paths)
        if tries == len(_READ_AGAIN_S):
            self._close(paths, State.FAILED, why)
            return
        for path in paths:
            self._rested[path].tries = tries + 1
        self._waits(paths, why)
        self._again(lot, paths, now + _READ_AGAIN_S[tries])

    def _still(self, lot: Lot) -> list[str]:
        """Those of a lot that are as they were when it was made."""
        return [path for path in lot.files if self.stat_of(path) == lot.stats[path]]

    def _advised(self, root: str, path: str, advised: dict[str, str]) -> str:
        directory = path.rpartition("/")[0]
        if directory not in advised:
            advised[directory] = self._advice(root, directory)
        return advised[directory]

    def _again(self, lot: Lot, paths: Iterable[str], at: float) -> None:
        for path in paths:
            self._due.setdefault(lot.root, {})[path.rpartition("/")[0]] = at

    def _blocked(self, lot: Lot, candidate: Candidate) -> str:
        """Why this cannot be formed now, though it is complete."""
        for path in candidate.files:
            if self._pending(path):
                return f"waits for {path}, which is in its quiet period"
            if path in lot.stats and self.stat_of(path) != lot.stats[path]:
                return f"waits for {path}, which has changed"
        return ""

    def _form(self, lot: Lot, candidate: Candidate) -> bool:
        found = []
        for path in candidate.files:
            stat = self.stat_of(path) or self._stat(path)
            if stat is None:
                return False
            found.append(Found(path, stat))
        identifier = self._journal.form(
            Formed(lot.user, lot.root, found, candidate.reader, candidate.plate)
        )
        if identifier is None:
            return False
        log.info("fileset %d: %d files, %s", identifier, len(found), found[0].path)
        for path in candidate.files:
            self.remove(path)
        return True

    def _queue_singles(self, singles: Mapping[str, str]) -> int:
        opened = self._journal.open_at(singles)
        settled: dict[int, FileStat] = {}
        readers: dict[int, str] = {}
        for path, reader in singles.items():
            fileset = opened.get(path)
            rested = self._rested.get(path)
            if fileset is not None and rested is not None and fileset.state is State.WAITING:
                settled[fileset.id] = rested.stat
                readers[fileset.id] = reader
            self.remove(path)
        self._journal.settled(settled, readers)
        return len(settled)

    def _waits(self, paths: Iterable[str], why: str, *, incomplete: bool = False) -> None:
        paths = list(paths)
        for path in paths:
            self._rested[path].incomplete = incomplete
            self._waiting.setdefault(path.rpartition("/")[0], set()).add(path)
        for fileset in self._journal.open_at(paths).values():
            if fileset.state is State.WAITING and fileset.reason != why:
                self._journal.move(fileset.id, State.WAITING, State.WAITING, why)

    def _close(self, paths: Iterable[str], state: State, why: str) -> None:
        paths = list(paths)
        for fileset in self._journal.open_at(paths).values():
            log.info("fileset %d: %s: %s", fileset.id, state, why)
            self._journal.move(fileset.id, State.WAITING, state, why)
            if state is State.FAILED:
                self._failed.append(fileset.id)
        for path in paths:
            self.remove(path)


def _near(one: str, other: str) -> bool:
    """Whether files of these directories may be of one set: one holds the other, or is it."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def reason_to_wait(candidate: Candidate) -> str:
    if candidate.missing:
        names = ", ".join(candidate.missing[:_NAMED])
        more = len(candidate.missing) - _NAMED
        return f"waits for {names}" + (f" and {more} more" if more > 0 else "")
    return candidate.incomplete or candidate.broken or candidate.held
