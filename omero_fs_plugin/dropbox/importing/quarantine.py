"""Where failed files go, if an admin wants them out of the way (omero.fs.quarantine)."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from omero_fs_plugin.dropbox.confine import open_directory, parts_beneath
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat, regular_stat

log = logging.getLogger(__name__)


class Quarantine:
    """Moves the files of failed filesets to DIRECTORY/user/fileset id/path below the user's own.

    A file's place follows from its fileset, so that a move that was cut short
    is completed, and no two files ever meet.  Only files below the watch
    directory are moved, and a set whole: it stays as soon as one of its files
    has changed, or is of another fileset as well.
    """

    def __init__(self, directory: Path | None, places: Places, journal: Journal) -> None:
        self.directory = directory  # absolute; None: they stay
        self._places = places
        self._journal = journal

    def sweep(self) -> None:
        """Moves what failed before, or while nobody was able to move it."""
        if self.directory is not None:
            for fileset in self._journal.select(State.FAILED):
                self.take(fileset)

    def take(self, fileset: Fileset) -> None:
        """Moves the files of a failed fileset; what cannot be moved stays, and is told."""
        if self.directory is None:
            return
        root = self.directory / fileset.user / str(fileset.id)
        path = fileset.path
        try:
            if not self._is_to_go(fileset, root):
                return
            now: list[Found] = []
            for met in fileset.files:
                path, to = met.path, self._to(fileset, met, root)
                if not _moved_before(met, to):
                    to.parent.mkdir(parents=True, exist_ok=True)
                    if not _move(fileset.root, met, to):
                        log.warning("fileset %d: %s changed, and stays", fileset.id, path)
                        return
                stat = regular_stat(str(to))
                if stat is None:
                    return
                now.append(Found(str(to), stat))
            self._journal.put_elsewhere(fileset.id, str(root), now)
            for met, moved in zip(fileset.files, now, strict=True):
                log.info("fileset %d: %s is now %s", fileset.id, met.path, moved.path)
        except (OSError, FsError) as error:
            log.warning("fileset %d: %s stays where it is: %s", fileset.id, path, error)

    def _is_to_go(self, fileset: Fileset, root: Path) -> bool:
        """Whether all files may be moved.  Raises OSError and ImportRefused."""
        for met in fileset.files:
            if self._places.place(met.path) is None:
                return False
            there = regular_stat(met.path) == met.stat
            if not there and not _moved_before(met, self._to(fileset, met, root)):
                return False  # it has changed, and is imported anew
        shared = self._journal.shared(fileset)
        if shared:
            log.warning("fileset %d: stays where it is: %s is shared", fileset.id, shared[0])
        return not shared

    def _to(self, fileset: Fileset, met: Found, root: Path) -> Path:
        return root.joinpath(*parts_beneath(fileset.root, met.path))


def _moved_before(met: Found, to: Path) -> bool:
    return to.is_file() and regular_stat(met.path) is None


def _move(root: str, met: Found, to: Path) -> bool:
    """Whether the file was still what had failed, and was moved.

    Raises OSError and ImportRefused.
    """
    *_, name = parts_beneath(root, met.path)
    directory = open_directory(root, met.path)
    try:
        with suppress(FileNotFoundError):
            if FileStat.of(os.lstat(name, dir_fd=directory)) != met.stat:
                return False  # it has changed, and is imported anew
            try:
                os.rename(name, to, src_dir_fd=directory)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy(name, directory, met.stat, to)
            return True
        return False
    finally:
        os.close(directory)


def _copy(name: str, directory: int, stat: FileStat, to: Path) -> None:
    """To another file system: whole and on disk before the original goes."""
    part = to.with_name(f".{to.name[:200]}.part")
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "rb") as source, part.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
            found = os.fstat(source.fileno())
            target.flush()
            os.fsync(target.fileno())
            if replace(FileStat.of(found), ctime_ns=0) != replace(stat, ctime_ns=0):
                raise OSError(errno.EBUSY, "it changed while it was copied")
        os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))
        part.rename(to)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    os.unlink(name, dir_fd=directory)
