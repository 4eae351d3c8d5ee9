"""Where failed files go if an admin wants them out of the way (omero.fs.quarantine)."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from omero_fs_plugin.dropbox.confine.trees import stat_of, tree_stat
from omero_fs_plugin.dropbox.confine.unreadable import named
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.database import LeaseLost
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, HOME, RETURNING, Way
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import FsError, ImportRefused
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.names import encodable
from omero_fs_plugin.stores import is_store, store_at

from .alone import Busy
from .copying import make_directory
from .forsaken import Forsaken
from .lying import lies_at, moved_before, need_free, need_mounted
from .moving import move_back, move_out
from .staying import Stay, Staying
from .undoing import Undoing, place_of
from .vault import told_at

log = logging.getLogger(__name__)


class Quarantine(Undoing):
    """Moves the files of failed filesets to DIRECTORY/user/fileset id/path below the user's own.

    Beside them lies DIRECTORY/user/fileset id.txt, which says why, and how to bring
    them back.  They come back by themselves when a file that they lack comes.

    Only files below the watch directory are moved, and a set only as a whole.  It stays
    if one of its files has changed or belongs to another fileset too, and if the server may not
    read one of them: then it is tried again where it lies, when its owner has mended that.

    A store that goes to another disk is copied, see `crossing`.  It has its own name in one
    of the two places at any time, or in both while the journal says which of them counts.
    """

    def __init__(self, directory: Path | None, places: Places, journal: Journal) -> None:
        super().__init__(directory, journal)
        self._places = places
        self.staying = Staying()
        self._unfinished = Forsaken(time.monotonic())

    def sweep(self) -> None:
        """Moves what failed earlier and was not moved then, and finishes what was cut short."""
        for identifier in self.returning():
            self.finish(identifier)
        for fileset, act in self.due():
            act(fileset)

    def due(self) -> Iterator[tuple[Fileset, Callable[[Fileset], None]]]:
        """Filesets that were not moved whole, each with what is to be done with it."""
        for key, vault in self._journal.notes(GOES).items():
            fileset = self._journal.get(int(key.removeprefix(GOES)))
            if fileset is None:
                self._unnote(int(key.removeprefix(GOES)), HOME, GOES)
            elif vault != str(self.directory) or fileset.state is not State.FAILED:
                yield fileset, partial(self._bring_back_half, vault=vault)
        if self.directory is None:
            return
        returning = self._ways()
        for fileset in self._journal.select(State.FAILED):
            way = returning.get(fileset.id)
            if way is None or fileset.root == way.root:  # else whoever finishes it found us at it
                yield fileset, self.take

    def take(self, fileset: Fileset) -> None:
        """Moves the files of a failed fileset.

        If a file cannot be moved, the log says so, and `staying` has the fileset.
        """
        began, why = time.monotonic(), self._why_not(fileset)
        if why is None:
            self.staying.went(fileset.root, fileset.id)
            return
        now, said = time.monotonic(), (isinstance(why, OSError) and why.strerror) or str(why)
        stay = Stay(encodable(fileset.path), f"cannot be moved to {self.directory}: {said}")
        if self.staying.stays(fileset.root, fileset.id, stay, now, now - began):
            _log(fileset, why)

    def take_again(self, identifier: int, root: str) -> None:
        """Moves one that could not be moved, unless something else has come of it."""
        fileset = self._journal.get(identifier)
        if fileset is None or fileset.root != root or fileset.state is not State.FAILED:
            self.staying.went(root, identifier)
        else:
            self.take(fileset)

    def unfinished(self, now: float) -> dict[int, str]:
        """Moves there that nobody goes on with, to be gone on with `now` (s, monotonic).

        Whoever made one was killed, or a disk or the journal did not answer.  Fileset -> the root
        that it had.
        """
        if not (goes := self._journal.notes(GOES)):
            return {}
        homes, ways = self._journal.notes(HOME), {}
        for key, vault in goes.items():
            identifier = int(key.removeprefix(GOES))
            ways[identifier] = Way(homes.get(f"{HOME}{identifier}", vault), vault, ())
        return self._unfinished.due(ways, now, self._journal.now())

    def go_on(self, identifier: int) -> None:
        """Finishes one of `unfinished`, or undoes it if it cannot go on."""
        vault = self._journal.noted(f"{GOES}{identifier}")
        fileset = self._journal.get(identifier)
        if not vault:
            return  # it was under way
        if fileset is None:
            self._unnote(identifier, HOME, GOES)
        elif vault != str(self.directory) or fileset.state is not State.FAILED:
            self._bring_back_half(fileset, vault=vault)
        else:
            self.take(fileset)

    def _why_not(self, fileset: Fileset) -> Exception | None:
        """Moves them.  Gives why that is to be tried again; None: it is not."""
        directory = self.directory  # once, for a reload may name another one meanwhile
        if directory is None or self._is_tried_again(fileset):
            return None
        root, vault = directory / fileset.user / str(fileset.id), str(directory)
        try:
            if self._is_half_elsewhere(fileset, vault):
                return None
            with self._alone(fileset.id, root, vault):
                now = self._journal.get(fileset.id)
                failed = now is not None and now.state is State.FAILED
                if now is not None and failed and not self._is_tried_again(now):
                    self._take(now, root, vault)
        except ImportRefused as error:  # there is nothing to mend
            _log(fileset, error)
        except (OSError, FsError) as error:  # also Busy: whoever moves it may be killed in it
            return error
        return None

    def _is_tried_again(self, fileset: Fileset) -> bool:
        """Whether it waits for rights where it lies.  A move that was begun is finished."""
        return bool(named(fileset.reason)) and not self._journal.noted(f"{GOES}{fileset.id}")

    def _take(self, fileset: Fileset, root: Path, vault: str) -> None:
        """Moves them to `root`, on the disk of `vault`, which may be another than the user's."""
        path = fileset.path
        moved: list[tuple[Path, str]] = []  # by us: where it lies, where it was
        if fileset.root == str(root):  # it is there
            self._finish_going(fileset, vault)
            return
        began = bool(self._journal.noted(f"{GOES}{fileset.id}"))
        try:
            if not self._is_to_go(fileset, root, vault, began):
                self._undo(fileset, root, vault)  # an earlier move was cut short, and cannot go on
                return
            self._end_former_way(fileset.id, vault)
            if self._journal.noted(f"{RETURNING}{fileset.id}"):
                raise OSError(errno.EBUSY, "its last way home has left something there", str(root))
            if not began:  # nothing is noted of a move that cannot begin
                for met in fileset.files:
                    to = place_of(fileset.root, met.path, root)
                    if not moved_before(fileset.root, met, to, vault, began):
                        need_free(fileset.root, met, to, vault)
            with CALLS.at(vault):
                make_directory(root)  # from now on it is there, unless its disk is away
            notes = {f"{HOME}{fileset.id}": fileset.root, f"{GOES}{fileset.id}": vault}
            if not self._journal.set_out(fileset, notes):
                return
            if self._is_shared(fileset):  # since we looked; from now on nobody is handed a file
                self._undo(fileset, root, vault)
                return
            now: list[Found] = []
            for met in fileset.files:
                path, to = met.path, place_of(fileset.root, met.path, root)
                if not moved_before(fileset.root, met, to, vault, began):
                    with CALLS.at(vault):
                        make_directory(to.parent)
                    if not is_store(path):  # a store replaces nothing: see `move_out`
                        need_free(fileset.root, met, to, vault)
                    self._sure()
                    moved.append((to, path))
                    if not move_out(fileset.root, met, to, vault, sure=self._sure):
                        log.warning("fileset %d: %s changed, and stays", fileset.id, path)
                        self._undo(fileset, root, vault)
                        return
                there = store_at(str(to)) if is_store(path) else str(to)
                stat = tree_stat(vault, there) if is_store(path) else CALLS.stat(vault, there)
                if stat is None:
                    raise FileNotFoundError(errno.ENOENT, "it was moved, and is gone", there)
                now.append(Found(there, stat))
            with CALLS.at(vault):
                _tell(root, fileset)
            if not self._journal.put_elsewhere(fileset.id, str(root), now):
                log.warning("fileset %d: %s is wanted where it was", fileset.id, fileset.path)
                self._undo(fileset, root, vault)
                return
            for met, there_now in zip(fileset.files, now, strict=True):
                log.info("fileset %d: %s is now %s", fileset.id, met.path, there_now.path)
        except LeaseLost as error:
            log.warning("fileset %d: %s is left to another DropBox: %s", fileset.id, path, error)
            try:
                self._undo_late(fileset, root, moved, vault)
            except (OSError, FsError) as late:
                log.error(
                    "fileset %d: what was moved to %s stays there: %s", fileset.id, root, late
                )
            return
        except (OSError, FsError):
            self._undo(fileset, root, vault)
            raise
        ways = [(place_of(fileset.root, met.path, root), met.path) for met in fileset.files]
        self._clear_away(fileset, fileset.root, ways, vault)
        self._journal.note(f"{GOES}{fileset.id}", "")

    def _undo_late(
        self, fileset: Fileset, root: Path, moved: Sequence[tuple[Path, str]], vault: str
    ) -> None:
        """Another DropBox has taken over while we moved files to `root`.

        It finishes the move, as long as that is noted, or has finished it.  If it has also brought
        them home, then what we moved after that was in use there: it goes home again.
        Raises OSError and FsError.
        """
        now = self._journal.get(fileset.id)
        if now is None or now.root == str(root) or self._journal.noted(f"{GOES}{fileset.id}"):
            return
        for to, path in moved:
            if is_store(path) or not lies_at(to, vault) or stat_of(fileset.root, path) is not None:
                continue
            move_back(to, fileset.root, path, vault)
            log.warning("fileset %d: %s is back, for it is not ours any more", fileset.id, path)
        with suppress(FileNotFoundError), CALLS.at(vault):
            told_at(root).unlink()

    def _finish_going(self, fileset: Fileset, vault: str) -> None:
        """Clears away what is left where a fileset was that lies in `vault`."""
        if home := self._journal.noted(f"{HOME}{fileset.id}"):
            ways = self._ways_home(fileset, home)
            self._record_the_rest(fileset, ways, vault)
            self._clear_away(fileset, home, ways, vault)
        self._unnote(fileset.id, GOES)

    def _record_the_rest(
        self, fileset: Fileset, ways: Sequence[tuple[Path, str]], vault: str
    ) -> None:
        """Those of its files that the journal still has where they were."""
        now: list[Found] = []
        for met, (at, _) in zip(fileset.files, ways, strict=True):
            if is_store(met.path) or str(at) == met.path:
                now.append(met)
            else:
                with CALLS.at(vault), suppress(FileNotFoundError):
                    met = replace(met, stat=FileStat.of(at.lstat()))
                now.append(replace(met, path=str(at)))
        if now != list(fileset.files):
            self._journal.put_elsewhere(fileset.id, fileset.root, now)

    def _is_half_elsewhere(self, fileset: Fileset, ours: str) -> bool:
        """Whether a part of it lies in another quarantine than `ours`, and stays there for now."""
        key = f"{GOES}{fileset.id}"
        if (vault := self._journal.noted(key)) in ("", ours):
            return False
        self._bring_back_half(fileset, vault=vault)
        return bool(self._journal.noted(key))

    def _bring_back_half(self, fileset: Fileset, *, vault: str) -> None:
        """Brings back what a move to `vault`, another directory than ours, has moved so far."""
        root = Path(vault, fileset.user, str(fileset.id))
        try:
            with self._alone(fileset.id, root, vault):
                now = self._journal.get(fileset.id)
                if now is not None and now.root == str(root):
                    self._finish_going(now, vault)
                elif now is None:
                    self._unnote(fileset.id, HOME, GOES)
                elif self._put_back(now, root, vault):
                    self._is_back(now, root, vault)
        except (Busy, OSError, FsError) as error:
            log.warning("fileset %d: %s is not back yet: %s", fileset.id, fileset.path, error)

    def _is_to_go(self, fileset: Fileset, root: Path, vault: str, began: bool) -> bool:
        """Whether all files may be moved.  Raises OSError and ImportRefused."""
        for met in fileset.files:
            if self._places.place(met.path) is None:
                return False
            if stat_of(fileset.root, met.path) == met.stat:
                continue
            to = place_of(fileset.root, met.path, root)
            if not moved_before(fileset.root, met, to, vault, began):
                if began:
                    need_mounted(fileset.root, met, root, vault)
                return False  # it has changed, and is imported anew
        return not self._is_shared(fileset)

    def _is_shared(self, fileset: Fileset) -> bool:
        """Whether another fileset has one of its files, and may need it."""
        shared = self._journal.shared(fileset)
        if shared:
            log.warning("fileset %d: stays where it is: %s is shared", fileset.id, shared[0])
        return bool(shared)


def _tell(root: Path, fileset: Fileset) -> None:
    """Writes beside the files why they are there, and how to bring them back."""
    names = "".join(f"    {met.path}\n" for met in fileset.files)
    told_at(root).write_text(
        f"These files of {fileset.user} could not be imported:\n\n{names}\n"
        f"The reason: {fileset.reason}\n\n"
        f"They lie in {root} now. This command brings them back, and tries again:\n\n"
        f"    omero fs import --retry {fileset.id}\n",
        encoding="utf-8",
        errors="surrogateescape",
    )


def _log(fileset: Fileset, why: Exception) -> None:
    log.warning("fileset %d: %s stays where it is: %s", fileset.id, fileset.path, why)
