"""From a file that was met to a fileset that is queued: one step of the whole.

Pure, except for the journal: `outside` asks the disk and OMERO, and the time is
an argument.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.names import is_utf8

from .around import Around, look_around
from .assembly import Assembly, Steps
from .forming import Forming
from .large import form_large
from .lots import Lot
from .meeting import Meeting
from .neighbourhood import Owner
from .outside import Outside
from .overdue import overdue
from .resting import Resting
from .settle import Settler
from .stores import Stores
from .underway import SMALL_BATCH, Underway

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal

# The longest wait of the thread that hands out work, for others that ask the journal.
_PATIENCE_S = 0.2
_AGAIN_S = 10.0  # before files are asked about again whose answer could not be used
_IN_VAIN = (State.FAILED, State.SKIPPED)


class Pipeline:
    """Settles what is met, and queues what has come to rest.  Thread-safe."""

    def __init__(
        self, journal: Journal, places: Places, settler: Settler, outside: Outside
    ) -> None:
        self.journal = journal
        self.places = places
        self.settler = settler
        self.outside = outside
        self.files = Underway(journal, places, settler, outside)
        self.lots = self.files.lots
        self.stores = Stores(self.files)
        self._meeting = Meeting(self.files, self.stores)
        self._resting = Resting(self.files, self.stores)
        self._forming = Forming(
            journal, self.lots, pending=settler.__contains__, stirring=settler.first
        )
        self._assembly = Assembly(journal, self.lots, self._forming)

    def heard(self, paths: Iterable[str], now: float) -> None:
        """Events about `paths`: each is a sign of life."""
        self._meeting.heard(paths, now)

    def mended(self, paths: Iterable[str], now: float) -> None:
        """Files that could not be read, and perhaps can now.  What waits for them may go on."""
        paths = list(paths)
        self._meeting.heard(paths, now)
        with self.files.lock:
            for directory in {path.rpartition("/")[0] for path in paths}:
                self.lots.ask_near(directory, now)

    def may_be_read(self, paths: Iterable[str], now: float) -> None:
        """Files that have failed because they could not be read, and that can be opened now.

        They settle anew, though nobody may have touched them: so it is when the server's account
        was put into a group.
        """
        found: dict[str, Found] = {}
        for path in paths:
            try:
                whole = self.stores.of(path) or path
                if whole not in found and (stat := self.outside.stat(whole)) is not None:
                    found[whole] = Found(whole, stat)
            except OSError as error:
                self.files.cannot_tell(path, error)
        ours = [met for met in found.values() if self._is_ours(met)]
        for start in range(0, len(ours), SMALL_BATCH):
            some = ours[start : start + SMALL_BATCH]
            with self.files.lock:
                some = [met for met in some if met.path not in self.settler]
                some = [met for met in some if met.path not in self.lots]
                some = [met for met in some if not self.stores.around(met.path)]
                known = self.journal.known(some, self.places.user_of)
                some = [met for met in some if known.get(met.path) in _IN_VAIN]
                coming = self.files.coming([met.path for met in some])
                some = [met for met in some if met.path not in coming]
                refused = self.files.record(some)
                for met in some:
                    if met not in refused:
                        self.files.stir(met, now)

    def _is_ours(self, met: Found) -> bool:
        """Whether it would be imported if somebody dropped it now."""
        place = self.files.place_of(met)
        return (
            place is not None
            and self.places.passes(met.path)
            and is_utf8(met.path)
            and self.outside.is_user(place.user)
        )

    def scanned(self, found: Sequence[Found], now: float) -> None:
        """Files that a rescan saw.  Only those that differ from what was known are news."""
        self._meeting.meet(found, now, alive=False)

    def looked_at(
        self, files: Sequence[tuple[str, os.stat_result]], stores: Sequence[Found], now: float
    ) -> None:
        """As `scanned`: paths of files, and what os.lstat says of them; and stores."""
        self._meeting.meet([*self._meeting.unaccounted(files), *stores], now, alive=False)

    def revisit(self, now: float, owner: Owner | None = None) -> None:
        """What waits in the journal and not here goes on waiting, a full quiet period.

        All of it, or what `owner` has.  At start, and after a rescan: an event
        that was lost may have been the one that said the file is gone.
        """
        if owner is None:
            self.files.unsure.clear()
            self.ask_all(now)
        self._meeting.revisit(now, owner)

    def ask_all(self, now: float, root: str | None = None) -> None:
        """Everything at rest, in `root` or at all, is asked about again."""
        with self.files.lock:
            self.lots.ask_all(now, root)
            self._forming.forget_unasked()

    def step(self, now: float, root: str | None = None) -> int:
        """Hands on what has come to rest, in `root` or at all; how many files."""
        return self._resting.step(now, root)

    def roots_due(self, now: float) -> list[str]:
        """The roots in which files may have come to rest.

        None while another thread records something and the journal is slow: ask again.
        """
        if not self.files.lock.acquire(timeout=_PATIENCE_S):
            return []
        try:
            return self.settler.roots_due(now)
        finally:
            self.files.lock.release()

    def next_due(self, but: Collection[str] = ()) -> float | None:
        """When (s, monotonic) that may be next; None: nowhere known.  In no root of `but`."""
        if not self.files.lock.acquire(timeout=_PATIENCE_S):
            return None
        try:
            return self.settler.next_due(but)
        finally:
            self.files.lock.release()

    def pending(self) -> int:
        """Number of files in their quiet period."""
        return len(self.settler)

    def stat_of(self, path: str) -> FileStat | None:
        """A file at rest, as it came to rest; None if it is not at rest now."""
        with self.files.lock:
            return self.lots.stat_of(path)

    def next_lot(self, now: float) -> Lot | None:
        """The next files at rest to be grouped, None if there are none now.

        The caller then calls `grouped` or `not_grouped` with this lot.
        """
        with self.files.lock:
            lot = self.lots.next(now)
            self.files.stir_released(now)
            return lot

    def grouped(self, lot: Lot, grouping: Grouping, now: float, took: float) -> int:
        """Queues the filesets that were found, and returns their number.

        Grouping took `took` s.  If anything is raised here, what is left of the lot is
        asked about again.
        """
        try:
            around: Around = self.outside.ask(
                lot.root, lambda: look_around(lot, grouping, self.outside, self.lots.stat_of)
            )
            # Those that nobody has met yet have their quiet period before them.
            self._meeting.meet(around.met, now, alive=False)
            self._meeting.meet(around.changed, now, alive=False)
            if around.gone:
                self.outside.ask(lot.root, lambda: self._meeting.gone(around.gone, now))
            asked = lot, grouping, around, now
            large, waits = form_large(self.journal, self._forming, self.files.lock, asked)
            steps = self._assembly.answered(lot, grouping, around, now, took, waits)
            return large + self._step_by_step(steps, now)
        except BaseException:
            with self.files.lock:
                self.lots.ask_again(lot, now + _AGAIN_S)
            raise

    def not_grouped(self, lot: Lot, why: str, now: float, again: float) -> None:
        """The lot could not be grouped.  It is tried again after `again` s."""
        self._step_by_step(self._assembly.failed(lot, why, now, again), now)

    def _step_by_step(self, steps: Steps, now: float) -> int:
        """Takes the lock for each step: others have it in between.  Returns what they return."""
        while True:
            with self.files.lock:
                try:
                    next(steps)
                except StopIteration as ended:
                    self.files.stir_released(now)
                    return int(ended.value)

    def take_failed(self) -> list[Fileset]:
        """The filesets that have failed since the last call, before an import was tried."""
        with self.files.lock:
            failed = self._assembly.take_failed()
        return self.journal.load(failed) if failed else []

    def expire(self, passed: float, timeout: float) -> None:
        """Gives up sets incomplete for `timeout` s, of which `passed` s have just gone by."""
        with self.files.lock:
            waiting = self.lots.incomplete()
        for filesets, lacks in overdue(self.journal, waiting, passed, timeout):
            self._assembly.give_up(filesets, lacks, self.files.lock)
