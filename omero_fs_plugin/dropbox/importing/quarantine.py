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

from omero_fs_plugin.dropbox.confine import parts_beneath
from omero_fs_plugin.dropbox.confine.trees import stat_of, tree_stat
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.database import LeaseLost
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, HOME, RETURNING
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import FsError, ImportRefused
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.names import encodable
from omero_fs_plugin.stores import is_store, store_at

from .alone import Busy
from .comparing import in_the_way
from .copying import make_directory, sha1_at
from .crossing import are_same, aside_of, drop_at, undo
from .importers.sources import sha1_of
from .moving import move_back, move_out
from .returning import Returning
from .staying import Stay, Staying
from .vault import lies_at, told_at

log = logging.getLogger(__name__)


class Quarantine(Returning):
    """Moves the files of failed filesets to DIRECTORY/user/fileset id/path below the user's own.

    Beside them lies DIRECTORY/user/fileset id.txt, which says why, and how to bring
    them back.  They come back by themselves when a file that they lack comes.

    Only files below the watch directory are moved, and a set only as a whole.  It stays
    if one of its files has changed or belongs to another fileset too.

    A store that goes to another disk is copied, see `crossing`.  It has its own name in one
    of the two places at any time, or in both while the journal says which of them counts.
    """

    def __init__(self, directory: Path | None, places: Places, journal: Journal) -> None:
        super().__init__(directory, journal)
        self._places = places
        self.staying = Staying()

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

    def _why_not(self, fileset: Fileset) -> Exception | None:
        """Moves them.  Gives why that is to be tried again; None: it is not."""
        if self.directory is None:
            return None
        root = self.directory / fileset.user / str(fileset.id)
        try:
            if self._is_half_elsewhere(fileset):
                return None
            with self._alone(fileset.id, root, str(self.directory)):
                now = self._journal.get(fileset.id)
                if now is not None and now.state is State.FAILED:
                    self._take(now, root)
        except ImportRefused as error:  # there is nothing to mend
            _log(fileset, error)
        except (OSError, FsError) as error:  # also Busy: whoever moves it may be killed in it
            return error
        return None

    def _take(self, fileset: Fileset, root: Path) -> None:
        vault = str(self.directory)  # its disk may be another than the user's
        path = fileset.path
        moved: list[tuple[Path, str]] = []  # by us: where it lies, where it was
        if fileset.root == str(root):  # it is there
            self._finish_going(fileset, vault)
            return
        began = bool(self._journal.noted(f"{GOES}{fileset.id}"))
        try:
            if not self._is_to_go(fileset, root, began):
                self._undo(fileset, root)  # an earlier move was cut short, and cannot go on
                return
            self._end_former_way(fileset.id, vault)
            if self._journal.noted(f"{RETURNING}{fileset.id}"):
                raise OSError(errno.EBUSY, "its last way home has left something there", str(root))
            if not began:  # nothing is noted of a move that cannot begin
                for met in fileset.files:
                    to = self._to(fileset, met, root)
                    if not _moved_before(fileset.root, met, to, vault, began):
                        _need_free(fileset.root, met, to, vault)
            with CALLS.at(vault):
                make_directory(root)  # from now on it is there, unless its disk is away
            notes = {f"{HOME}{fileset.id}": fileset.root, f"{GOES}{fileset.id}": vault}
            if not self._journal.set_out(fileset, notes):
                return
            now: list[Found] = []
            for met in fileset.files:
                path, to = met.path, self._to(fileset, met, root)
                if not _moved_before(fileset.root, met, to, vault, began):
                    with CALLS.at(vault):
                        make_directory(to.parent)
                    if not is_store(path):  # a store replaces nothing: see `move_out`
                        _need_free(fileset.root, met, to, vault)
                    self._sure()
                    moved.append((to, path))
                    if not move_out(fileset.root, met, to, vault, sure=self._sure):
                        log.warning("fileset %d: %s changed, and stays", fileset.id, path)
                        self._undo(fileset, root)
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
                self._undo(fileset, root)
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
            self._undo(fileset, root)
            raise
        ways = [(self._to(fileset, met, root), met.path) for met in fileset.files]
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

    def _is_half_elsewhere(self, fileset: Fileset) -> bool:
        """Whether a part of it lies in a former quarantine, and cannot be brought back now."""
        key = f"{GOES}{fileset.id}"
        if (vault := self._journal.noted(key)) in ("", str(self.directory)):
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
                    self._is_back(now)
        except (Busy, OSError, FsError) as error:
            log.warning("fileset %d: %s is not back yet: %s", fileset.id, fileset.path, error)

    def _undo(self, fileset: Fileset, root: Path) -> None:
        """Puts back what we have moved.  If that fails, the next start tries it again.

        If the journal has a part of it there by now, the next start records the rest.
        """
        try:
            now = self._journal.get(fileset.id)
            if now is not None and now.root == str(root):
                return
            if now is not None:  # it may have been opened again meanwhile
                fileset = replace(fileset, state=now.state)
            if self._put_back(fileset, root):
                self._is_back(fileset)
        except (OSError, FsError) as error:
            log.warning("fileset %d: %s is not back yet: %s", fileset.id, fileset.path, error)

    def _is_back(self, fileset: Fileset) -> None:
        """Nothing of it is in quarantine.

        If it is given to another directory later, that is none either.
        """
        if self._journal.noted(f"{HOME}{fileset.id}") == fileset.root:
            self._unnote(fileset.id, HOME)
        self._unnote(fileset.id, GOES)

    def _unnote(self, identifier: int, *notes: str) -> None:
        for note in notes:
            if self._journal.noted(f"{note}{identifier}"):  # a write for each at a start costs
                self._journal.note(f"{note}{identifier}", "")

    def _put_back(self, fileset: Fileset, root: Path, vault: str = "") -> bool:
        """Moves what lies below `root` back, so that a set lies as a whole where it was.

        `vault` is the quarantine's directory; empty: ours.  Returns False if it is to be tried
        again.  If a file is not moved back, the log says so.
        """
        vault, back = vault or str(self.directory), True
        began = self._journal.noted(f"{HOME}{fileset.id}") == fileset.root
        for met in fileset.files if began else ():
            try:
                to = self._to(fileset, met, root)
                if is_store(met.path):
                    self._sure()
                    undo(fileset.root, met.path, to, vault, self._sure)
                if not lies_at(to, vault):
                    _need_mounted(fileset.root, met, root, vault)
                    continue
                home = stat_of(fileset.root, met.path)
                if home is None:
                    self._sure()
                    move_back(to, fileset.root, met.path, vault, self._sure)
                    if is_store(met.path):
                        drop_at(to, vault, self._sure)
                elif is_store(met.path) and are_same(to, vault, fileset.root, met.path):
                    # The kill came between the copy and the move of the original.
                    drop_at(to, vault, self._sure)
                else:  # the user has dropped it again, and that one is looked at
                    # As it failed it is at home: then what lies there is no part of it.
                    back = back and (fileset.state is not State.FAILED or home == met.stat)
                    log.warning("fileset %d: %s stays: %s is there", fileset.id, to, met.path)
            except (OSError, FsError) as error:
                back = False
                log.warning("fileset %d: %s is not back yet: %s", fileset.id, met.path, error)
        return back

    def _is_to_go(self, fileset: Fileset, root: Path, began: bool) -> bool:
        """Whether all files may be moved.  Raises OSError and ImportRefused."""
        for met in fileset.files:
            if self._places.place(met.path) is None:
                return False
            there = stat_of(fileset.root, met.path) == met.stat
            if not there and not _moved_before(
                fileset.root, met, self._to(fileset, met, root), str(self.directory), began
            ):
                if began:
                    _need_mounted(fileset.root, met, root, str(self.directory))
                return False  # it has changed, and is imported anew
        shared = self._journal.shared(fileset)
        if shared:
            log.warning("fileset %d: stays where it is: %s is shared", fileset.id, shared[0])
        return not shared

    def _to(self, fileset: Fileset, met: Found, root: Path) -> Path:
        return root.joinpath(*parts_beneath(fileset.root, met.path))


