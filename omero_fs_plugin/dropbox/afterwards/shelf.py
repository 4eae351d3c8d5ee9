"""The directory that imported files are moved to (`move:DIR` of omero.fs.afterImport).

Rule: nothing that lies there is ever overwritten, and no original goes before its bytes are there.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omero_fs_plugin.dropbox.confine import parts_beneath, stat_beneath
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.importing.copying import make_directory, sha1_at, sync
from omero_fs_plugin.dropbox.importing.importers import FileChanged
from omero_fs_plugin.dropbox.importing.importers.sources import remove_file
from omero_fs_plugin.dropbox.importing.moving import move_out
from omero_fs_plugin.dropbox.journal.records import Found

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


_LOCK = threading.Lock()
_MOVING: set[Path] = set()  # names that a thread moves a file to just now


class Occupied(FileExistsError):
    """Something else lies where a file is to go."""


class Shelf:
    """A file goes to DIR/USER/PATH, or to DIR/USER/fileset-ID/PATH if something lies there."""

    def __init__(self, directory: Path) -> None:
        self._vault = str(directory)
        self._directory = directory

    def check(self) -> None:
        """Raises OSError if DIR is not there: its disk may not be mounted."""
        with CALLS.at(self._vault):
            if not self._directory.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._vault)

    def choose(self, user: str, fileset: int, root: str, paths: Sequence[str]) -> str:
        """The directory that is to stand for `root`: one in which all `paths` are free.

        Raises Occupied if there is none.
        """
        own = self._directory / user
        for base in (own, own / f"fileset-{fileset}"):
            with CALLS.at(self._vault):
                if not any(os.path.lexists(at(str(base), root, path)) for path in paths):
                    return str(base)
        raise Occupied(errno.EEXIST, os.strerror(errno.EEXIST), str(own))

    def take(
        self, root: str, met: Found, sha1: str, to: Path, stopping: Callable[[], bool]
    ) -> None:
        """Moves the file below `root` that has this SHA1.  It is on disk there at the end.

        Raises OSError, also Occupied, and FsError as `remove_file` does.
        """
        with _no_other_moves_to(to):
            self._take(root, met, sha1, to, stopping)

    def _take(
        self, root: str, met: Found, sha1: str, to: Path, stopping: Callable[[], bool]
    ) -> None:
        with CALLS.at(self._vault):
            make_directory(to.parent)
        if self._has(to, met, sha1):
            # The copy of a move that was cut short, or somebody's of the same bytes.
            remove_file(root, met, sha1, False, stopping)
            return
        moved = False
        try:
            now = stat_beneath(root, met.path)
            if now != met.stat or now.ctime_ns != met.stat.ctime_ns:
                raise FileChanged(f"{met.path}: changed after it was compared with OMERO's")
            moved = move_out(root, met, to, self._vault, sha1)
            if not moved:
                raise FileChanged(f"{met.path}: changed after it was compared with OMERO's")
        finally:
            with CALLS.at(self._vault):
                if moved:
                    sync(to.parent)
                else:
                    _free(to)

    def _has(self, to: Path, met: Found, sha1: str) -> bool:
        """Whether the very bytes lie there already; if nothing does, the name is taken for them."""
        with CALLS.at(self._vault):
            try:
                os.close(os.open(to, _NEW, 0o600))
                return False
            except FileExistsError:
                found = to.lstat()
        if not stat_module.S_ISREG(found.st_mode) or found.st_size not in (0, met.stat.size):
            raise Occupied(errno.EEXIST, os.strerror(errno.EEXIST), str(to))
        if found.st_size == 0 and met.stat.size:
            return False  # taken by a move that was cut short
        if sha1_at(to, self._vault) != sha1:
            raise Occupied(errno.EEXIST, os.strerror(errno.EEXIST), str(to))
        with CALLS.at(self._vault):
            sync(to.parent)
        return True


@contextmanager
def _no_other_moves_to(to: Path) -> Iterator[None]:
    """Raises Occupied while another thread moves a file to this very name.

    Two directories of one user may have files of the same path.  Before either is there, both would
    take the name for free, or for that of a move which was cut short.
    """
    with _LOCK:
        if to in _MOVING:
            raise Occupied(errno.EEXIST, os.strerror(errno.EEXIST), str(to))
        _MOVING.add(to)
    try:
        yield
    finally:
        with _LOCK:
            _MOVING.discard(to)


def at(base: str, root: str, path: str) -> Path:
    """Where the file `path` below `root` goes.  Raises ImportRefused if it does not lie there."""
    return Path(base, *parts_beneath(root, path))


def _free(to: Path) -> None:
    """Gives a name back that was taken for a file that did not come."""
    try:
        if to.lstat().st_size == 0:
            to.unlink()
    except FileNotFoundError:
        pass
