"""Moves into quarantine that were cut short and cannot go on: what was moved comes home."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from omero_fs_plugin.dropbox.confine import parts_beneath
from omero_fs_plugin.dropbox.confine.trees import stat_of
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.moves import GOES, HOME
from omero_fs_plugin.dropbox.journal.records import PART, Fileset, Found, chunks
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store

from .crossing import drop_at, undo
from .lying import files_in, lies_at, need_mounted, not_mounted
from .moving import move_back
from .returning import Returning
from .vault import told_at

log = logging.getLogger(__name__)


class Undoing(Returning):
    """Brings home what a move has moved so far, so that a set lies as a whole where it was.

    Rule: the note of a move stays until nothing of it is in quarantine.
    """

    def _undo(self, fileset: Fileset, root: Path, vault: str) -> None:
        """Puts back what we have moved to `root`.  If that fails, it is tried again later.

        If the journal has a part of it there by now, the rest is to be recorded.
        """
        try:
            now = self._journal.get(fileset.id)
            if now is not None and now.root == str(root):
                return
            if now is not None:  # it may have been opened again meanwhile
                fileset = replace(fileset, state=now.state)
            if self._put_back(fileset, root, vault):
                self._is_back(fileset, root, vault)
        except (OSError, FsError) as error:
            log.warning("fileset %d: %s is not back yet: %s", fileset.id, fileset.path, error)

    def _is_back(self, fileset: Fileset, root: Path, vault: str) -> None:
        """Nothing of it is in quarantine.

        If it is given to another directory later, that is none either.
        """
        if self._journal.noted(f"{GOES}{fileset.id}"):
            with suppress(FileNotFoundError), CALLS.at(vault):
                told_at(root).unlink()
        if self._journal.noted(f"{HOME}{fileset.id}") == fileset.root:
            self._unnote(fileset.id, HOME)
        self._unnote(fileset.id, GOES)

    def _unnote(self, identifier: int, *notes: str) -> None:
        for note in notes:
            if self._journal.noted(f"{note}{identifier}"):  # a write for each at a start costs
                self._journal.note(f"{note}{identifier}", "")

    def _put_back(self, fileset: Fileset, root: Path, vault: str) -> bool:
        """Moves what lies below `root` back.  Returns False if it is to be tried again.

        If a file is not moved back, the log says so.
        """
        if self._journal.noted(f"{HOME}{fileset.id}") != fileset.root:
            return True  # nothing of it was moved from there
        back = True
        for met in fileset.files:
            try:
                to = place_of(fileset.root, met.path, root)
                if is_store(met.path):
                    self._sure()
                    undo(fileset.root, met.path, to, vault, self._sure)
                if not lies_at(to, vault):
                    need_mounted(fileset.root, met, root, vault)
                    continue
                home = stat_of(fileset.root, met.path)
                if not self._is_put_back(fileset.root, met.path, home, to, vault):
                    # The user has dropped it again, and that one is looked at.
                    # As it failed it is at home: then what lies there is no part of it.
                    back = back and (fileset.state is not State.FAILED or home == met.stat)
                    log.warning("fileset %d: %s stays: %s is there", fileset.id, to, met.path)
            except (OSError, FsError) as error:
                back = False
                log.warning("fileset %d: %s is not back yet: %s", fileset.id, met.path, error)
        return self._put_others_back(fileset, root, vault) and back

    def _put_others_back(self, fileset: Fileset, root: Path, vault: str) -> bool:
        """As `_put_back`, of files that are not of the fileset any more.

        The user has dropped its first file again, and so each of the others waits by itself.  The
        journal has them where they were: what lies here is such a file if it looks like it.
        """
        if fileset.state is not State.FAILED and (why := not_mounted(root, vault)):
            log.warning("fileset %d: some of it may lie in %s", fileset.id, why)
            return False
        mine = frozenset(place_of(fileset.root, met.path, root) for met in fileset.files)
        back = True
        for some in chunks(files_in(root, vault, but=mine), PART):
            lies = {str(Path(fileset.root, at.relative_to(root))): at for at in some}
            lay = self._journal.lay_at(fileset.user, list(lies))
            for path in lay:
                try:
                    with CALLS.at(vault):
                        there = FileStat.of(lies[path].lstat())
                    home = stat_of(fileset.root, path)
                    known = (there.size, there.mtime_ns) in lay[path]
                    if known and self._is_put_back(fileset.root, path, home, lies[path], vault):
                        log.info("fileset %d: %s is back from quarantine", fileset.id, path)
                except (OSError, FsError) as error:
                    back = False
                    log.warning("fileset %d: %s is not back yet: %s", fileset.id, path, error)
        return back

    def _is_put_back(
        self, root: str, path: str, home: FileStat | None, at: Path, vault: str
    ) -> bool:
        """Moves what lies at `at` to `path`, unless something else is there: `home`.

        A kill may have come in the middle of this before, or between the copy of a store and the
        move of the original: then it lies in both places.
        """
        if home is None:
            self._sure()
            move_back(at, root, path, vault, self._sure)
        elif not self._is_there(at, root, Found(path, home), vault):
            return False
        if is_store(path):
            drop_at(at, vault, self._sure)
        return True


def place_of(home: str, path: str, root: Path) -> Path:
    """Where the file `path`, which lies below `home`, is to lie below `root`.

    Raises ImportRefused if it does not lie there.
    """
    return root.joinpath(*parts_beneath(home, path))
