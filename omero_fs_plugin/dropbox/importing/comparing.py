"""Pairs of stores on two disks: where they lie, and whether they have the same files.

Rule: it follows no link, and a directory is open while its files are looked at.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.dropbox.confine.trees import DEEPEST
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.events import NOTHING_THERE

from .copying import DIRECTORY, NO_FOLLOW, sha1_at

Sure = Callable[[], None]  # is called before each step; raises an FsError if we may not go on


@dataclass(frozen=True)
class End:
    """A directory in which a store lies or is to lie: one end of its way."""

    root: str  # as `CALLS` names its disk
    above: int  # a descriptor of the directory


def in_the_way(at: Path) -> FileExistsError:
    """What is raised if something lies at `at` that nothing of ours may replace."""
    text = f"something else lies there already: move {at} away, and this goes by itself"
    return FileExistsError(errno.EEXIST, text)


def same_store(one: End, name: str, other: End, its: str, trust_times: bool = False) -> bool:
    """Whether both stores have the same files with the same bytes.  Raises OSError.

    `trust_times`: as for `same_file`.
    """
    with CALLS.at(one.root):
        mine = os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=one.above)
        try:
            with CALLS.at(other.root):
                theirs = os.open(its, DIRECTORY | NO_FOLLOW, dir_fd=other.above)
            try:
                return _same_below(mine, one.root, theirs, other.root, trust_times, 0)
            finally:
                os.close(theirs)
        finally:
            os.close(mine)


def lies_at(name: str, at: int) -> bool:
    """Whether there is anything of that name, also a link that leads nowhere.  Raises OSError."""
    return look(name, at) is not None


def look(name: str, at: int) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=at)
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return None
        raise


def same_file(
    name: str, at: int, root: str, other: int, its_root: str, trust_times: bool = False
) -> bool:
    """Whether both directories have the same file, or link, of that name.  In a call to `root`.

    `trust_times`: the same size and time are enough; else the bytes are compared.
    """
    mine = look(name, at)
    with CALLS.at(its_root):
        theirs = look(name, other)
    if mine is None or theirs is None:
        return False
    if stat_module.S_IFMT(mine.st_mode) != stat_module.S_IFMT(theirs.st_mode):
        return False
    if stat_module.S_ISLNK(mine.st_mode):
        text = os.readlink(name, dir_fd=at)
        with CALLS.at(its_root):
            return text == os.readlink(name, dir_fd=other)
    if not stat_module.S_ISREG(mine.st_mode) or mine.st_size != theirs.st_size:
        return False
    if trust_times and mine.st_mtime_ns == theirs.st_mtime_ns:
        return True
    return sha1_at(name, root, at) == sha1_at(name, its_root, other)


def _same_below(
    one: int, root: str, other: int, its_root: str, trust_times: bool, levels: int
) -> bool:
    """As `same_store`, of two open directories.  In a call to `root`."""
    if levels > DEEPEST:
        raise OSError(errno.ELOOP, f"more than {DEEPEST} directories deep")
    with os.scandir(one) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                if not same_file(entry.name, one, root, other, its_root, trust_times):
                    return False
                continue
            mine = os.open(entry.name, DIRECTORY | NO_FOLLOW, dir_fd=one)
            try:
                with CALLS.at(its_root):
                    if not lies_at(entry.name, other):
                        return False
                    theirs = os.open(entry.name, DIRECTORY | NO_FOLLOW, dir_fd=other)
                try:
                    if not _same_below(mine, root, theirs, its_root, trust_times, levels + 1):
                        return False
                finally:
                    os.close(theirs)
            finally:
                os.close(mine)
    with CALLS.at(its_root), os.scandir(other) as others:
        for entry in others:
            with CALLS.at(root):
                if not lies_at(entry.name, one):
                    return False
    return True
