"""What lies at the place of a file in quarantine: the file itself, or something else."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from omero_fs_plugin.dropbox.confine.trees import stat_of
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store

from .comparing import in_the_way
from .copying import sha1_at
from .crossing import are_same, aside_of
from .importers.sources import sha1_of


def is_same(at: Path, vault: str, root: str, home: Found) -> bool:
    """Whether `home`, below `root`, is what lies at `at` on the disk of `vault`.  Raises OSError.

    A file may have two names, or may have been copied with its time.
    """
    if is_store(home.path):
        return are_same(at, vault, root, home.path)
    there = _stat(at, vault)
    if _is_one(there, home.stat):
        return True
    if not _is_alike(there, home.stat):
        return False
    return sha1_at(at, vault) == sha1_of(root, home, lambda: False)


def moved_before(root: str, met: Found, to: Path, vault: str, began: bool) -> bool:
    """`began`: a move was cut short.  What lies at home may be what the user has dropped since.

    If none began, what lies at `to` may be of an older journal: only what looks like the file is.
    """
    with CALLS.at(vault):
        there = to.is_dir() if is_store(met.path) else to.is_file()
    home = stat_of(root, met.path) if there else None
    if not there or (home is not None and (not began or home == met.stat)):
        return False
    if is_store(met.path):
        # Whoever changed a store while it had its hidden name gets it back.
        return began and stat_of(root, aside_of(met.path)) in (None, met.stat)
    lies = _stat(to, vault)
    if home is not None and (_is_one(lies, home) or _is_alike(lies, home)):
        return False  # it was on its way back, and is at home
    return began or _is_alike(lies, met.stat)


def need_mounted(root: str, met: Found, moved_to: Path, vault: str) -> None:
    """Raises OSError if a file of a move that was cut short may lie on a disk that is not there.

    An empty directory is in the place of that disk.
    """
    if (why := not_mounted(moved_to, vault)) and stat_of(root, met.path) is None:
        raise FileNotFoundError(errno.ENOENT, f"{met.path} was moved to {why}")


def not_mounted(moved_to: Path, vault: str) -> str:
    """What is to be done if the directory `moved_to` is not there, for people; empty: it is."""
    with CALLS.at(vault):
        if moved_to.is_dir():
            return ""
    return (
        f"{moved_to}, which is not there: "
        "mount its disk, or make that directory again if it was removed"
    )


def need_free(root: str, met: Found, to: Path, vault: str) -> None:
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
    elif alike and not _is_one(_stat(to, vault), met.stat):
        alike = sha1_at(to, vault) == sha1_of(root, met, lambda: False)
    if not alike:
        raise in_the_way(to)


def lies_at(path: Path, vault: str) -> bool:
    with CALLS.at(vault):
        return path.exists()


def files_in(top: Path, vault: str, *, but: frozenset[Path]) -> list[Path]:
    """The files below `top`, without `but` and what is below these.  Raises OSError.

    Hidden ones are DropBox's own, of copies that were cut short.
    """
    found: list[Path] = []
    directories = [str(top)]
    with CALLS.at(vault) as call:
        while directories:
            call.pulse()
            with suppress(FileNotFoundError), os.scandir(directories.pop()) as entries:
                for one in entries:
                    if one.name.startswith(".") or Path(one.path) in but:
                        continue
                    if one.is_dir(follow_symlinks=False):
                        directories.append(one.path)
                    elif one.is_file(follow_symlinks=False):
                        found.append(Path(one.path))
    return found


def _stat(at: Path, vault: str) -> FileStat:
    with CALLS.at(vault):
        return FileStat.of(at.lstat())


def _is_one(one: FileStat, other: FileStat) -> bool:
    """Whether they are of one file, which has two names."""
    return (one.device, one.inode) == (other.device, other.inode)


def _is_alike(one: FileStat, other: FileStat) -> bool:
    """A copy on another disk has the size and the time of the file."""
    return (one.size, one.mtime_ns) == (other.size, other.mtime_ns)
