"""From files at rest to filesets: what is asked of a grouper, and what becomes of its answer.

Pure but for the journal, as the pipeline whose part it is: the pipeline's lock
is held around every call, so nothing here looks at the disk.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.grouping.filesets import DEADLY, Candidate, Grouping
from omero_fs_plugin.dropbox.grouping.native.signatures import is_image_name
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat

from .strangers import Strangers

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal

log = logging.getLogger(__name__)

_MOST = 2_000  # files asked about in one lot; a directory is not divided
_AGAIN_S = 1.0  # between two questions about the same files that wait
_PATIENT = 20  # ... or so many times what the last answer took
_BUSY_S = 5.0  # before files are asked about again of which one is in an import under way
_NAMED = 4  # files that a reason names
# Before a file is read again that a reader failed on; a part of it that comes later
# opens it once more.
_READ_AGAIN_S = (2.0, 10.0)
_UNTOLD_S = 60.0  # before files are asked about again of which nothing was said

_Owner = tuple[str, str]  # user, root


@dataclass(frozen=True)
class Lot:
    """Files of one user that are asked about together."""

    user: str
    root: str
    rule: Rule | None
    files: tuple[str, ...]
    stats: Mapping[str, FileStat] = field(repr=False, default_factory=dict)


@dataclass(frozen=True)
class Around:
    """What was looked up for an answer before the lock was taken."""

    stats: Mapping[str, FileStat | None] = field(default_factory=dict)  # None: not there
    away: Mapping[str, str] = field(default_factory=dict)  # path -> why it cannot be looked at
    advice: Mapping[str, str] = field(default_factory=dict)  # directory -> what is wrong there


@dataclass
class _Rested:
    stat: FileStat
    owner: _Owner
    rule: Rule | None  # that held when it came to rest
    incomplete: bool = False  # for a part of its fileset, which may never come
    tries: int = 0  # by a reader that failed on it


class _Waits(Exception):
    """Why a candidate cannot be formed now, and in how many seconds it is asked about again."""

    def __init__(self, why: str, again: float = _AGAIN_S) -> None:
        super().__init__(why)
        self.again = again


class Assembly:
    """Files at rest, on their way into filesets.

    Rule: a fileset is formed when every file that it uses is at rest, or was
    accounted for before; whatever one of them waits for, all do.

    `pending` says whether a path is in its quiet period, `rule_of` what holds
    for a path (None: nothing does, any more: then what did when it came to
    rest), and `held` why nothing is to be done for a user until the
    configuration is mended (empty: it may).
    """

    def __init__(
        self,
        journal: Journal,
        *,
        pending: Callable[[str], bool],
        rule_of: Callable[[str], Rule | None],
        held: Callable[[str], str] = lambda user: "",
    ) -> None:
        self._journal = journal
        self._pending = pending
        self._rule_of = rule_of
        self._held = held
        self._rested: dict[str, _Rested] = {}
        # owner -> directories in which something is to be asked, the longest waiting first
        self._due: OrderedDict[_Owner, dict[str, float]] = OrderedDict()
        self._in: dict[str, set[str]] = {}  # directory -> files at rest in it
        self._waiting: dict[str, set[str]] = {}  # directory -> files in it that were asked about
        self._asking: set[str] = set()  # users of lots that are out
        self._failed: list[int] = []  # filesets, since they were last taken
        self._strangers = Strangers()
        # Files that left without an end of their own: they are to settle anew.
        self._released: list[Found] = []

    def __len__(self) -> int:
        return len(self._rested)

    def __contains__(self, path: object) -> bool:
        return path in self._rested

    def stat_of(self, path: str) -> FileStat | None:
        """What it was when it came to rest; None when it is not here."""
        rested = self._rested.get(path)
        return rested.stat if rested is not None else None

    def add(self, found: Iterable[Found], user: str, root: str, now: float) -> None:
        """Files of one user have come to rest."""
        directories: dict[str, None] = {}
        for met in found:
            rule = self._rule_of(met.path)
            self._rested[met.path] = _Rested(met.stat, (user, root), rule)
            directory = met.path.rpartition("/")[0]
            self._in.setdefault(directory, set()).add(met.path)
            directories[directory] = None
        for directory in directories:
            self._due.setdefault((user, root), {})[directory] = now
            self.ask_near(directory, now + _AGAIN_S)

    def ask_near(self, directory: str, at: float) -> None:
        """What waits in or around `directory` is asked about again: it may have waited for this."""
        for other in self._waiting:
            if _near(directory, other):
                self._ask(other, at)

    def ask_all(self, now: float) -> None:
        """Everything that waits is asked about again: who knows what has changed around it."""
        for directory in self._waiting:
            self._ask(directory, now)
        self._strangers.forget_unasked()

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
        for owner in list(self._due):
            user, root = owner
            if user in self._asking:
                continue
            chosen = self._choose(owner, now)
            if not self._due[owner]:
                del self._due[owner]
            else:
                self._due.move_to_end(owner)
            if chosen:
                self._asking.add(user)
                stats = {path: self._rested[path].stat for path in sorted(chosen)}
                rule = self._rule_of(chosen[0]) or self._rested[chosen[0]].rule
                return Lot(user, root, rule, tuple(stats), stats)
        return None

    def _choose(self, owner: _Owner, now: float) -> list[str]:
        directories = self._due[owner]
        chosen: list[str] = []
        for directory in sorted(directories):
            if directories[directory] > now or len(chosen) >= _MOST:
                continue
            del directories[directory]
            here = [p for p in self._in.get(directory, ()) if self._rested[p].owner == owner]
            if here and self._rule_of(here[0]) is None and self._held(owner[0]):
                self._release(here)
            else:
                chosen += here
        return chosen

    def failed(self, lot: Lot, why: str, now: float, again: float) -> None:
        """No answer was to be had; the lot is asked about again after `again` s."""
        self.ask_again(lot, now + again)
        self._waits(self._still(lot), why)

    def ask_again(self, lot: Lot, at: float) -> None:
        """What is left of a lot that had no answer is asked about at that time."""
        self._asking.discard(lot.user)
        self._again(self._still(lot), at)

    def answered(
        self, lot: Lot, grouping: Grouping, around: Around, now: float, took: float
    ) -> int:
        """Forms what can be formed; the number of filesets."""
        self._asking.discard(lot.user)
        still = self._still(lot)
        waits: list[tuple[Candidate, _Waits]] = []
        singles: dict[str, str] = {}
        formed = 0
        # First what can be formed: a file that another set uses as well waits no more with that.
        for candidate in grouping.candidates:
            if not candidate.complete or candidate.refused or still.isdisjoint(candidate.files):
                continue
            try:
                found = self._found(lot, candidate, around, still, now)
                if len(found) == 1 and not candidate.plate:
                    singles[found[0].path] = candidate.reader
                else:
                    self._form(lot, candidate, found)
                    formed += 1
            except _Waits as waiting:
                waits.append((candidate, waiting))
        formed += self._queue_singles(singles)
        for candidate in grouping.candidates:
            mine = [path for path in candidate.files if path in still and path in self._rested]
            if candidate.refused:
                self._close(mine, State.FAILED, candidate.refused)
            elif candidate.broken:
                self._read_again(mine, candidate.broken, now)
            elif not candidate.complete:
                lacks = bool(candidate.missing or candidate.incomplete)
                self._waits(mine, reason_to_wait(candidate), incomplete=lacks)
        for candidate, waited in waits:
            mine = [path for path in candidate.files if path in still and path in self._rested]
            self._waits(mine, str(waited))
            self._again(mine, now + max(waited.again, _PATIENT * took))
        for path, why in grouping.unreadable.items():
            if path in still and path in self._rested:
                # What readers were left out for is no failure, nor are notes beside images.
                all_readers = lot.rule is None or lot.rule.readers is None
                failed = all_readers and is_image_name(PurePath(path).name)
                failed = failed or why.startswith(DEADLY)
                self._close([path], State.FAILED if failed else State.SKIPPED, why)
        told = {path for candidate in grouping.candidates for path in candidate.files}
        untold = [path for path in still if path in self._rested and path not in told]
        if untold:
            log.error("of %s nothing was found out", untold[0])
            self._waits(untold, "waits: nothing was found out about it; see the log")
            self._again(untold, now + _UNTOLD_S)
        return formed

    def expire(self, passed: float, timeout: float) -> None:
        """Fails what was seen to wait incomplete for `timeout` (s); `passed` s of it just now.

        The parts of a set, which wait for the same, together: when the last of them has.
        A clock that is set, a suspended machine and a DropBox that is stopped make
        nobody wait: the part that is missing could not be seen to come.
        """
        waiting = [path for path, rested in self._rested.items() if rested.incomplete]
        together: dict[tuple[str, str], list[Fileset]] = {}
        for fileset in self._journal.open_at(waiting).values():
            if fileset.state is State.WAITING and fileset.reason:
                together.setdefault((fileset.user, fileset.reason), []).append(fileset)
        longer = []
        for filesets in together.values():
            if min(fileset.waited for fileset in filesets) + passed < timeout:
                longer += [fileset.id for fileset in filesets]
                continue
            for fileset in filesets:
                log.warning("fileset %d: given up: %s", fileset.id, fileset.reason)
                if self._journal.move(fileset.id, State.WAITING, State.FAILED, fileset.reason):
                    self._failed.append(fileset.id)
                self.remove(fileset.path)
        if longer:
            self._journal.waited(longer, passed)

    def take_failed(self) -> list[int]:
        """The filesets that have failed here since the last call."""
        failed, self._failed = self._failed, []
        return failed

    def take_released(self) -> list[Found]:
        """The files that are to settle anew, since the last call."""
        released, self._released = self._released, []
        return released

    def _still(self, lot: Lot) -> set[str]:
        """Those of a lot that are as they were when it was made."""
        return {path for path in lot.files if self.stat_of(path) == lot.stats[path]}

    def _ask(self, directory: str, at: float) -> None:
        for owner in {self._rested[path].owner for path in self._waiting[directory]}:
            self._set_due(owner, directory, at)

    def _again(self, paths: Iterable[str], at: float) -> None:
        for path in paths:
            self._set_due(self._rested[path].owner, path.rpartition("/")[0], at)

    def _set_due(self, owner: _Owner, directory: str, at: float) -> None:
        """No later than what was asked for before, which may have been while a lot was out."""
        due = self._due.setdefault(owner, {})
        due[directory] = min(at, due.get(directory, at))

    def _found(
        self, lot: Lot, candidate: Candidate, around: Around, still: set[str], now: float
    ) -> list[Found]:
        """The files of a complete candidate, each at rest.  Raises _Waits."""
        found: list[Found] = []
        strangers: list[Found] = []
        for path in candidate.files:
            if self._pending(path):
                raise _Waits(f"waits for {path}, which is in its quiet period")
            if path in lot.stats and path not in still:
                raise _Waits(f"waits for {path}, which has changed")
            if path in around.away:
                raise _Waits(f"waits for {path}, which {around.away[path]}", _BUSY_S)
            rested = self.stat_of(path)
            stat = lot.stats.get(path) or rested or around.stats.get(path)
            if stat is None:
                raise _Waits(f"waits for {path}, which is not there", _BUSY_S)
            found.append(Found(path, stat))
            if rested is None and path not in lot.stats:
                strangers.append(found[-1])
        self._wait_for_strangers(lot, strangers, now)
        advice = around.advice.get(candidate.files[0].rpartition("/")[0], "")
        if advice:
            raise _Waits(advice, _UNTOLD_S)
        return found

    def _wait_for_strangers(self, lot: Lot, strangers: list[Found], now: float) -> None:
        """Files that nobody has settled, such as those that no rule is for.  Raises _Waits."""
        known = self._journal.known(strangers)
        quiet = lot.rule.quiet_period if lot.rule is not None else 0.0
        for met in strangers:
            if known.get(met.path) in (None, State.WAITING):
                left = self._strangers.left(met, now, quiet)
                if left > 0:
                    raise _Waits(f"waits for {met.path}, which is in its quiet period", left)

    def _form(self, lot: Lot, candidate: Candidate, found: list[Found]) -> None:
        """Raises _Waits."""
        together = Formed(lot.user, lot.root, found, candidate.reader, candidate.plate)
        identifier, left = self._journal.form(together)
        if identifier is None:
            raise _Waits("waits for the end of an import of one of its files", _BUSY_S)
        self._released += left
        log.info("fileset %d: %d files, %s", identifier, len(found), found[0].path)
        for path in candidate.files:
            self.remove(path)

    def _queue_singles(self, singles: Mapping[str, str]) -> int:
        opened = self._journal.open_at(singles)
        settled: dict[int, FileStat] = {}
        readers: dict[int, str] = {}
        gone: list[str] = []
        for path, reader in singles.items():
            fileset = opened.get(path)
            rested = self._rested.get(path)
            if rested is None:
                continue
            if fileset is None:
                gone.append(path)
            elif fileset.state is State.WAITING:
                settled[fileset.id] = rested.stat
                readers[fileset.id] = reader
        self._journal.settled(settled, readers)
        self._release(gone)
        for path in singles:
            self.remove(path)
        return len(settled)

    def _release(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._released.append(Found(path, self._rested[path].stat))
            self.remove(path)

    def _read_again(self, paths: list[str], why: str, now: float) -> None:
        """After the last try it has failed."""
        tries = max((self._rested[path].tries for path in paths), default=0)
        if tries == len(_READ_AGAIN_S):
            self._close(paths, State.FAILED, why)
            return
        for path in paths:
            self._rested[path].tries = tries + 1
        self._waits(paths, why)
        self._again(paths, now + _READ_AGAIN_S[tries])

    def _waits(self, paths: Iterable[str], why: str, *, incomplete: bool = False) -> None:
        paths = list(paths)
        for path in paths:
            self._rested[path].incomplete = incomplete
            self._waiting.setdefault(path.rpartition("/")[0], set()).add(path)
        for fileset in self._open(paths):
            if fileset.reason != why:
                self._journal.move(fileset.id, State.WAITING, State.WAITING, why)

    def _open(self, paths: Iterable[str]) -> list[Fileset]:
        """The waiting filesets of `paths`, which are recorded as they came to rest.

        They were met when they began to be written; as they are now they are accounted for.
        """
        opened = [f for f in self._journal.open_at(paths).values() if f.state is State.WAITING]
        now = {}
        for fileset in opened:
            stat, was = self.stat_of(fileset.path), fileset.files[0].stat
            if stat is not None and (stat, stat.ctime_ns) != (was, was.ctime_ns):
                now[fileset.id] = stat
        self._journal.rested(now)
        return opened

    def _close(self, paths: Iterable[str], state: State, why: str) -> None:
        paths = list(paths)
        for fileset in self._open(paths):
            if self._journal.move(fileset.id, State.WAITING, state, why):
                log.info("fileset %d: %s: %s", fileset.id, state, why)
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
