"""Where failed files go if an admin wants them out of the way (omero.fs.quarantine)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from omero_fs_plugin.dropbox.confine import parts_beneath
from omero_fs_plugin.dropbox.confine.trees import stat_of, tree_stat
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.journal.waiting import LACKS
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store, store_at

from .importers.sources import sha1_of
from .moving import make_directory, move_back, move_out, remove_source, sha1_at

log = logging.getLogger(__name__)

_HOME = "quarantined "  # before a fileset's id; the journal's note is the root that it had
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
    """

    def __init__(self, directory: Path | None, places: Places, journal: Journal) -> None:
        self.directory = directory  # absolute; None: they stay
        self._places = places
        self._journal = journal

    def sweep(self) -> None:
        """Moves what failed earlier and was not moved then."""
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
        vault = str(self.directory)  # its disk may be another than the user's
        root = self.directory / fileset.user / str(fileset.id)
        path = fileset.path
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
                    if not move_out(fileset.root, met, to, vault):
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
            self._journal.note(f"{_GOES}{fileset.id}", "")
            for met, moved in zip(fileset.files, now, strict=True):
                log.info("fileset %d: %s is now %s", fileset.id, met.path, moved.path)
        except (OSError, FsError) as error:
            log.warning("fileset %d: %s stays where it is: %s", fileset.id, path, error)
            self._put_back(fileset, root)

    def _bring_back_half(self, fileset: Fileset, *, vault: str) -> None:
        """Brings back what a move to `vault`, another directory than ours, has moved so far."""
        root = Path(vault, fileset.user, str(fileset.id))
        try:
            if fileset.root == str(root) or self._put_back(fileset, root, vault):
                self._journal.note(f"{_GOES}{fileset.id}", "")
        except FsError as error:
            log.warning("fileset %d: %s is not back yet: %s", fileset.id, fileset.path, error)

    def _put_back(self, fileset: Fileset, root: Path, vault: str = "") -> bool:
        """Moves what lies below `root` back, so that a set lies as a whole where it was.

        `vault` is the quarantine's directory; empty: ours.  Returns False if it is to be tried
        again.  If a file is not moved back, the log says so.
        """
        vault, back = vault or str(self.directory), True
        for met in fileset.files if self._journal.noted(f"{_HOME}{fileset.id}") else ():
            try:
                to = self._to(fileset, met, root)
                if not _lies_at(to, vault):
                    continue
                if stat_of(fileset.root, met.path) is None:
                    move_back(to, fileset.root, met.path, vault)
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
                back += self.bring_back(fileset)
        return back

    def bring_back(self, fileset: Fileset) -> list[str]:
        """Brings the files of a failed fileset back to where the user put them; they settle there.

        Returns their paths.  Returns none if the fileset is not in quarantine, or if
        something else lies where the files were; the log says so then.
        """
        root = self._journal.noted(f"{_HOME}{fileset.id}")
        if not root or fileset.root == root:
            return []
        path = fileset.path
        # Its disk may be another than the user's, and is named if it hangs.
        vault = str(self.directory or fileset.root)
        try:
            ways = self._ways_home(fileset, root)
            for at, path in ways:
                there = stat_of(root, path) if _lies_at(at, vault) else None
                if there is not None and not _is_back(at, root, Found(path, there), vault):
                    log.warning("fileset %d: stays in quarantine: %s is there", fileset.id, path)
                    return []
            found: list[Found] = []
            for at, path in ways:
                # If it does not, an earlier move that was cut short has brought it back.
                if _lies_at(at, vault):
                    move_back(at, root, path, vault)
                stat = stat_of(root, path)
                if stat is None:
                    return []
                found.append(Found(path, stat))
            with suppress(FileNotFoundError), CALLS.at(vault):
                _told_at(Path(fileset.root)).unlink()
            self._journal.bring_home(fileset, root, found, f"{_HOME}{fileset.id}")
        except (OSError, FsError) as error:
            log.warning("fileset %d: %s stays in quarantine: %s", fileset.id, path, error)
            return []
        log.info("fileset %d: %s is back from quarantine", fileset.id, found[0].path)
        return [met.path for met in found]

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

    Then the move is completed.
    """
    if is_store(home.path):
        return False  # it is moved in one step
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
    return there and stat_of(root, met.path) is None


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
