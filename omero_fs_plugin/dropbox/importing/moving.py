"""Moves a file into and out of quarantine: follows no link, and overwrites nothing.

Between file systems it copies the file.  The copy and its name are on disk before the
original is removed.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from omero_fs_plugin.dropbox.confine import open_directory, parts_beneath
from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store, store_at

from .comparing import End, Sure, in_the_way, look
from .copying import (
    DIRECTORY,
    HERE,
    NEW,
    NO_FOLLOW,
    NO_LINKS,
    READ,
    copy,
    rename_to_free,
    sha1_at,
    sync,
)
from .crossing import carry_back, carry_out

_THERE = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def _of_course() -> None:
    """Nobody else can be at it."""


def move_out(
    root: str, met: Found, to: Path, vault: str = "", sha1: str = "", sure: Sure = _of_course
) -> bool:
    """Moves the file below `root` to `to`.  Returns False if it is gone or has changed.

    `vault`: the directory that `to` lies in, whose disk may be another; empty: its own.
    `sha1` (lower-case hex): a copy is read again, and must have it, before the original goes.
    `sure` is called before each step of a store that goes to another disk.
    Raises OSError and ImportRefused, and what `sure` raises.
    """
    vault = vault or str(to.parent)
    with CALLS.at(vault):
        above = os.open(to.parent, DIRECTORY)
    try:
        with CALLS.at(root):
            return _move_out(root, met, to, End(vault, above), sha1, sure)
    finally:
        _close(above, vault)


def _move_out(root: str, met: Found, to: Path, vault: End, sha1: str, sure: Sure) -> bool:
    *_, name = parts_beneath(root, met.path)
    directory = open_directory(root, met.path)
    try:
        with suppress(FileNotFoundError):
            if is_store(met.path):
                return _move_store_out(End(root, directory), met, to, vault, sure)
            if not _is(name, directory, met.stat):
                return False  # it has changed, and is imported anew
            _remove_second_name(to.name, vault, met.stat)
            try:
                # Between two open directories the kernel sees at once that they are on two
                # disks, and asks neither.
                os.rename(name, to.name, src_dir_fd=directory, dst_dir_fd=vault.above)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                return _copy_out(name, directory, met.stat, to, root, vault.root, sha1)
            if FileStat.of(to.lstat()) == met.stat:
                return True
            _give_back(to, name, directory)  # it was replaced at this very moment
        return False
    finally:
        os.close(directory)


def _move_store_out(home: End, met: Found, to: Path, vault: End, sure: Sure) -> bool:
    """Moves a store in one step, or carries it if `to` is on another disk."""
    if tree_stat(home.root, met.path) != met.stat:
        return False  # it has changed, and is imported anew
    *_, name = parts_beneath(home.root, met.path)
    try:
        # It replaces nothing but an empty directory.
        os.rename(name, to.name, src_dir_fd=home.above, dst_dir_fd=vault.above)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return carry_out(home, met, to, vault, sure)
        if error.errno in _THERE:
            raise in_the_way(to) from error
        raise
    if tree_stat(vault.root, store_at(str(to))) == met.stat:
        return True
    _give_back(to, name, home.above)  # it changed at this very moment
    return False


def move_back(source: Path, root: str, to: str, vault: str = "", sure: Sure = _of_course) -> None:
    """Moves `source` to `to`, below the user's directory `root`.

    `vault` and `sure`: as for `move_out`.  Only a regular file or a store is moved.  A store from
    another disk lies in both places then, whole.

    Raises FileExistsError if something is there, other OSErrors, and ImportRefused.
    """
    vault = vault or str(source.parent)
    if is_store(to):
        _move_store_back(source, vault, root, to, sure)
        return
    with CALLS.at(vault):
        at = os.open(source.parent, DIRECTORY)
    try:
        with CALLS.at(root):
            moved = _move_back(source.name, at, root, to, vault)
    finally:
        _close(at, vault)
    if not moved:
        remove_source(source, vault)


def remove_source(source: Path, vault: str) -> None:
    """Removes a file of `vault` that lies elsewhere by now.  Raises OSError."""
    with CALLS.at(vault):
        at = os.open(source.parent, DIRECTORY)
        try:
            os.unlink(source.name, dir_fd=at)
            os.fsync(at)
        finally:
            os.close(at)


def _move_back(source: str, at: int, root: str, to: str, vault: str) -> bool:
    """False: it lies in both places now, and is to be removed where it was."""
    *above, name = parts_beneath(root, to)
    _make_below(root, above)
    directory = open_directory(root, to)
    try:
        with CALLS.at(vault):
            found = os.lstat(source, dir_fd=at)
        if not stat_module.S_ISREG(found.st_mode):
            raise ImportRefused(f"{source}: not a regular file", final=True)
        try:
            # Unlike a rename, a link never replaces a file that the user has put there since.
            os.link(source, name, src_dir_fd=at, dst_dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if error.errno in NO_LINKS and _is_renamed(source, at, name, directory):
                sync(".", directory)
                return True
            if error.errno not in (errno.EXDEV, *NO_LINKS):
                raise
            _copy_back(source, at, name, directory, root, vault)
        return False
    finally:
        os.close(directory)


def _is_renamed(source: str, at: int, name: str, directory: int) -> bool:
    """Renames it, if that can be done without replacing anything.  Raises FileExistsError."""
    try:
        rename_to_free(source, at, name, directory)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _move_store_back(source: Path, vault: str, root: str, to: str, sure: Sure) -> None:
    with CALLS.at(root):
        *above, name = parts_beneath(root, to)
        _make_below(root, above)
        directory = open_directory(root, to)
        try:
            # A rename replaces no directory that has files.
            with suppress(FileNotFoundError):
                os.lstat(name, dir_fd=directory)
                raise FileExistsError(errno.EEXIST, "something lies there already", to)
            with CALLS.at(vault):
                at = os.open(source.parent, DIRECTORY)
            try:
                os.rename(source.name, name, src_dir_fd=at, dst_dir_fd=directory)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                carry_back(source, vault, to, End(root, directory), sure)
            finally:
                os.close(at)
        finally:
            os.close(directory)


def _close(descriptor: int, vault: str) -> None:
    """Closes what is open on the disk of `vault`, also if that does not answer.

    Else it would be open to the end of DropBox, and nobody could unmount that disk.
    """
    try:
        with CALLS.at(vault):
            os.close(descriptor)
            descriptor = -1
    except RootAway:
        if descriptor < 0:
            raise
        os.close(descriptor)


def _is(name: str, directory: int, stat: FileStat) -> bool:
    return FileStat.of(os.lstat(name, dir_fd=directory)) == stat


def _remove_second_name(name: str, vault: End, stat: FileStat) -> None:
    """Removes a name in `vault` of the very file that is to be moved there.

    A kill between the two steps of a move back has left it.  To rename a file to another name of
    its own does nothing.
    """
    with CALLS.at(vault.root):
        found = look(name, vault.above)
        there = FileStat.of(found) if found is not None else None
        if there is not None and (there.device, there.inode) == (stat.device, stat.inode):
            os.unlink(name, dir_fd=vault.above)


def _give_back(to: Path, name: str, directory: int) -> None:
    """Moves a wrong file back to where it was, unless something is there."""
    if stat_module.S_ISDIR(to.lstat().st_mode):
        os.rename(to, name, dst_dir_fd=directory)
        return
    try:
        os.link(to, name, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        rename_to_free(str(to), HERE, name, directory)
    else:
        to.unlink()


def _make_below(root: str, parts: list[str]) -> None:
    """Makes the directories of `parts`, each in the one before, if they are missing."""
    directory = ROOTS.open(root)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=directory)
            inner = os.open(part, DIRECTORY | NO_FOLLOW, dir_fd=directory)
            os.close(directory)
            directory = inner
    finally:
        os.close(directory)


def _copy_out(
    name: str, directory: int, stat: FileStat, to: Path, root: str, vault: str, sha1: str
) -> bool:
    """Copies to another file system.  False if the file changed before the copy was whole."""
    part = to.with_name(f".{to.name[:200]}.part")
    with CALLS.at(vault):
        part.unlink(missing_ok=True)  # of a copy that was cut short
    try:
        source = os.open(name, READ, dir_fd=directory)
        try:
            found = os.fstat(source)
            if not stat_module.S_ISREG(found.st_mode) or FileStat.of(found) != stat:
                return False
            with CALLS.at(vault):
                target = os.open(part, NEW, 0o600)
            copy(source, target, found, of=root, to=vault)
            now = FileStat.of(os.fstat(source))
        finally:
            os.close(source)
        if sha1 and sha1_at(part, vault) != sha1:
            raise OSError(errno.EIO, "the copy has other bytes", str(part))
        with CALLS.at(vault):
            part.rename(to)
            sync(to.parent)
        if replace(now, ctime_ns=0) != replace(stat, ctime_ns=0) or not _is(name, directory, stat):
            with CALLS.at(vault):
                to.unlink()
            raise OSError(errno.EBUSY, "it changed while it was copied")
    finally:
        with suppress(RootAway), CALLS.at(vault):
            part.unlink(missing_ok=True)
    os.unlink(name, dir_fd=directory)
    return True


def _copy_back(source: str, at: int, name: str, directory: int, root: str, vault: str) -> None:
    """Copies from another file system, under a hidden name until the copy is whole and on disk."""
    part = f".{name[:200]}.part"
    with suppress(FileNotFoundError):  # of a copy that was cut short, or a trap
        os.unlink(part, dir_fd=directory)
    try:
        with CALLS.at(vault):
            content = os.open(source, READ, dir_fd=at)
        try:
            with CALLS.at(vault):
                found = os.fstat(content)
            target = os.open(part, NEW, 0o644, dir_fd=directory)
            copy(content, target, found, of=vault, to=root)
        finally:
            _close(content, vault)
        try:
            os.link(part, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            rename_to_free(part, directory, name, directory)
        sync(".", directory)
    finally:
        with suppress(OSError):
            os.unlink(part, dir_fd=directory)
