"""Finds the files that are at rest after their quiet period, and hands them on to the lots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Place, no_user
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store

from .settle import Pending
from .stores import Stores
from .underway import BATCH, Underway


class Resting:
    """Decides which files are at rest and which go on settling."""

    def __init__(self, files: Underway, stores: Stores) -> None:
        self._files = files
        self._stores = stores
        self._journal, self._places, self._outside = files.journal, files.places, files.outside
        self._settler, self._lots = files.settler, files.lots

    def step(self, now: float, root: str | None = None) -> int:
        """Hands on what has come to rest, in `root` or at all; how many files."""
        with self._files.lock:
            due = self._settler.due(now, BATCH, root)
        looked, whose, away = self._look(due)
        there = [path for path, at in looked.items() if at is not None]
        held = set(self._outside.written(there)) if there else set()
        roots_away = self._files.roots_away([path for path, at in looked.items() if at is None])
        with self._files.lock:
            at_rest: dict[str, FileStat] = {}
            gone: list[str] = []
            for pending in due:
                path = pending.path
                if not self._settler.has(pending):
                    continue  # stirred or met anew while we looked
                if path in away:
                    self._files.cannot_tell(path, away[path])
                    self._settler.stir(path, pending.stat, now)
                    continue
                stat = looked[path]
                self._files.seen(path)
                if stat is None:
                    gone.append(path)
                elif path in held:
                    self._settler.stir(path, stat, now)
                elif self._settler.check(path, stat, now):
                    at_rest[path] = stat
            self._files.gone(gone, roots_away)
            self._tell_overdue(now)
            handed_on = self._hand_on(at_rest, whose, now) if at_rest else 0
        self._stores.look_for_files(filter(is_store, gone))
        return handed_on

    def _look(
        self, due: Sequence[Pending]
    ) -> tuple[dict[str, FileStat | None], dict[str, Place | str], dict[str, OSError]]:
        """What each file is now, whose it is or why nobody's, or why nobody knows.

        No lock is held: a share may hang.
        """
        looked: dict[str, FileStat | None] = {}
        whose: dict[str, Place | str] = {}
        away: dict[str, OSError] = {}
        for pending in due:
            path = pending.path
            try:
                stat = self._outside.stat(path)
                if stat is not None and self._places.place(path) is not None:
                    whose[path] = self._whose(Found(path, stat))
                looked[path] = stat
            except OSError as error:  # also NoAnswer
                away[path] = error
        return looked, whose, away

    def _whose(self, met: Found) -> Place | str:
        """Whose a file is that a rule covers, or why nobody's.  Raises NoAnswer."""
        place = self._places.of(met.path, met.stat)
        if place is None:
            self._files.no_account(met)
            return self._places.nobodys(met.path, met.stat)
        if self._places.user_of(met.path) is None and not self._outside.is_user(place.user):
            return no_user(place.user)
        return place

    def _hand_on(
        self, at_rest: Mapping[str, FileStat], whose: Mapping[str, Place | str], now: float
    ) -> int:
        opened, moved = self._opened(at_rest)
        handed_on: dict[tuple[str, str], list[Found]] = {}
        kept_back: dict[int, str] = {}
        for path, stat in at_rest.items():
            fileset = opened.get(path)
            if path in moved or (fileset is not None and fileset.state is State.IMPORTING):
                # The attempt under way either notices that its file has changed or was moved,
                # or ends well with the file as it was.  Look again after it.
                self._settler.stir(path, stat, now)
                continue
            self._settler.forget(path)
            if fileset is None or fileset.state is not State.WAITING:
                continue
            owner = self._owner(whose.get(path), fileset)
            if isinstance(owner, str):
                kept_back[fileset.id] = owner
            else:
                handed_on.setdefault(owner, []).append(Found(path, stat))
        self._journal.tell(kept_back)
        for (user, root), found in handed_on.items():
            self._lots.add(found, user, root, now)
        return sum(map(len, handed_on.values()))

    def _opened(
        self, at_rest: Mapping[str, FileStat]
    ) -> tuple[dict[str, Fileset], Mapping[str, str]]:
        """The open filesets of files at rest: each has one, or is accounted for.

        Also the files that are in an open fileset under another path, or come to be in one.
        """
        opened = self._journal.open_at(at_rest)
        # Its fileset was imported or refused while the file was settling
        # anew.  If the file has changed since, it is a fileset of its own.
        # If it has not, as when it was handed over in its quiet period, it
        # is accounted for.
        orphans = [Found(path, at_rest[path]) for path in at_rest if path not in opened]
        known = self._journal.known(orphans, self._places.user_of)
        changed = [met for met in orphans if met.path not in known]
        # What has become a part of a store has ended with that.
        changed = [met for met in changed if not self._stores.around(met.path)]
        # What is on its way home from quarantine gets its row when it has arrived.
        coming = self._files.coming([met.path for met in changed])
        changed = [met for met in changed if met.path not in coming]
        if changed:
            refused = self._files.record(changed)
            changed = [met for met in changed if met not in refused]
            opened.update(self._journal.open_at([met.path for met in changed]))
        known_still = [met for met in orphans if met.path in known]
        moved = self._journal.under_another_path(known_still, self._places.user_of)
        return opened, moved | dict.fromkeys(coming, "")

    def _owner(self, place: Place | str | None, fileset: Fileset) -> tuple[str, str] | str:
        """The user and root that it is handed on for, or why it is kept back.

        `place`: whose it is, or why nobody's; None: no rule covers it.
        """
        if isinstance(place, str):
            return place
        if place is None:  # since a reload, or a start
            why = self._outside.held(fileset.user)
            if why:  # looked at again at the rescan after the next one
                return why
        elif (place.user, place.root) != (fileset.user, fileset.root):
            self._journal.give_to(fileset.id, place.user, place.root)
            return place.user, place.root
        return fileset.user, fileset.root

    def _tell_overdue(self, now: float) -> None:
        late = self._settler.overdue(now)
        reason = f"it has kept changing for {self._settler.longest:g} s, and waits until it rests"
        overdue = {fileset.id: fileset for fileset in self._journal.open_at(late).values()}
        self._journal.tell(dict.fromkeys(overdue, reason))
