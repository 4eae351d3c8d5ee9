"""The files to import: opened, read and removed only as what came to rest."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from omero_fs_plugin.dropbox.confine import open_beneath, open_directory
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat

from . import FileChanged, Stopped

log = logging.getLogger(__name__)

# Bytes read at once: memory stays bounded whatever the file's size.  Larger ones are slower.
BLOCK = 2**20


@contextmanager
def opened(root: str, met: Found) -> Iterator[BinaryIO]:
    """The file, open for reading; afterwards it is looked at again.

    Raises FileChanged when it is not what `met` says, before or after, and
    ImportRefused as `confine.open_beneath` does.
    """
    try:
        descriptor = open_beneath(root, met.path)
    except FileNotFoundError as error:
        raise FileChanged(f"{met.path}: gone before it was imported") from error
    except OSError as error:
        raise FileChanged(f"{met.path}: cannot be read now: {error.strerror}") from error
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        _unchanged(source, met)
        yield source
        # A file exchanged or written to while it was read is not what was promised.
        _unchanged(source, met)


def _unchanged(source: BinaryIO, met: Found) -> None:
    if FileStat.of(os.fstat(source.fileno())) != met.stat:
        raise FileChanged(f"{met.path}: changed after it had come to rest")


def blocks(source: BinaryIO, met: Found, stopping: Callable[[], bool]) -> Iterator[bytes]:
    """Its bytes from the beginning, at most BLOCK at once.

    Raises FileChanged when they cannot be read, Stopped when `stopping`.
    """
    while True:
        try:
            block = source.read(BLOCK)
        except OSError as error:
            raise FileChanged(f"{met.path}: cannot be read now: {error.strerror}") from error
        if not block:
            return
        if stopping():
            raise Stopped(f"stopped while {met.path} was read")
        yield block


def sha1_of(root: str, met: Found, stopping: Callable[[], bool]) -> str:
    """Of the file's bytes, lower-case hex.  Raises as `opened` and `blocks`."""
    digest = hashlib.sha1(usedforsecurity=False)
    with opened(root, met) as source:
        for block in blocks(source, met, stopping):
            digest.update(block)
    return digest.hexdigest()


def remove(fileset: Fileset, sha1s: Sequence[str], *, linked: bool) -> None:
    """Removes each file that is still the one imported; logs what stays, and why.

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
                name = Path(met.path).name
                now = FileStat.of(os.stat(name, dir_fd=directory, follow_symlinks=False))
                if now != met.stat:
                    raise FileChanged(f"{met.path}: changed after it was imported")
                os.unlink(name, dir_fd=directory)
            finally:
                os.close(directory)
        except FileNotFoundError:
            continue
        except (FsError, OSError) as error:
            log.warning("fileset %d: imported, and not removed: %s", fileset.id, error)
        else:
            log.info("fileset %d: imported, so removed: %s", fileset.id, met.path)
