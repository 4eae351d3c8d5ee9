"""The files to import: they are opened, read and removed only if they are as they were at rest."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePath
from typing import BinaryIO

from omero_fs_plugin.dropbox.confine import (
    is_unmounted,
    open_beneath,
    open_directory,
    stat_beneath,
)
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.errors import FsError, ImportRefused
from omero_fs_plugin.events import FileStat

from . import DiskAway, FileChanged, FileGone, Stopped
from .disk import disk_errors

log = logging.getLogger(__name__)

# Bytes read at once, so that large files need no more memory.  Larger blocks are slower.
BLOCK = 2**20
# The server's account may read the directory, and not write to it.
_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def opened(root: str, met: Found) -> Iterator[BinaryIO]:
    """The file, open for reading.  Afterwards it is looked at again.

    Raises FileChanged when it is not what `met` says, before or after, FileGone, DiskAway,
    and ImportRefused as `confine.open_beneath` does.
    """
    with disk_errors(met.path):
        descriptor = open_beneath(root, met.path)
    source = os.fdopen(descriptor, "rb", buffering=0)
    try:
        _unchanged(root, source, met)
        yield source
        # A file exchanged or written to while it was read is not what was promised.
        _unchanged(root, source, met)
    finally:
        try:
            source.close()
        except OSError as error:  # its share is away; what was read of it is none the worse
            log.info("%s: when it was closed: %s", met.path, error.strerror)


def _unchanged(root: str, source: BinaryIO, met: Found) -> None:
    with disk_errors(met.path), CALLS.at(root):
        found = os.fstat(source.fileno())
    if FileStat.of(found) != met.stat:
        raise FileChanged(f"{met.path}: changed after it had come to rest")


def blocks(
    root: str, source: BinaryIO, met: Found, stopping: Callable[[], bool]
) -> Iterator[bytes]:
    """The bytes of a file below `root` from the beginning, at most BLOCK at once.

    Raises DiskAway when they cannot be read now, and Stopped when `stopping`; FileChanged if there
    are more or fewer than its size says.  A share may give bytes without end, and stop short of it
    without an error.
    """
    left = met.stat.size
    while True:
        with disk_errors(met.path), CALLS.at(root):
            block = source.read(BLOCK)
        left -= len(block)
        if left < 0:
            raise FileChanged(f"{met.path}: has more bytes than its size says")
        if not block:
            if left:
                raise FileChanged(f"{met.path}: ends {left} bytes before its size")
            return
        if stopping():
            raise Stopped(f"stopped while {met.path} was read")
        yield block


def touched_at(root: str, source: BinaryIO, met: Found) -> int:
    """When the inode was last changed (ns).  Raises DiskAway."""
    with disk_errors(met.path), CALLS.at(root):
        return os.fstat(source.fileno()).st_ctime_ns


def check_read(
    root: str, source: BinaryIO, met: Found, since: int, sha1: str, stopping: Callable[[], bool]
) -> None:
    """Raises FileChanged if the bytes are not those with this SHA1, which were read before.

    `since`: what `touched_at` gave before they were read.  A program may have written meanwhile,
    and set mtime back.  Somebody may also have changed the mode, or made a link: so the file
    is read again.  Raises also what `blocks` raises.
    """
    if touched_at(root, source, met) == since:
        return
    with disk_errors(met.path), CALLS.at(root):
        source.seek(0)
    digest = hashlib.sha1(usedforsecurity=False)
    for block in blocks(root, source, met, stopping):
        digest.update(block)
    if digest.hexdigest() != sha1:
        raise FileChanged(f"{met.path}: changed while it was read")


def sha1_of(root: str, met: Found, stopping: Callable[[], bool]) -> str:
    """The SHA1 of the file's bytes, lower-case hex.  Raises what `opened` and `blocks` raise."""
    digest = hashlib.sha1(usedforsecurity=False)
    with opened(root, met) as source:
        for block in blocks(root, source, met, stopping):
            digest.update(block)
    return digest.hexdigest()


class MayNotRemove(ImportRefused):
    """The server may not remove a file.  It stays, until somebody else removes it."""


def remove(
    fileset: Fileset,
    sha1s: Sequence[str],
    *,
    linked: bool,
    stopping: Callable[[], bool] = lambda: False,
) -> str:
    """Removes each file that is still the one that was imported.  Logs which stay, and why.

    Gives why one may not be removed, for people; empty if none is kept by that.

    Raises DiskAway when that cannot be told now, and Stopped when `stopping`: it is to be
    called again.

    `linked`: OMERO has the very inode, so its own time of change was moved on
    by us.  Else a file whose inode was touched since is read again, for a
    program may write and set the time back.
    """
    kept = ""
    for met, sha1 in zip(fileset.files, sha1s, strict=True):
        try:
            _remove_one(fileset.root, met, sha1, linked, stopping)
        except FileGone:
            with disk_errors(met.path):
                away = is_unmounted(fileset.root, met.path, met.stat.device)
            if away:
                raise DiskAway(f"{met.path}: its disk is not mounted") from None
        except (DiskAway, Stopped):
            raise
        except FsError as error:
            log.warning("fileset %d: imported, and not removed: %s", fileset.id, error)
            if isinstance(error, MayNotRemove):
                kept = kept or str(error)
        else:
            log.info("fileset %d: imported, so removed: %s", fileset.id, met.path)
    return kept


def _remove_one(
    root: str, met: Found, sha1: str, linked: bool, stopping: Callable[[], bool]
) -> None:
    """As `remove_file`, also if the disk was mounted again since."""
    try:
        remove_file(root, met, sha1, linked, stopping)
    except FileChanged:
        there = _as_mounted_now(root, met)
        if linked or there is met:
            raise
        remove_file(root, there, sha1, linked, stopping)


def _as_mounted_now(root: str, met: Found) -> Found:
    """The file as it is, if its disk was mounted again under another device number, and no more.

    As if its inode had been touched, so that it is read again before it is removed.  Raises
    DiskAway.
    """
    with disk_errors(met.path):
        now = stat_beneath(root, met.path)
    if now is None or now == met.stat or replace(now, device=met.stat.device) != met.stat:
        return met
    return replace(met, stat=replace(now, ctime_ns=0))


def remove_file(
    root: str, met: Found, sha1: str, linked: bool, stopping: Callable[[], bool]
) -> None:
    """Removes a file that still has the bytes with this SHA1; `linked` as for `remove`.

    Raises FileGone, DiskAway and Stopped, and another FsError if it stays for good.
    """
    with opened(root, met) as source, disk_errors(met.path), CALLS.at(root):
        touched = os.fstat(source.fileno()).st_ctime_ns != met.stat.ctime_ns
    if touched and not linked and sha1_of(root, met, stopping) != sha1:
        raise FileChanged(f"{met.path}: changed after it was imported")
    with disk_errors(met.path):
        directory = open_directory(root, met.path)
    try:
        with disk_errors(met.path), CALLS.at(root):
            name = PurePath(met.path).name
            now = FileStat.of(os.stat(name, dir_fd=directory, follow_symlinks=False))
            if now != met.stat:
                raise FileChanged(f"{met.path}: changed after it was imported")
            _unlink(name, directory, met)
    finally:
        os.close(directory)


def _unlink(name: str, directory: int, met: Found) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno not in _MAY_NOT:
            raise
        # How the directory is shared or mounted: no later try would end otherwise.
        raise MayNotRemove(f"{met.path}: may not be removed: {error.strerror}") from error
