"""Finds out which of the files that are met are new or have changed: these begin to settle."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence

from omero_fs_plugin.accounts import NoAnswer
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import no_user
from omero_fs_plugin.errors import RecordRefused
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.names import is_utf8, why_not_utf8
from omero_fs_plugin.stores import is_store

from .neighbourhood import Owner
from .stores import Stores
from .underway import BATCH, SMALL_BATCH, Underway

log = logging.getLogger(__name__)

_UNDER_WAY = (State.QUEUED, State.IMPORTING)


class Meeting:
    """Meets files by events, by rescans and by what the journal remembers."""

    def __init__(self, files: Underway, stores: Stores) -> None:
        self._files = files
        self._stores = stores
        self._journal, self._places, self._outside = files.journal, files.places, files.outside
        self._settler, self._lots = files.settler, files.lots

    def heard(self, paths: Iterable[str], now: float) -> None:
        """Events about `paths`: each is a sign of life."""
        met: list[Found] = []
        gone: list[str] = []
        apart: list[str] = []
        for path, told in self._folded(paths, now).items():
            if self._outside.is_advice(path):
                self._advised(path, now)
            try:
                stat = self._outside.stat(path)
            except OSError as error:
                self._files.cannot_tell(path, error)
                continue
            if stat is not None:
                met.append(Found(path, stat))
                continue
            gone.append(path)
            self._tell_odd(path)
            if is_store(path):
                apart += self._apart(path, told)
        self.gone(gone, now)
        self.meet(met, now, alive=True)
        if apart:
            self.heard(apart, now)

    def gone(self, paths: Sequence[str], now: float) -> None:
        """Takes files that a look has not found, or whose share is away.

        Those that were under way are looked at once more: what came between the look and the
        lock may have been heard of before, and nobody would tell of it again.
        """
        away = self._files.roots_away(paths)
        back: list[Found] = []
        for start in range(0, len(paths), BATCH):
            some = paths[start : start + BATCH]
            with self._files.lock:
                were = self._files.gone(some, away)
                for directory in {path.rpartition("/")[0] for path in some}:
                    self._lots.ask_near(directory, now)
            for path in were:
                try:
                    stat = self._outside.stat(path)
                except OSError as error:
                    self._files.cannot_tell(path, error)
                    continue
                if stat is not None:
                    back.append(Found(path, stat))
        if back:
            self.meet(back, now, alive=True)

    def _folded(self, paths: Iterable[str], now: float) -> dict[str, list[str]]:
        """`paths`, where the files of a store are one path.  Each with those that it stands for.

        A store in its quiet period is not looked at for each event: it begins to rest anew.
        """
        folded: dict[str, list[str]] = {}
        for path in dict.fromkeys(paths):
            try:
                folded.setdefault(self._stores.of(path) or path, []).append(path)
            except OSError as error:
                self._files.cannot_tell(path, error)
        for store in filter(is_store, list(folded)):
            with self._files.lock:
                if store in self._settler:
                    self._settler.touch(store, now)
                    del folded[store]
        return folded

    def _apart(self, store: str, told: Sequence[str]) -> list[str]:
        """No store is there.  Those of `told` that are of something else, if the disk says so."""
        parts = [path for path in told if path != store]
        try:
            if parts:
                return parts if self._stores.is_none(store) else []
        except OSError as error:
            self._files.cannot_tell(store, error)
            return []
        self._stores.look_for_files([store])
        return []

    def _tell_odd(self, path: str) -> None:
        try:
            why = self._outside.oddity(path)
        except OSError as error:
            self._files.cannot_tell(path, error)
            return
        if why:
            self._files.leave_alone(path, why)
        else:
            self._files.no_longer_left(path)

    def revisit(self, now: float, owner: Owner | None = None) -> None:
        """What waits in the journal and not here goes on waiting, a full quiet period.

        All of it, or what `owner` has.
        """
        for some in self._journal.waiting(owner):
            for fileset in some:
                if len(fileset.files) > 1:  # one of them has changed
                    try:
                        self._journal.dissolve(fileset.id)
                    except RecordRefused as error:
                        self._files.cannot_record(fileset.path, error)
            looked: dict[str, FileStat | None] = {}
            lies_in = {met.path: fileset.root for fileset in some for met in fileset.files}
            for path in (path for path in lies_in if path not in self._settler):
                try:
                    looked[path] = self._outside.stat(path)
                except OSError as error:
                    self._files.cannot_tell(path, error)
            gone = [path for path, stat in looked.items() if stat is None]
            self.gone(gone, now)
            self._stores.look_for_files(filter(is_store, gone))
            inside = self._stores.inside(looked)  # perhaps of a store since the last start
            with self._files.lock:
                for path, stat in looked.items():
                    at_rest = self._lots.stat_of(path)
                    if stat is None or path in self._settler or FileStat.untouched(at_rest, stat):
                        continue
                    if path in inside or self._stores.around(path):
                        continue
                    self._lots.remove(path)
                    self._files.stir(Found(path, stat), now, lies_in[path])

    def _advised(self, path: str, now: float) -> None:
        """A sidecar has changed: after its quiet period the files around it are asked about."""
        place = self._places.place(path)
        with self._files.lock:
            quiet = place.rule.quiet_period if place is not None else self._settler.quiet
            self._lots.ask_near(path.rpartition("/")[0], now + quiet)

    def meet(self, found: Sequence[Found], now: float, *, alive: bool) -> None:
        """Takes files that were seen.  `alive`: that is a sign of life; else only a change is."""
        for one in found:
            if is_store(one.path) and not self._stores.around(one.path):
                self._stores.met(one.path)
        ours = self._ours(found)
        parts: list[Found] = []
        for start in range(0, len(ours), BATCH):
            batch = ours[start : start + BATCH]
            with self._files.lock:
                fresh = []
                for met in batch:
                    self._files.seen(met.path)
                    if self._stores.around(met.path):
                        parts.append(met)
                        continue
                    if met.path not in self._settler:
                        if met.path in self._lots:
                            rested = self._lots.stat_of(met.path)
                            if not alive and FileStat.untouched(rested, met.stat):
                                continue
                            self._lots.remove(met.path)
                        fresh.append(met)
                    elif alive:
                        self._files.stir(met, now)
                    else:
                        self._settler.check(met.path, met.stat, now)
                known = self._journal.known(fresh, self._places.user_of)
                # The fileset that a file is open in ends if the file was moved: look after that.
                underway = [
                    met for met in fresh if known.get(met.path) in (*_UNDER_WAY, State.WAITING)
                ]
                moved = self._journal.under_another_path(underway, self._places.user_of)
                news = [
                    met
                    for met in fresh
                    if known.get(met.path) in (None, State.WAITING) or met.path in moved
                ]
                news = self._without_changed([met for met in news if met.path not in known]) + [
                    met for met in news if met.path in known
                ]
                new = [met for met in news if met.path not in known]
                coming = self._files.coming([met.path for met in new])
                new = [met for met in new if met.path not in coming]
                refused = self._files.record(new)
                new = [met for met in new if met not in refused]
                for met in news:
                    if met not in refused:
                        self._files.stir(met, now)
                for met in news:
                    # What waits for another file of its set is looked at for no other reason.
                    former = moved.get(met.path)
                    if former is not None and former not in self._settler:
                        self._files.stir(Found(former, met.stat), now)
            self._follow(new)
        if parts:
            self._meet_parts(parts, now, alive=alive)

    def _meet_parts(self, parts: Sequence[Found], now: float, *, alive: bool) -> None:
        """Files that lie in a store which was met since they were looked at: that is met instead.

        Or by themselves, if the disk says that there is none any more.
        """
        inside = self._stores.inside([met.path for met in parts])
        self.heard(dict.fromkeys(inside.values()), now)
        if apart := [met for met in parts if met.path not in inside]:
            self.meet(apart, now, alive=alive)

    def unaccounted(self, files: Sequence[tuple[str, os.stat_result]]) -> list[Found]:
        """Those of which something may be news: `meet` decides.

        The others are filesets that have ended, and nobody has touched them since.  Nearly
        all that a rescan meets is like this, so it is as little work as can be.
        """
        ended = self._journal.ended(files)
        if ended and (len(self._settler) or len(self._lots)):
            with self._files.lock:
                ended = {p for p in ended if p not in self._settler and p not in self._lots}
        self._stores.met_apart(ended)
        if len(ended) == len(files):
            return []
        return [Found(path, FileStat.of(stat)) for path, stat in files if path not in ended]

    def _follow(self, new: Sequence[Found]) -> None:
        """Lets the fileset of a renamed file go on at the new path.

        A copy tool gives a file its name when all of it is written; under its temporary name it
        was perhaps skipped.  A path counts if nothing is there any more: else it is a second name.
        """
        by_user: dict[str, list[Found]] = {}
        roots: dict[str, str] = {}  # path -> root
        for met in new:
            place = self._files.place_of(met)
            if place is not None:
                by_user.setdefault(place.user, []).append(met)
                roots[met.path] = place.root
        for user, found in by_user.items():
            gone: dict[int, tuple[str, Found]] = {}
            for fileset, (path, met) in self._journal.former(user, found).items():
                try:
                    if self._outside.stat(path) is None:
                        gone[fileset] = path, met
                except OSError as error:
                    log.info("%s: nobody knows whether it is there: %s", path, error)
            some: list[tuple[int, tuple[str, Found]]]
            for start in range(0, len(gone), SMALL_BATCH):
                some = list(gone.items())[start : start + SMALL_BATCH]
                with self._files.lock:
                    some = [one for one in some if not self._stores.around(one[1][1].path)]
                    for _, (path, _) in some:
                        self._settler.forget(path)
                        self._lots.remove(path)
                    self._journal.follow(
                        {fileset: (roots[met.path], met) for fileset, (_, met) in some}
                    )

    def _ours(self, found: Sequence[Found]) -> list[Found]:
        """The files of OMERO's users that pass their rule and have a name that OMERO can take."""
        users: dict[str, bool] = {}  # asked once for many: a rescan brings every known file here
        ours = []
        for met in found:
            if self._outside.is_advice(met.path):
                continue
            try:
                place = self._places.of(met.path, met.stat)
                nobodys = "" if place is not None else self._places.nobodys(met.path, met.stat)
            except NoAnswer as error:
                self._files.cannot_tell(met.path, error)
                continue
            if place is None:
                self._files.nobodys(met, nobodys)
            elif not self._places.passes(met.path):
                continue
            elif not met.path.isascii() and not is_utf8(met.path):
                # Neither Ice nor OMERO can carry such a name.
                self._files.leave_alone(met.path, why_not_utf8(met.path))
            else:
                known = users.get(place.user)
                if known is None:
                    known = users[place.user] = self._outside.is_user(place.user)
                if known:
                    ours.append(met)
                elif self._places.user_of(met.path) is None:  # no directory of that name is told
                    self._files.leave_alone(met.path, no_user(place.user))
        return ours

    def _without_changed(self, fresh: Sequence[Found]) -> list[Found]:
        """Leaves out files imported from their path before, if the rule lacks Modification."""
        asked_for = []
        unasked = {}
        for met in fresh:
            place = self._places.place(met.path)
            if place is None or {"Modification", "All"} & set(place.rule.event_types):
                asked_for.append(met)
            else:
                unasked[met.path] = met
        if unasked:
            imported = self._journal.imported_at(unasked)
            asked_for += [met for path, met in unasked.items() if path not in imported]
        return asked_for
