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

from ..events import FileStat
from .places import Places
from .records import GONE, Found
from .settle import Settler
from .states import State

if TYPE_CHECKING:
    from .journal import Journal

log = logging.getLogger(__name__)

_BATCH = 1_000  # files looked at while others wait for the lock
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
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def heard(self, paths: Iterable[str], now: float) -> None:
        """Events about `paths`: each is a sign of life."""
        met: list[Found] = []
        gone: list[str] = []
        for path in dict.fromkeys(paths):
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
        self._meet(met, now, alive=True)

    def scanned(self, found: Sequence[Found], now: float) -> None:
        """Files that a rescan saw: news only where they are not what was known."""
        self._meet(found, now, alive=False)

    def step(self, now: float) -> int:
        """Queues what has come to rest; how many filesets."""
        with self._lock:
            at_rest: dict[str, FileStat] = {}
            gone: list[str] = []
            for pending in self.settler.due(now, _BATCH):
                try:
                    stat = self.stat(pending.path)
                except OSError as error:
                    self._cannot_tell(pending.path, error)
                    self.settler.stir(pending.path, pending.stat, now)
                    continue
                if stat is None:
                    gone.append(pending.path)
                elif self.settler.check(pending.path, stat, now):
                    at_rest[pending.path] = stat
            self._gone(gone)
            for path in self.written(at_rest) if at_rest else ():
                self.settler.stir(path, at_rest.pop(path), now)
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
            settled = {
                opened[path].id: stat
                for path, stat in at_rest.items()
                if path in opened and opened[path].state is State.WAITING
            }
            self.journal.settled(settled)
            for path in at_rest:
                fileset = opened.get(path)
                if fileset is not None and fileset.state is State.IMPORTING:
                    # The attempt under way will notice that its file changed,
                    # or end well with what it was; look again after it.
                    self.settler.stir(path, at_rest[path], now)
                else:
                    self.settler.forget(path)
            return len(settled)

    def revisit(self, now: float) -> None:
        """What waits in the journal and not here goes on waiting, a full quiet period.

        At start, and after a rescan: an event that was lost may have been the
        one that said the file is gone.
        """
        self.unsure = False
        for some in self.journal.waiting():
            looked: dict[str, FileStat | None] = {}
            for path in (f.path for f in some if f.path not in self.settler):
                try:
                    looked[path] = self.stat(path)
                except OSError as error:
                    self._cannot_tell(path, error)
            with self._lock:
                self._gone([path for path, stat in looked.items() if stat is None])
                for path, stat in looked.items():
                    if stat is not None and path not in self.settler:
                        self._stir(Found(path, stat), now)

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
        for fileset in self.journal.open_at(paths).values():
            if not self.is_there(fileset.root):
                # A share that is away, rather than everything deleted.
                reason = f"{fileset.root} is not there"
                if fileset.reason != reason:
                    self.journal.move(fileset.id, State.WAITING, State.WAITING, reason)
                continue
            # What is queued or importing finds out by itself.
            self.journal.move(fileset.id, State.WAITING, State.SKIPPED, GONE)

    def _cannot_tell(self, path: str, error: OSError) -> None:
        self.unsure = True
        self.leave_alone(path, f"cannot be looked at: {error.strerror}")

    def _tell_overdue(self, now: float) -> None:
        late = self.settler.overdue(now)
        reason = f"it has kept changing for {self.settler.longest:g} s, and waits until it rests"
        for fileset in self.journal.open_at(late).values():
            log.warning("fileset %d: %s: %s", fileset.id, fileset.path, reason)
            self.journal.move(fileset.id, State.WAITING, State.WAITING, reason)
