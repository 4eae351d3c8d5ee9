"""Lots: which files at rest are grouped together, and when.

Pure: the time is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.grouping.filesets import Candidate
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import store_at

from .neighbourhood import ByDirectory, Neighbourhood, Owner

_MOST = 2_000  # files in one lot, or a little more: a directory is not divided
AGAIN_S = 1.0  # between two questions about the same files that wait


@dataclass(frozen=True)
class Lot:
    """Files of one user that are asked about together."""

    user: str
    root: str
    rule: Rule | None
    files: tuple[str, ...]
    stats: Mapping[str, FileStat] = field(repr=False, default_factory=dict)


class _Lacking:
    """An incomplete set, as the last answer had it."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate


@dataclass(slots=True)
class _Rested:
    name: str  # in its directory: the one text for all tables here
    stat: FileStat
    owner: Owner
    rule: Rule | None  # the rule when it came to rest
    lacks: _Lacking | None = None  # the incomplete set that it waits with
    tries: int = 0  # how often a reader has failed on it
    since: float = 0.0  # s, monotonic: when it came to rest


class Lots:
    """Files at rest, on their way into filesets, and the questions about them that are due.

    Rule: each user has at most one lot out at a time.

    `rule_of` says what holds for a path (None: nothing does, any more: then
    what did when it came to rest), `held` why nothing is to be done for a
    user until the configuration is mended (empty: it may), and `answers`
    whether the disk of a root does.
    """

    def __init__(
        self,
        *,
        rule_of: Callable[[str], Rule | None],
        held: Callable[[str], str],
        answers: Callable[[str], bool] = lambda root: True,
    ) -> None:
        self._rule_of = rule_of
        self._held = held
        self._answers = answers
        # Directory -> name in it -> the file: a plate has very many files in few directories, and
        # what all of their paths have in common is kept once.
        self._in: ByDirectory[_Rested] = ByDirectory()
        self._number = 0  # of them
        # First file of an incomplete set -> the set.  A plate is asked about in many lots, and each
        # answer names all of its files: one is kept, for as long as a file waits with it.
        self._lacking: WeakValueDictionary[str, _Lacking] = WeakValueDictionary()
        # owner -> directory to be asked about -> when (s); the owner who waited longest is first
        self._due: OrderedDict[Owner, dict[str, float]] = OrderedDict()
        self._waiting = Neighbourhood()  # files that were asked about
        self._asking: set[str] = set()  # users who have a lot out
        self._out = Neighbourhood()  # their directories, each as a file that is called as its user
        # Files that left without a result: they are to settle anew.
        self._released: list[Found] = []

    def __len__(self) -> int:
        return self._number

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._find(path) is not None

    def _find(self, path: str) -> _Rested | None:
        directory, _, name = path.rpartition("/")
        files = self._in.get(directory)
        return None if files is None else files.get(name)

    def _at(self, path: str) -> _Rested:
        """Raises KeyError if it is not here."""
        directory, _, name = path.rpartition("/")
        return self._in[directory][name]

    def _all(self) -> Iterator[tuple[str, _Rested]]:
        for directory, files in self._in.items():
            for name, rested in files.items():
                yield f"{directory}/{name}", rested

    def below(self, directory: str) -> list[str]:
        """The files at rest, of those that lie below `directory`."""
        itself = store_at(directory)
        found = (f"{where}/{name}" for where, name in self._in.below(directory))
        return [path for path in found if path != itself]

    def stores(self) -> list[tuple[str, str]]:
        """(root, path) of the stores at rest, which wait."""
        # The name of a store, after the slash at its end, is empty.
        found = ((directory, files.get("")) for directory, files in list(self._in.items()))
        return [(one.owner[1], f"{directory}/") for directory, one in found if one is not None]

    def at_rest_since(self, path: str) -> float:
        """When (s, monotonic) it was handed on, a quiet period after its last sign of life."""
        return self._at(path).since

    def stat_of(self, path: str) -> FileStat | None:
        """The file as it was when it came to rest; None if it is not here.  Needs no lock."""
        rested = self._find(path)
        return rested.stat if rested is not None else None

    def add(self, found: Iterable[Found], user: str, root: str, now: float) -> None:
        """Takes files of one user that have come to rest."""
        directories: dict[str, None] = {}
        owner = user, root
        for met in found:
            rule = self._rule_of(met.path)
            directory, _, name = met.path.rpartition("/")
            files = self._in.of(directory)
            self._number += name not in files
            files[name] = _Rested(name, met.stat, owner, rule, since=now)
            directories[directory] = None
        for directory in directories:
            self._due.setdefault(owner, {})[directory] = now
            self.ask_near(directory, now + AGAIN_S)

    def ask_near(self, directory: str, at: float) -> None:
        """Asks again, at the time `at`, about what waits in or around `directory`.

        What is asked about just now is asked about again: perhaps it was read before.
        """
        for owner, other in (*self._waiting.near(directory), *self._out.near(directory)):
            self._set_due(owner, other, at)

    def ask_all(self, now: float, root: str | None = None) -> None:
        """Everything that waits, in `root` or at all, is asked about again.

        Who knows what has changed around it.
        """
        for owner, directory in (*self._waiting.all(), *self._out.all()):
            if root is None or owner[1] == root:
                self._set_due(owner, directory, now)

    def remove(self, path: str) -> None:
        """Removes a file that stirs again, is gone, or is in a fileset now."""
        directory, _, name = path.rpartition("/")
        files = self._in.get(directory)
        if files is None or files.pop(name, None) is None:
            return
        self._number -= 1
        self._waiting.remove(path)
        if not files:
            self._in.forget(directory)

    def next(self, now: float) -> Lot | None:
        """The next lot to ask about, None if there is none now."""
        for owner in list(self._due):
            user, root = owner
            if user in self._asking or not self._answers(root):
                continue
            chosen = self._choose(owner, now)
            if not self._due[owner]:
                del self._due[owner]
            else:
                self._due.move_to_end(owner)
            if chosen:
                self._asking.add(user)
                for directory in _directories(chosen):
                    self._out.add(f"{directory}/{user}", owner)
                stats = {path: self._at(path).stat for path in sorted(chosen)}
                rule = self._rule_of(chosen[0]) or self._at(chosen[0]).rule
                return Lot(user, root, rule, tuple(stats), stats)
        return None

    def _choose(self, owner: Owner, now: float) -> list[str]:
        directories = self._due[owner]
        chosen: list[str] = []
        for directory in sorted(directories):
            if directories[directory] > now or len(chosen) >= _MOST:
                continue
            del directories[directory]
            files = self._in.get(directory, {})
            here = [f"{directory}/{name}" for name, one in files.items() if one.owner == owner]
            if here and self._rule_of(here[0]) is None and self._held(owner[0]):
                self.release(here)
            else:
                chosen += here
        return chosen

    def back(self, lot: Lot) -> set[str]:
        """Takes back a lot after its answer.  Returns those of its files that have not changed."""
        self._asking.discard(lot.user)
        for directory in _directories(lot.files):
            self._out.remove(f"{directory}/{lot.user}")
        return self.unchanged(lot)

    def unchanged(self, lot: Lot) -> set[str]:
        """Those of its files that rest as they did: nobody has touched them, and be it a chmod.

        Else what a reader said of one that was shut would be held against it when it rests anew.
        """
        stats = lot.stats
        return {p for p in lot.files if FileStat.untouched(stats[p], self.stat_of(p))}

    def ask_again(self, lot: Lot, at: float) -> None:
        """Takes back a lot without an answer, and asks about what is left of it at that time."""
        self.again(self.back(lot), at)

    def again(self, paths: Iterable[str], at: float) -> None:
        """Asks about these files at that time."""
        for path in paths:
            self._set_due(self._at(path).owner, path.rpartition("/")[0], at)

    def wait(self, path: str, lacks: Candidate | None) -> None:
        """Lets a file wait for others.  `lacks`: its set, if parts of that may never come."""
        rested = self._at(path)
        rested.lacks = self._one_of(lacks) if lacks is not None else None
        self._waiting.add(path, rested.owner, rested.name)

    def incomplete(self) -> dict[str, Candidate]:
        """The files that wait for parts which may never come, each with its set."""
        return {path: one.lacks.candidate for path, one in self._all() if one.lacks is not None}

    def lacks(self, path: str) -> bool:
        """Whether it waits for parts which may never come, as was found out since it rests."""
        rested = self._find(path)
        return rested is not None and rested.lacks is not None

    def _one_of(self, candidate: Candidate) -> _Lacking:
        known = self._lacking.get(candidate.files[0])
        if known is None:
            known = self._lacking[candidate.files[0]] = _Lacking(candidate)
        known.candidate = candidate
        return known

    def tries(self, path: str) -> int:
        """How often a reader has failed on it so far."""
        return self._at(path).tries

    def tried(self, path: str, tries: int) -> None:
        """A reader has failed on it `tries` times."""
        self._at(path).tries = tries

    def release(self, paths: Iterable[str]) -> None:
        """Lets files leave without a result."""
        for path in paths:
            self._released.append(Found(path, self._at(path).stat))
            self.remove(path)

    def settle_anew(self, files: Iterable[Found]) -> None:
        """Takes files that are to settle anew, and are not here any more."""
        self._released += files

    def take_released(self) -> list[Found]:
        """The files that are to settle anew, of those since the last call."""
        released, self._released = self._released, []
        return released

    def _set_due(self, owner: Owner, directory: str, at: float) -> None:
        """Never later than a time that was set before, perhaps while a lot was out."""
        due = self._due.setdefault(owner, {})
        due[directory] = min(at, due.get(directory, at))


def _directories(paths: Iterable[str]) -> set[str]:
    return {path.rpartition("/")[0] for path in paths}
