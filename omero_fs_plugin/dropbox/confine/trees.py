"""Looks at a directory fileset as a whole: what identifies its content, and its files.

It follows no link.  No more than a few directories of it are open at once, and what is kept of
the tree while it is looked at does not grow with the number of its files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat as stat_module
from collections.abc import Iterator

from omero_fs_plugin.dropbox.disks.calls import CALLS, Call
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import (
    NOTHING_THERE,
    SEVERAL,
    FileStat,
    in_64_bits,
    size_in_64_bits,
)
from omero_fs_plugin.stores import (
    MARKERS,
    above,
    directory_of,
    is_store,
    is_store_name,
    store_at,
)
from omero_fs_plugin.system_names import is_beside

from . import MOST_NAMES, listing, stat_beneath
from .roots import ROOTS, RootMissing

DEEPEST = 64  # levels of a store; real ones have about ten
# Files of a store that is imported: OMERO makes a row for each, in one call, and the process
# of its import needs up to 2 KiB of memory for each.
MOST_FILES = 250_000
_BITS = 62  # of the sum over a tree; a database takes 63


def tree_stat(root: str, store: str) -> FileStat | None:
    """What identifies the content of a store, as a FileStat; None if it is no directory.

    The fields mean, for a store:

    - device and inode: of the directory itself, so that a renamed store is known again;
    - size: bytes of all files;
    - mtime_ns: no time, but a sum over name, inode, size and mtime of each file below it;
    - ctime_ns: the last change of any inode in it (ns);
    - owner: the account of all files and of the directory itself, or SEVERAL.

    Raises OSError if the disk cannot tell, and ImportRefused as `parts_beneath` does.
    """
    directory = directory_of(store)
    with CALLS.at(root) as call:
        try:
            with listing(root, directory) as opened:
                found = os.fstat(opened)
        except OSError as error:
            if error.errno in NOTHING_THERE:
                return None
            raise
        size, total, changed, owner = 0, 0, found.st_ctime_ns, found.st_uid
        for name, stat in _files(root, directory, call):
            if stat.st_uid != owner:
                owner = SEVERAL
            size += stat.st_size
            changed = max(changed, stat.st_ctime_ns)
            total += _summed(name, stat)
    size, changed = size_in_64_bits(size), in_64_bits(changed)
    return FileStat(found.st_dev, found.st_ino, size, total % 2**_BITS, changed, owner)


def store_stat(root: str, store: str) -> FileStat | None:
    """As `tree_stat`; None too if the directory is no store any more.

    That is so if its name does not tell it, and no metadata is at its top.
    """
    directory = directory_of(store)
    if not is_store_name(directory.rpartition("/")[2]):
        with CALLS.at(root):
            try:
                with listing(root, directory) as opened:
                    if not has_marker(opened):
                        return None
            except OSError as error:
                if error.errno in NOTHING_THERE:
                    return None
                raise
    return tree_stat(root, store)


def tree_files(root: str, store: str) -> Iterator[tuple[str, FileStat]]:
    """Each file of a store: name relative to it, and FileStat, in any order.

    Raises OSError, and ImportRefused for what is neither file nor directory, and for more than
    MOST_FILES: a store is imported whole or not at all.
    """
    with CALLS.at(root) as call:
        for number, (name, stat) in enumerate(_files(root, directory_of(store), call)):
            if not stat_module.S_ISREG(stat.st_mode):
                raise ImportRefused(
                    f"{store}{name}: not a regular file: a link or a device in a store is not "
                    "followed: put the file itself there",
                    final=True,
                )
            if number >= MOST_FILES:
                raise ImportRefused(
                    f"{store}: has more than {MOST_FILES:,} files, and OMERO takes all of them at "
                    "once: write it with larger chunks or with shards",
                    final=True,
                )
            yield name, FileStat.of(stat)


def store_around(root: str, path: str) -> str:
    """The outermost store, below `root`, that has the file `path`; empty: none.

    Asks the disk for the metadata at the top of each directory above.  Raises OSError, also if
    `root` is not the directory that was taken: nobody knows then what is in it.
    """
    with CALLS.at(root):
        for directory in above(root, path):
            if is_store_name(directory.rpartition("/")[2]) or has_marker(directory):
                return store_at(directory)
        try:
            os.close(ROOTS.open(root))
        except FileNotFoundError as error:
            if not ROOTS.lies_in_another(root):  # else a user's directory was removed
                raise RootMissing(root) from error
    return ""


def has_marker(directory: str | int) -> bool:
    """Whether a marker of a store is at the top of the directory, a path or a descriptor.

    Raises OSError.
    """
    for name in MARKERS:
        try:
            if isinstance(directory, int):
                found = os.lstat(name, dir_fd=directory)
            else:
                found = os.lstat(f"{directory}/{name}")
        except OSError as error:
            if error.errno in NOTHING_THERE:
                continue
            raise
        if stat_module.S_ISREG(found.st_mode):
            return True
    return False


def _files(root: str, directory: str, call: Call) -> Iterator[tuple[str, os.stat_result]]:
    """Name relative to `directory`, and stat, of all below it that is no directory.

    What others put beside files is left out: to look at a store in a file manager changes nothing.
    """
    waiting = [""]
    while waiting:
        within = waiting.pop()
        if within.count("/") > DEEPEST:
            raise OSError(errno.ELOOP, f"more than {DEEPEST} directories deep", directory)
        call.pulse()
        try:
            with (
                listing(root, f"{directory}/{within}".rstrip("/")) as opened,
                os.scandir(opened) as entries,
            ):
                for number, entry in enumerate(entries):
                    call.pulse()
                    if number >= MOST_NAMES:
                        why = f"more than {MOST_NAMES:,} names in one directory"
                        raise OSError(errno.EOVERFLOW, why, directory)
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            if not is_beside(entry.name, directory=True):
                                waiting.append(f"{within}{entry.name}/")
                        elif not is_beside(entry.name):
                            yield within + entry.name, entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # removed while we were looking
        except FileNotFoundError:
            continue


def _summed(name: str, stat: os.stat_result) -> int:
    """A number for one file.  Their sum does not depend on the order in which they are met."""
    said = f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {name}"
    return int.from_bytes(
        hashlib.blake2b(said.encode(errors="surrogateescape"), digest_size=8).digest(), "little"
    )


def stat_of(root: str, path: str) -> FileStat | None:
    """What `stat_beneath` gives for a file, and `tree_stat` for a store."""
    return tree_stat(root, path) if is_store(path) else stat_beneath(root, path)
