"""Where failed files go if an admin wants them out of the way (omero.fs.quarantine)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path

from omero_fs_plugin.dropbox.confine import parts_beneath
from omero_fs_plugin.dropbox.confine.trees import stat_of, tree_stat
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.journal.waiting import LACKS
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import FsError, JournalError
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store, store_at

from .alone import Busy, alone
from .copying import make_directory, sha1_at
from .crossing import are_same, aside_of, clear_away, drop_at, undo
from .importers.sources import sha1_of
from .moving import move_back, move_out, remove_source

log = logging.getLogger(__name__)

_HOME = "quarantined "  # before a fileset's id; the journal's note is the root that it had
# Before the id of a fileset that goes back: the root that it had, where it lies, its stores there.
_RETURNING = "returning "
_SURE_S = 1.0  # between two questions whether we may go on
# The same while it is moved there; the note is the quarantine's directory, which may be another
# one after a kill.
_GOES = "quarantine under way "


class Quarantine:
    """Moves the files of failed filesets to DIRECTORY/user/fileset id/path below the user's own.

    Beside them lies DIRECTORY/user/fileset id.txt, which says why, and how to bring
    them back.  They come back by themselves when a file that they lack comes.

    A file's place follows from its fileset.  So a move that was cut short can be
    completed, and no two files get the same place.  Only files below the watch
    directory are moved, and a set only as a whole.  It stays if one of its files
    has changed or belongs to another fileset too.

    A store that goes to another disk is copied, see `crossing`.  It has its own name in one
    of the two places at any time, or in both while the journal says which of them counts.
    """

    def __init__(self, directory: Path | None, places: Places, journal: Journal) -> None:
        self.directory = directory  # absolute; None: they stay
        self._places = places
        self._journal = journal
        self._asked = 0.0  # when we last made sure that we may go on, s, monotonic

    def sweep(self) -> None:
        """Moves what failed earlier and was not moved then, and finishes what was cut short."""
        for identifier in self.returning():
            self.finish(identifier)
        for fileset, act in self.due():
            act(fileset)

    def due(self) -> Iterator[tuple[Fileset, Callable[[Fileset], None]]]:
        """Filesets that were not moved whole, each with what is to be done with it."""
        for key, vault in self._journal.notes(_GOES).items():
            fileset = self._journal.get(int(key.removeprefix(_GOES)))
            if fileset is None:
                self._journal.note(key, "")
            elif vault != str(self.directory):
                yield fileset, partial(self._bring_back_half, vault=vault)
        if self.directory is not None:
            for fileset in self._journal.select(State.FAILED):
                yield fileset, self.take

    def take(self, fileset: Fileset) -> None:
        """Moves the files of a failed fileset.  If a file cannot be moved, the log says so."""
        if self.directory is None:
            return
        root = self.directory / fileset.user / str(fileset.id)
        try:
            with self._alone(fileset, root, str(self.directory)):
                now = self._journal.get(fileset.id)
                if now is not None and now.state is State.FAILED:
                    self._take(now, root)
        except (Busy, OSError, FsError) as error:
            log.warning("fileset %d: %s stays where it is: %s", fileset.id, fileset.path, error)

    def _take(self, fileset: Fileset, root: Path) -> None:
        vault = str(self.directory)  # its disk may be another than the user's
        path = fileset.path
        if fileset.root == str(root):  # it is there
            self._finish_going(fileset, vault)
            return
        try:
            if not self._is_to_go(fileset, root):
                self._put_back(fileset, root)  # an earlier move was cut short, and cannot go on
                return
            self._journal.note(f"{_HOME}{fileset.id}", fileset.root)
            self._journal.note(f"{_GOES}{fileset.id}", vault)
            now: list[Found] = []
            for met in fileset.files:
                path, to = met.path, self._to(fileset, met, root)
                if not _moved_before(fileset.root, met, to, vault):
                    with CALLS.at(vault):
                        make_directory(to.parent)
                    if not move_out(fileset.root, met, to, vault, sure=self._sure):
                        log.warning("fileset %d: %s changed, and stays", fileset.id, path)
                        self._put_back(fileset, root)
                        return
                there = store_at(str(to)) if is_store(path) else str(to)
                stat = tree_stat(vault, there) if is_store(path) else CALLS.stat(vault, there)
                if stat is None:
                    return
                now.append(Found(there, stat))
            with CALLS.at(vault):
                _tell(root, fileset)
            self._journal.put_elsewhere(fileset.id, str(root), now)
            for met, moved in zip(fileset.files, now, strict=True):
                log.info("fileset %d: %s is now %s", fileset.id, met.path, moved.path)
        except (OSError, FsError) as error:
            log.warning("fileset %d: %s stays where it is: %s", fileset.id, path, error)
            self._put_back(fileset, root)
            return
        ways = [(self._to(fileset, met, root), met.path) for met in fileset.files]
        self._clear_away(fileset, fileset.root, ways, vault)
        self._journal.note(f"{_GOES}{fileset.id}", "")

    def _finish_going(self, fileset: Fileset, vault: str) -> None:
        """Clears away what is left where a fileset was that lies in `vault`."""
        if home := self._journal.noted(f"{_HOME}{fileset.id}"):
            self._clear_away(fileset, home, self._ways_home(fileset, home), vault)
        if self._journal.noted(f"{_GOES}{fileset.id}"):  # a write for each at each start costs
            self._journal.note(f"{_GOES}{fileset.id}", "")

    def _clear_away(
        self, fileset: Fileset, home: str, ways: Sequence[tuple[Path, str]], vault: str
    ) -> None:
        """Removes what is left of stores that went to another disk.  The log says what stays."""
        for at, path in ways:
            if not is_store(path):
                continue
            try:
                if left := clear_away(home, path, at, vault, self._sure):
                    log.warning(
                        "fileset %d: what came or changed while %s was moved is in %s",
                        fileset.id,
                        path,
                        left,
                    )
            except (OSError, FsError) as error:
                log.warning(
                    "fileset %d: %s is moved, but is not removed yet from %s: %s",
                    fileset.id,
                    path,
                    aside_of(path),
                    error,
                )

    def _bring_back_half(self, fileset: Fileset, *, vault: str) -> None:
        """Brings back what a move to `vault`, another directory than ours, has moved so far."""
        root = Path(vault, fileset.user, str(fileset.id))
        try:
            with self._alone(fileset, root, vault):
                now = self._journal.get(fileset.id)
                if now is not None and now.root == str(root):
                    self._finish_going(now, vault)
                elif now is None or self._put_back(now, root, vault):
                    self._journal.note(f"{_GOES}{fileset.id}", "")
        except (Busy, OSError, FsError) as error:
            log.warning("fileset %d: %s is not back yet: %s", fileset.id, fileset.path, error)

    def _put_back(self, fileset: Fileset, root: Path, vault: str = "") -> bool:
        """Moves what lies below `root` back, so that a set lies as a whole where it was.

        `vault` is the quarantine's directory; empty: ours.  Returns False if it is to be tried
        again.  If a file is not moved back, the log says so.
        """
        vault, back = vault or str(self.directory), True
        began = self._journal.noted(f"{_HOME}{fileset.id}") == fileset.root
        for met in fileset.files if began else ():
            try:
                to = self._to(fileset, met, root)
                if is_store(met.path):
                    self._sure()
                    undo(fileset.root, met.path, to, vault, self._sure)
                if not _lies_at(to, vault):
                    continue
                if stat_of(fileset.root, met.path) is None:
                    move_back(to, fileset.root, met.path, vault, self._sure)
                    if is_store(met.path):
                        drop_at(to, vault, self._sure)
                else:  # the user has dropped it again, and that one is looked at
                    log.warning("fileset %d: %s stays: %s is there", fileset.id, to, met.path)
            except (OSError, FsError) as error:
                back = False
                log.warning("fileset %d: %s is not back yet: %s", fileset.id, met.path, error)
        return back

    def bring_what_lacks(self, user: str, paths: Collection[str]) -> list[str]:
        """Brings back the sets of `user` that lack or have one of `paths`.

        `paths` are files that came, or files that a set which came lacks.  Returns the
        paths of all files that are back.
        """
        back: list[str] = []
        homes = self._journal.notes(_HOME)
        if not homes:
            return back
        wanted = set(paths)
        lacks = self._journal.notes(LACKS)
        for fileset in self._journal.load([int(key.removeprefix(_HOME)) for key in homes]):
            if fileset.state is not State.FAILED or fileset.user != user:
                continue
            lacking = json.loads(lacks.get(f"{LACKS}{fileset.id}", "[]"))
            mine = [home for _, home in self._ways_home(fileset, homes[f"{_HOME}{fileset.id}"])]
            if not wanted.isdisjoint(lacking) or (lacking and not wanted.isdisjoint(mine)):
                try:
                    back += self.bring_back(fileset)
                except Busy as error:
                    log.info("fileset %d: %s", fileset.id, error)
        return back

    def bring_back(self, fileset: Fileset) -> list[str]:
        """Brings the files of a failed fileset back to where the user put them; they settle there.

        Returns their paths.  Returns none if the fileset is not in quarantine, or if
        something else lies where the files were; the log says so then.  Raises Busy if
        another process is moving them.
        """
        root = self._journal.noted(f"{_HOME}{fileset.id}")
        if not root or fileset.root == root:
            return []
        # Its disk may be another than the user's, and is named if it hangs.
        vault = str(self.directory or fileset.root)
        try:
            with self._alone(fileset, Path(fileset.root), vault):
                now = self._journal.get(fileset.id)
                if now is None or now.state is not State.FAILED or now.root == root:
                    return []
                return self._bring_back(now, root, vault)
        except OSError as error:
            log.warning("fileset %d: stays in quarantine: %s", fileset.id, error)
            return []

    def _bring_back(self, fileset: Fileset, root: str, vault: str) -> list[str]:
        path = fileset.path
        ways = self._ways_home(fileset, root)
        arrived: set[Path] = set()  # stores that lie in both places
        try:
            for at, path in ways:
                there = stat_of(root, path) if _lies_at(at, vault) else None
                if there is None:
                    continue
                if not _is_back(at, root, Found(path, there), vault):
                    log.warning("fileset %d: stays in quarantine: %s is there", fileset.id, path)
                    self._journal.note(f"{_RETURNING}{fileset.id}", "")
                    return []
                arrived.add(at)
            self._clear_away(fileset, root, ways, vault)
            stores = [str(at) for at, path in ways if is_store(path)]
            self._journal.note(
                f"{_RETURNING}{fileset.id}", json.dumps([root, fileset.root, *stores])
            )
            found: list[Found] = []
            for at, path in ways:
                # If it does not, an earlier move that was cut short has brought it back.
                if at not in arrived and _lies_at(at, vault):
                    move_back(at, root, path, vault, self._sure)
                stat = stat_of(root, path)
                if stat is None:
                    return []
                found.append(Found(path, stat))
            with suppress(FileNotFoundError), CALLS.at(vault):
                _told_at(Path(fileset.root)).unlink()
            self._journal.bring_home(fileset, root, found, f"{_HOME}{fileset.id}")
        except (OSError, FsError) as error:
            log.warning("fileset %d: %s stays in quarantine: %s", fileset.id, path, error)
            if len(ways) == 1 and not isinstance(error, (RootAway, JournalError)):
                self._journal.note(f"{_RETURNING}{fileset.id}", "")  # all of it is undone
            return []
        log.info("fileset %d: %s is back from quarantine", fileset.id, found[0].path)
        self._end_return(fileset.id, stores, vault)
        return [met.path for met in found]

    def returning(self) -> dict[int, str]:
        """The filesets whose way back was cut short -> the root that they go back to."""
        return {
            int(key.removeprefix(_RETURNING)): json.loads(said)[0]
            for key, said in self._journal.notes(_RETURNING).items()
        }

    def finish(self, identifier: int) -> list[str]:
        """Finishes the way back of a fileset.  Returns the paths of what is back just now.

        If it cannot be finished, the log says so.
        """
        said = self._journal.noted(f"{_RETURNING}{identifier}")
        fileset = self._journal.get(identifier)
        if not said:
            return []
        root, lay, *stores = json.loads(said)
        try:
            if fileset is not None and fileset.root != root:
                if fileset.state is State.FAILED:
                    return self.bring_back(fileset)
                stores = []  # it was tried again where it lies
            vault = str(self.directory or lay)
            with self._lock(identifier, Path(lay), vault) if stores else nullcontext():
                self._end_return(identifier, stores, vault)
        except (Busy, OSError) as error:
            log.warning("fileset %d: is not all back from quarantine: %s", identifier, error)
        return []

    def _end_return(self, identifier: int, stores: Sequence[str], vault: str) -> None:
        """The journal has it at home.  The log says what of it cannot be removed elsewhere."""
        try:
            for at in stores:
                drop_at(Path(at), vault, self._sure)
            self._journal.note(f"{_RETURNING}{identifier}", "")
        except (OSError, FsError) as error:
            log.warning(
                "fileset %d: is back, but is not removed yet from %s: %s",
                identifier,
                ", ".join(stores),
                error,
            )

    def _alone(self, fileset: Fileset, root: Path, vault: str) -> AbstractContextManager[None]:
        """As `alone`, if the fileset is a store, which takes long.  `root`: where it lies there."""
        if not any(is_store(met.path) for met in fileset.files):
            return nullcontext()
        return self._lock(fileset.id, root, vault)

    def _lock(self, identifier: int, root: Path, vault: str) -> AbstractContextManager[None]:
        with CALLS.at(vault):
            make_directory(root.parent)
        return alone(root.with_name(f".{identifier}.lock"), vault)

    def _sure(self) -> None:
        """Raises LeaseLost if another DropBox has taken over."""
        now = time.monotonic()
        if now - self._asked >= _SURE_S:
            with CALLS.resting():
                self._journal.make_sure()
            self._asked = now

    def _ways_home(self, fileset: Fileset, root: str) -> Sequence[tuple[Path, str]]:
        """(where it lies, where it was) of each file."""
        return [
            (
                Path(met.path),
                str(Path(root, *parts_beneath(fileset.root, met.path)))
                + ("/" if is_store(met.path) else ""),
            )
            for met in fileset.files
        ]

    def _is_to_go(self, fileset: Fileset, root: Path) -> bool:
        """Whether all files may be moved.  Raises OSError and ImportRefused."""
        for met in fileset.files:
            if self._places.place(met.path) is None:
                return False
            there = stat_of(fileset.root, met.path) == met.stat
            if not there and not _moved_before(
                fileset.root, met, self._to(fileset, met, root), str(self.directory)
            ):
                return False  # it has changed, and is imported anew
        shared = self._journal.shared(fileset)
        if shared:
            log.warning("fileset %d: stays where it is: %s is shared", fileset.id, shared[0])
        return not shared

    def _to(self, fileset: Fileset, met: Found, root: Path) -> Path:
        return root.joinpath(*parts_beneath(fileset.root, met.path))


def _lies_at(path: Path, vault: str) -> bool:
    with CALLS.at(vault):
        return path.exists()


def _is_back(at: Path, root: str, home: Found, vault: str) -> bool:
    """Whether `home` is the file at `at`, which was brought back by a move that was cut short.

    Then the move of a file is completed; a store lies in both places.
    """
    if is_store(home.path):
        return are_same(at, vault, root, home.path)
    with CALLS.at(vault):
        stat = FileStat.of(at.lstat())
    same = (stat.device, stat.inode) == (home.stat.device, home.stat.inode)
    if not same and (stat.size, stat.mtime_ns) == (home.stat.size, home.stat.mtime_ns):
        same = sha1_at(at, vault) == sha1_of(root, home, lambda: False)
    if same:
        remove_source(at, vault)
    return same


def _moved_before(root: str, met: Found, to: Path, vault: str) -> bool:
    with CALLS.at(vault):
        there = to.is_dir() if is_store(met.path) else to.is_file()
    if not there or stat_of(root, met.path) is not None:
        return False
    # Whoever changed a store while it had its hidden name gets it back.
    return not is_store(met.path) or stat_of(root, aside_of(met.path)) in (None, met.stat)


def _told_at(root: Path) -> Path:
    return root.with_name(f"{root.name}.txt")


def _tell(root: Path, fileset: Fileset) -> None:
    """Writes beside the files why they are there, and how to bring them back."""
    names = "".join(f"    {met.path}\n" for met in fileset.files)
    _told_at(root).write_text(
        f"These files of {fileset.user} could not be imported:\n\n{names}\n"
        f"The reason: {fileset.reason}\n\n"
        f"They lie in {root} now. This command brings them back, and tries again:\n\n"
        f"    omero fs import --retry {fileset.id}\n",
        encoding="utf-8",
        errors="surrogateescape",
    )
