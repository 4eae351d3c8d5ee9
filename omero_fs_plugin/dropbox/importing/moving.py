"""Moves files into and out of quarantine.  It follows no link and overwrites nothing."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from omero_fs_plugin.dropbox.confine import open_directory, parts_beneath
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat


def move_out(root: str, met: Found, to: Path) -> bool:
    """Moves the file below `root` to `to`.  Returns False if it is gone or has changed.

    Raises OSError and ImportRefused.
    """
    *_, name = parts_beneath(root, met.path)
    directory = open_directory(root, met.path)
    try:
        with suppress(FileNotFoundError):
            if FileStat.of(os.lstat(name, dir_fd=directory)) != met.stat:
                return False  # it has changed, and will be imported anew
            try:
                os.rename(name, to, src_dir_fd=directory)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy_out(name, directory, met.stat, to)
            return True
        return False
    finally:
        os.close(directory)


def move_back(source: Path, root: str, to: str) -> None:
    """Moves `source` to `to`, below the user's directory `root`.

    Raises FileExistsError if something is there, other OSErrors, and ImportRefused.
    """
    *above, name = parts_beneath(root, to)
    _make_below(root, above)
    directory = open_directory(root, to)
    try:
        try:
            # Unlike a rename, a link never replaces what the user has put there since.
            os.link(source, name, dst_dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP):
                raise
            _copy_back(source, name, directory)
        source.unlink()
    finally:
        os.close(directory)


def _make_below(root: str, parts: list[str]) -> None:
    """Makes the directories `parts`, one below the other, if they are not there."""
    directory = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=directory)
            inner = os.open(
                part,
                os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW,
                dir_fd=directory,
            )
            os.close(directory)
            directory = inner
    finally:
        os.close(directory)


def _copy_out(name: str, directory: int, stat: FileStat, to: Path) -> None:
    """Copies to another file system.  The copy is whole and on disk before the original goes."""
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


def _copy_back(source: Path, name: str, directory: int) -> None:
    """Copies from another file system, under a hidden name until the copy is whole and on disk."""
    part = f".{name[:200]}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(part, flags, 0o644, dir_fd=directory)
        with source.open("rb") as content, os.fdopen(descriptor, "wb") as target:
            shutil.copyfileobj(content, target, 2**20)
            found = os.fstat(content.fileno())
            target.flush()
            os.fsync(target.fileno())
            os.utime(target.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        os.link(part, name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        with suppress(OSError):
            os.unlink(part, dir_fd=directory)
