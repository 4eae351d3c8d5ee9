"""From a file that was met to a fileset that is queued: one step of the whole.

Pure but for the journal: the disk and OMERO's users are asked through what is
handed in, and the time is an argument.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.dropbox.journal.records import GONE, Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.events import FileStat

from .assembly import Around, Assembly
from .lots import Lot, Lots
from .settle import Settler

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal

log = logging.getLogger(__name__)

_BATCH = 1_000  # files looked at while others wait for the lock
_AGAIN_S = 10.0  # before files are asked about again whose answer came to nothing
_LEFT_MOST = 100  # files left alone that are remembered, for people to read


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass
class Pipeline:
    """Settles what is met, and queues what has come to rest.

    Rule: a file is in the journal from the moment it is met, and leaves the
    settler only for the journal.  Thread-safe.

    `stat` gives what a path is now, None when it is no regular file (any
    more), and raises OSError when that cannot be told; `oddity` says why what
    is there is none.  `is_user` says whether a directory's name is an OMERO
    user's (True while OMERO is away, for then nobody knows), `is_there`
    whether a directory is there, and `written` which paths a process is known
    to hold open to write.
    """

    journal: Journal
    places: Places
    settler: Settler
    stat: Callable[[str], FileStat | None]
    is_user: Callable[[str], bool]
    oddity: Callable[[str], str] = lambda path: ""
    is_there: Callable[[str], bool] = lambda directory: True
    written: Callable[[Collection[str]], Collection[str]] = lambda paths: ()
    # Files that no import can be made of, and why: path with odd bytes escaped -> reason.
    left_alone: dict[str, str] = field(default_factory=dict)
    unsure: bool = False  # something could not be looked at: revisit before long
    # What is wrong with what is said of the files of a directory: (root, directory) -> text
    advice: Callable[[str, str], str] = lambda root, directory: ""
    is_advice: Callable[[str], bool] = lambda path: False  # whether a path says such things
    # Why nothing is to be done for a user until the configuration is mended
    held: Callable[[str], str] = lambda user: ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.lots = Lots(rule_of=self._rule_of, held=self.held)
        self.assembly = Assembly(self.journal, self.lots, pending=lambda path: path in self.settler)

    def heard(self, paths: Iterable[str], now: float) -> None:
        """Events about `paths`: each is a sign of life."""
        met: list[Found] = []
        gone: list[str] = []
        for path in dict.fromkeys(paths):
            if self.is_advice(path):
                self._advised(path, now)
            try:
                stat = self.stat(path)
            except OSError as error:
                self._cannot_tell(path, error)
                continue
            if stat is not None:
                met.append(Found(path, stat))
                continue
            gone.append(path)
            why = self.oddity(path)
            if why:
                self.leave_alone(path, why)
        if gone:
            with self._lock:
                self._gone(gone)
                for directory in {path.rpartition("/")[0] for path in gone}:
                    self.lots.ask_near(directory, now)
        self._meet(met, now, alive=True)

    def scanned(self, found: Sequence[Found], now: float) -> None:
        """Files that a rescan saw: news only where they are not what was known."""
        self._meet(found, now, alive=False)

    def next_lot(self, now: float) -> Lot | None:
        """Files at rest of which is to be found out what belongs together.

        `grouped` or `not_grouped` is to be called with it.
        """
        with self._lock:
            lot = self.lots.next(now)
            self._stir_released(now)
            return lot

    def grouped(self, lot: Lot, grouping: Grouping, now: float, took: float) -> int:
        """Queues the filesets that were found, which took `took` s; how many.

        Whatever it raises, what is left of the lot is asked about again.
        """
        try:
            around = self._look_around(lot, grouping, now)
            with self._lock:
                number = self.assembly.answered(lot, grouping, around, now, took)
                self._stir_released(now)
                return number
        except BaseException:
            with self._lock:
                self.lots.ask_again(lot, now + _AGAIN_S)
            raise

    def _look_around(self, lot: Lot, grouping: Grouping, now: float) -> Around:
        """What the disk says of what is used besides, with no lock held: a share may hang."""
        stats: dict[str, FileStat | None] = {}
        away: dict[str, str] = {}
        advice: dict[str, str] = {}
        for candidate in grouping.candidates:
            if candidate.refused or not candidate.complete:
                continue
            for path in candidate.files:
                if path not in lot.stats and path not in stats and path not in away:
                    self._look(path, stats, away)
            directory = candidate.files[0].rpartition("/")[0]
            if directory not in advice:
                advice[directory] = self.advice(lot.root, directory)
        # Those that nobody has met yet have their quiet period before them.
        met = [Found(path, stat) for path, stat in stats.items() if stat is not None]
        self._meet(met, now, alive=False)
        unread: dict[str, FileStat | None] = {}
        for path in grouping.unreadable:
            self._look(path, unread, {})
        # It was exchanged while it was read.
        changed = [Found(path, stat) for path, stat in unread.items() if stat is not None]
        changed = [met for met in changed if met.stat != lot.stats.get(met.path)]
        self._meet(changed, now, alive=False)
        with self._lock:  # it is gone, which is no fault of its content
            self._gone([path for path, stat in unread.items() if stat is None])
        return Around(stats, away, advice)

    def _look(self, path: str, stats: dict[str, FileStat | None], away: dict[str, str]) -> None:
        try:
            stats[path] = self.stat(path)
        except OSError as error:
            away[path] = f"cannot be looked at: {error.strerror}"

    def not_grouped(self, lot: Lot, why: str, now: float, again: float) -> None:
        """Nothing could be found out; it is tried again after `again` s."""
        with self._lock:
            self.assembly.failed(lot, why, now, again)

    def take_failed(self) -> list[Fileset]:
        """The filesets that no import was tried of, since the last call."""
        with self._lock:
            failed = self.assembly.take_failed()
        return self.journal.load(failed) if failed else []

    def expire(self, passed: float, timeout: float) -> None:
        """Gives up what was incomplete for `timeout` (s), of which `passed` s went by just now."""
        with self._lock:
            self.assembly.expire(passed, timeout)

    def step(self, now: float) -> int:
        """Hands on what has come to rest; how many files."""
        with self._lock:
            due = self.settler.due(now, _BATCH)
        looked: dict[str, FileStat | None] = {}
        away: dict[str, OSError] = {}
        for pending in due:  # with no lock held, for a share may hang
            try:
                looked[pending.path] = self.stat(pending.path)
            except OSError as error:
                away[pending.path] = error
        held = set(self.written([path for path, stat in looked.items() if stat is not None]))
        with self._lock:
            at_rest: dict[str, FileStat] = {}
            gone: list[str] = []
            for pending in due:
                path = pending.path
                if not self.settler.has(pending):
                    continue  # stirred or met anew while we looked
                if path in away:
                    self._cannot_tell(path, away[path])
                    self.settler.stir(path, pending.stat, now)
                    continue
                stat = looked[path]
                if stat is None:
                    gone.append(path)
                elif path in held:
                    self.settler.stir(path, stat, now)
                elif self.settler.check(path, stat, now):
                    at_rest[path] = stat
            self._gone(gone)
            self._tell_overdue(now)
            if not at_rest:
                return 0
            opened = self.journal.open_at(at_rest)
            # Its fileset was imported or refused while the file was settling
            # anew: what it has become since is a fileset of its own.  If it
            # has become nothing else, as when it was handed over in its quiet
            # period, it is accounted for.
            orphans = [Found(path, at_rest[path]) for path in at_rest if path not in opened]
            known = self.journal.known(orphans)
            changed = [met for met in orphans if met.path not in known]
            if changed:
                self._record(changed)
                opened.update(self.journal.open_at([met.path for met in changed]))
            handed_on: dict[tuple[str, str], list[Found]] = {}
            for path, stat in at_rest.items():
                fileset = opened.get(path)
                if fileset is not None and fileset.state is State.IMPORTING:
                    # The attempt under way will notice that its file changed,
                    # or end well with what it was; look again after it.
                    self.settler.stir(path, stat, now)
                    continue
                self.settler.forget(path)
                if fileset is None or fileset.state is not State.WAITING:
                    continue
                place = self.places.place(path)
                owner = fileset.user, fileset.root
                if place is None:  # since a reload, or a start
                    why = self.held(fileset.user)
                    if why:  # looked at again at the rescan after the next one
                        self._tell(fileset, why)
                        continue
                elif place.user != fileset.user:
                    owner = place.user, place.root
                    self.journal.give_to(fileset.id, *owner)
                handed_on.setdefault(owner, []).append(Found(path, stat))
            for (user, root), files in handed_on.items():
                self.lots.add(files, user, root, now)
            return sum(map(len, handed_on.values()))

    def revisit(self, now: float) -> None:
        """What waits in the journal and not here goes on waiting, a full quiet period.

        At start, and after a rescan: an event that was lost may have been the
        one that said the file is gone.
        """
        self.unsure = False
        with self._lock:
            self.lots.ask_all(now)
            self.assembly.forget_unasked()
        for some in self.journal.waiting():
            for fileset in some:
                if len(fileset.files) > 1:  # one of them has changed
                    self.journal.dissolve(fileset.id)
            looked: dict[str, FileStat | None] = {}
            paths = [met.path for fileset in some for met in fileset.files]
            for path in (path for path in paths if path not in self.settler):
                try:
                    looked[path] = self.stat(path)
                except OSError as error:
                    self._cannot_tell(path, error)
            with self._lock:
                self._gone([path for path, stat in looked.items() if stat is None])
                for path, stat in looked.items():
                    at_rest = self.lots.stat_of(path)
                    if stat is None or path in self.settler or stat == at_rest:
                        continue
                    self.lots.remove(path)
                    self._stir(Found(path, stat), now)

    def _advised(self, path: str, now: float) -> None:
        """What is said of the files around has changed: once it is quiet, they are looked at."""
        place = self.places.place(path)
        with self._lock:
            quiet = place.rule.quiet_period if place is not None else self.settler.quiet
            self.lots.ask_near(path.rpartition("/")[0], now + quiet)

    def pending(self) -> int:
        """Number of files in their quiet period."""
        return len(self.settler)

    def _meet(self, found: Sequence[Found], now: float, *, alive: bool) -> None:
        ours = self._ours(found)
        for start in range(0, len(ours), _BATCH):
            batch = ours[start : start + _BATCH]
            with self._lock:
                fresh = []
                for met in batch:
                    if met.path not in self.settler:
                        if met.path in self.lots:
                            if not alive and self.lots.stat_of(met.path) == met.stat:
                                continue
                            self.lots.remove(met.path)
                        fresh.append(met)
                    elif alive:
                        self._stir(met, now)
                    else:
                        self.settler.check(met.path, met.stat, now)
                known = self.journal.known(fresh)
                news = [met for met in fresh if known.get(met.path) in (None, State.WAITING)]
                news = self._without_changed([met for met in news if met.path not in known]) + [
                    met for met in news if met.path in known
                ]
                self._record([met for met in news if met.path not in known])
                for met in news:
                    self._stir(met, now)

    def _ours(self, found: Sequence[Found]) -> list[Found]:
        """Those of users whose rules they pass, and whose names can be carried."""
        users: dict[str, bool] = {}  # asked once for a lot: this is done for every known file
        ours = []
        for met in found:
            if self.is_advice(met.path):
                continue
            place = self.places.place(met.path)
            if place is None:
                self.leave_alone(met.path, "lies in no user's directory")
            elif not self.places.passes(met.path):
                continue
            elif not met.path.isascii() and not _is_unicode(met.path):
                # Neither Ice nor OMERO can carry such a name.
                self.leave_alone(met.path, "the name is not valid UTF-8: rename the file")
            else:
                known = users.get(place.user)
                if known is None:
                    known = users[place.user] = self.is_user(place.user)
                if known:
                    ours.append(met)
        return ours

    def leave_alone(self, path: str, reason: str) -> None:
        """Tells of what no import can be made of, once."""
        shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        if shown not in self.left_alone and len(self.left_alone) < _LEFT_MOST:
            log.warning("%s is left alone: %s", shown, reason)
            self.left_alone[shown] = reason

    def _stir(self, met: Found, now: float) -> None:
        place = self.places.place(met.path)
        quiet = place.rule.quiet_period if place is not None else None
        self.settler.stir(met.path, met.stat, now, quiet)

    def _stir_released(self, now: float) -> None:
        for met in self.lots.take_released():
            self._stir(met, now)

    def _rule_of(self, path: str) -> Rule | None:
        place = self.places.place(path)
        return place.rule if place is not None else None

    def _without_changed(self, fresh: Sequence[Found]) -> list[Found]:
        """Without what was imported from its path before, where nobody asked for Modification."""
        asked_for = []
        unasked = {}
        for met in fresh:
            place = self.places.place(met.path)
            if place is None or {"Modification", "All"} & set(place.rule.event_types):
                asked_for.append(met)
            else:
                unasked[met.path] = met
        if unasked:
            imported = self.journal.imported_at(unasked)
            asked_for += [met for path, met in unasked.items() if path not in imported]
        return asked_for

    def _record(self, found: Sequence[Found]) -> None:
        by_place: dict[tuple[str, str], list[Found]] = {}
        for met in found:
            place = self.places.place(met.path)
            if place is not None:
                by_place.setdefault((place.user, place.root), []).append(met)
        for (user, root), theirs in by_place.items():
            self.journal.wait(user, root, theirs)

    def _gone(self, paths: Sequence[str]) -> None:
        for path in paths:
            self.settler.forget(path)
            self.lots.remove(path)
        for fileset in self.journal.open_at(paths).values():
            if not self.is_there(fileset.root):
                # A share that is away, rather than everything deleted.
                self._tell(fileset, f"{fileset.root} is not there")
                continue
            # What is queued or importing finds out by itself.
            self.journal.move(fileset.id, State.WAITING, State.SKIPPED, GONE)

    def _tell(self, fileset: Fileset, reason: str) -> None:
        """What it waits for, once."""
        if fileset.reason != reason:
            self.journal.move(fileset.id, State.WAITING, State.WAITING, reason)

    def _cannot_tell(self, path: str, error: OSError) -> None:
        self.unsure = True
        self.leave_alone(path, f"cannot be looked at: {error.strerror}")

    def _tell_overdue(self, now: float) -> None:
        late = self.settler.overdue(now)
        reason = f"it has kept changing for {self.settler.longest:g} s, and waits until it rests"
        for fileset in self.journal.open_at(late).values():
            log.warning("fileset %d: %s: %s", fileset.id, fileset.path, reason)
            self.journal.move(fileset.id, State.WAITING, State.WAITING, reason)