def _moved_before(root: str, met: Found, to: Path, vault: str, began: bool) -> bool:
    """`began`: a move was cut short.  What lies at home may be what the user has dropped since.

    If none began, what lies at `to` may be of an older journal: only what looks like the file is.
    """
    with CALLS.at(vault):
        there = to.is_dir() if is_store(met.path) else to.is_file()
    home = stat_of(root, met.path) if there else None
    if not there or (home is not None and (not began or home == met.stat)):
        return False
    if not began and (is_store(met.path) or not _looks_like(met.stat, to, vault)):
        return False
    # Whoever changed a store while it had its hidden name gets it back.
    return not is_store(met.path) or stat_of(root, aside_of(met.path)) in (None, met.stat)


def _looks_like(stat: FileStat, to: Path, vault: str) -> bool:
    """A copy on another disk has the size and the time of the file."""
    with CALLS.at(vault):
        there = FileStat.of(to.lstat())
    return (there.size, there.mtime_ns) == (stat.size, stat.mtime_ns)


def _need_mounted(root: str, met: Found, moved_to: Path, vault: str) -> None:
    """Raises OSError if a file of a move that was cut short may lie on a disk that is not there.

    An empty directory is in the place of that disk.
    """
    with CALLS.at(vault):
        there = moved_to.is_dir()
    if not there and stat_of(root, met.path) is None:
        raise FileNotFoundError(
            errno.ENOENT,
            f"{met.path} was moved to {moved_to}, which is not there: "
            "mount its disk, or make that directory again if it was removed",
        )


def _need_free(root: str, met: Found, to: Path, vault: str) -> None:
    """Raises OSError if something else lies at `to`.

    It may be one of an older journal, which gave its numbers once before, or of an older file of
    this name.  A copy of this very file was cut short by a kill.
    """
    if not lies_at(to, vault):
        return
    with CALLS.at(vault):
        alike = to.is_dir() if is_store(met.path) else to.is_file()
    if alike and is_store(met.path):
        alike = are_same(to, vault, root, met.path)
    elif alike:
        alike = sha1_at(to, vault) == sha1_of(root, met, lambda: False)
    if not alike:
        raise in_the_way(to)


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
