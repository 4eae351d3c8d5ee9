"""The files to import: they are opened, read and removed only if they are as they were at rest."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from omero_fs_plugin.dropbox.confine import open_beneath, open_directory
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat

from . import DiskAway, FileChanged, Stopped

log = logging.getLogger(__name__)

# Bytes read at once, so that large files need no more memory.  Larger blocks are slower.
BLOCK = 2**20


@contextmanager
def opened(root: str, met: Found) -> Iterator[BinaryIO]:
    """The file, open for reading.  Afterwards it is looked at again.

    Raises FileChanged when it is not what `met` says, before or after, DiskAway, and
    ImportRefused as `confine.open_beneath` does.
    """
    try:
        descriptor = open_beneath(root, met.path)
    except RootAway as error:
        raise DiskAway(str(error)) from error
    except FileNotFoundError as error:
        raise FileChanged(f"{met.path}: gone before it was imported") from error
    except OSError as error:
        raise FileChanged(f"{met.path}: cannot be read now: {error.strerror}") from error
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        _unchanged(root, source, met)
        yield source
        # A file exchanged or written to while it was read is not what was promised.
        _unchanged(root, source, met)


def _unchanged(root: str, source: BinaryIO, met: Found) -> None:
    try:
        with CALLS.at(root):
            found = os.fstat(source.fileno())
    except RootAway as error:
        raise DiskAway(str(error)) from error
    if FileStat.of(found) != met.stat:
        raise FileChanged(f"{met.path}: changed after it had come to rest")


def blocks(
    root: str, source: BinaryIO, met: Found, stopping: Callable[[], bool]
) -> Iterator[bytes]:
    """The bytes of a file below `root` from the beginning, at most BLOCK at once.

    Raises FileChanged when they cannot be read, DiskAway, and Stopped when `stopping`.
    """
    while True:
        try:
            with CALLS.at(root):
                block = source.read(BLOCK)
        except RootAway as error:
            raise DiskAway(str(error)) from error
        except OSError as error:
            raise FileChanged(f"{met.path}: cannot be read now: {error.strerror}") from error
        if not block:
            return
        if stopping():
            raise Stopped(f"stopped while {met.path} was read")
        yield block


def sha1_of(root: str, met: Found, stopping: Callable[[], bool]) -> str:
    """The SHA1 of the file's bytes, lower-case hex.  Raises what `opened` and `blocks` raise."""
    digest = hashlib.sha1(usedforsecurity=False)
    with opened(root, met) as source:
        for block in blocks(root, source, met, stopping):
            digest.update(block)
    return digest.hexdigest()


def remove(fileset: Fileset, sha1s: Sequence[str], *, linked: bool) -> None:
    """Removes each file that is still the one that was imported.  Logs which stay, and why.

    Raises DiskAway when that cannot be told now: it is to be called again.

    `linked`: OMERO has the very inode, so its own time of change was moved on
    by us.  Else a file whose inode was touched since is read again, for a
    program may write and set the time back.
    """
    for met, sha1 in zip(fileset.files, sha1s, strict=True):
        try:
            with opened(fileset.root, met) as source:
                touched = os.fstat(source.fileno()).st_ctime_ns != met.stat.ctime_ns
            if touched and not linked and sha1_of(fileset.root, met, lambda: False) != sha1:
                raise FileChanged(f"{met.path}: changed after it was imported")
            directory = open_directory(fileset.root, met.path)
            try:
                with CALLS.at(fileset.root):
                    name = Path(met.path).name
                    now = FileStat.of(os.stat(name, dir_fd=directory, follow_symlinks=False))
                    if now != met.stat:
                        raise FileChanged(f"{met.path}: changed after it was imported")
                    os.unlink(name, dir_fd=directory)
            finally:
                os.close(directory)
        except FileNotFoundError:
            continue
        except RootAway as error:
            raise DiskAway(str(error)) from error
        except DiskAway:
            raise
        except (FsError, OSError) as error:
            log.warning("fileset %d: imported, and not removed: %s", fileset.id, error)
        else:
            log.info("fileset %d: imported, so removed: %s", fileset.id, met.path)
