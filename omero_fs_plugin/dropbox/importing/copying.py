"""Bytes from one disk to another: what a copy is made of, and that it is on the disk.

Each call is short, if its disk answers: little is ever left to be written.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import stat as stat_module
from contextlib import suppress
from pathlib import Path

from omero_fs_plugin.dropbox.disks.calls import CALLS

_BLOCK = 2**20  # bytes
# Bytes.  A disk that takes longer than HUNG_S for them counts as one that does not answer.
_SYNCED_EACH = 8 * 2**20
CLOEXEC = getattr(os, "O_CLOEXEC", 0)
DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | CLOEXEC
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | CLOEXEC
# O_NONBLOCK: if a FIFO has replaced the file, to open it does not wait for a writer.
READ = os.O_RDONLY | NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW
# What os.link raises where there are no hard links, as on exFAT and over SMB, or where the kernel
# allows none to the files of others (fs.protected_hardlinks).
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP)
HERE = -100  # AT_FDCWD: a path is absolute
_NO_REPLACE = 1  # RENAME_NOREPLACE


def make_directory(directory: Path) -> None:
    """Makes `directory` and those above it, if they are missing.  They are on disk at the end."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    with suppress(FileExistsError):
        directory.mkdir()
    sync(directory.parent)


def copy(source: int, target: int, found: os.stat_result, *, of: str, to: str) -> str:
    """Copies all bytes, the mode and the times, to the disk.  Closes `target`.

    `of` and `to` are the roots of the two disks.  No call takes long if its disk answers, because
    little is ever left to be synced.  So a disk that hangs is noticed.

    Returns the SHA1 of the bytes that were read, lower-case hex.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        left = 0  # bytes that may not be on the disk yet
        while True:
            with CALLS.at(of):
                block = os.read(source, _BLOCK)
            if not block:
                break
            digest.update(block)
            with CALLS.at(to):
                left += _write(target, block)
                if left >= _SYNCED_EACH:
                    os.fsync(target)
                    left = 0
        with CALLS.at(to):
            os.fchmod(target, stat_module.S_IMODE(found.st_mode) & 0o777)
            os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(target)
    finally:
        os.close(target)
    return digest.hexdigest()


def _write(target: int, block: bytes) -> int:
    """Writes all of it, and returns how much that is."""
    written = 0
    while written < len(block):
        written += os.write(target, memoryview(block)[written:])
    return written


def sha1_at(path: Path | str, vault: str, above: int | None = None) -> str:
    """The SHA1 of a file on the disk of `vault`, lower-case hex.  Raises OSError.

    The bytes are asked of the disk again, if the system does that.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    with CALLS.at(vault) as call:
        descriptor = os.open(path, READ, dir_fd=above)
        try:  # os.fdopen would raise for a directory, and leave it open
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            while block := os.read(descriptor, _BLOCK):
                digest.update(block)
                call.pulse()
        finally:
            os.close(descriptor)
    return digest.hexdigest()


def sync(directory: Path | str, above: int | None = None) -> None:
    """Writes the names in `directory` to the disk."""
    descriptor = os.open(directory, DIRECTORY, dir_fd=above)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_to_free(name: str, above: int, to: str, its: int) -> None:
    """Renames `name` in the directory `above` to `to` in `its`, which must be free.

    In one step, and without a hard link.  Raises FileExistsError, and other OSErrors: not every
    system and file system can do this.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:  # macOS
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), to)
    if rename(above, os.fsencode(name), its, os.fsencode(to), _NO_REPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), to)
