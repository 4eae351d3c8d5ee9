"""Copies a store to another file system, and removes one, piece by piece.

Rule: it follows no link, and a directory is open while its files are looked at, so that whoever
exchanges a directory of the store leads it nowhere else.  What is there of an earlier copy is
kept if it has the same bytes.  What is removed is known to lie elsewhere, where that is asked for.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from omero_fs_plugin.dropbox.confine import check_file
from omero_fs_plugin.dropbox.confine.trees import DEEPEST
from omero_fs_plugin.dropbox.disks.calls import CALLS, Call
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import NOTHING_THERE

from .copying import DIRECTORY, NEW, NO_FOLLOW, READ, copy, sha1_at

Sure = Callable[[], None]  # is called before each step; raises an FsError if we may not go on


@dataclass(frozen=True)
class End:
    """A directory in which a store lies or is to lie: one end of its way."""

    root: str  # as `CALLS` names its disk
    above: int  # a descriptor of the directory


def copy_store(
    source: End, name: str, target: End, half: str, sure: Sure, owner: int | None = None
) -> tuple[int, int]:
    """Makes `half` the same as the store `name`, on the disk.  Gives its device and inode.

    `owner` (a uid): hard links to files of others are not copied.  Raises OSError, ImportRefused
    for what is no file, directory or link, and what `sure` raises.
    """
    with CALLS.at(source.root) as call:
        inner = os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=source.above)
        try:
            mode = os.fstat(inner).st_mode
            carrier = _Carrier(source.root, target.root, call, sure, owner)
            return carrier.directory(inner, mode, target.above, half, "")
        finally:
            os.close(inner)


def remove_store(at: End, name: str, sure: Sure, twin: End | None = None, its: str = "") -> bool:
    """Removes the store `name`.  Returns whether all of it is gone, or was before.

    With `twin`, a file goes only if the store `its` there has it with the same bytes.
    Raises OSError, and what `sure` raises.
    """
    with CALLS.at(at.root) as call:
        kept = -1
        if twin is not None:
            with CALLS.at(twin.root):
                kept = os.open(its, DIRECTORY | NO_FOLLOW, dir_fd=twin.above)
        try:
            with suppress(FileNotFoundError):
                remover = _Remover(at.root, twin.root if twin is not None else "", call, sure)
                return remover.one(name, at.above, kept, "")
            return True
        finally:
            if kept >= 0:
                os.close(kept)


def same_store(one: End, name: str, other: End, its: str) -> bool:
    """Whether both stores have the same files with the same bytes.  Raises OSError."""
    with CALLS.at(one.root):
        mine = os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=one.above)
        try:
            with CALLS.at(other.root):
                theirs = os.open(its, DIRECTORY | NO_FOLLOW, dir_fd=other.above)
            try:
                return _same_below(mine, one.root, theirs, other.root, 0)
            finally:
                os.close(theirs)
        finally:
            os.close(mine)


def lies_at(name: str, at: int) -> bool:
    """Whether there is anything of that name, also a link that leads nowhere.  Raises OSError."""
    return _look(name, at) is not None


def _look(name: str, at: int) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=at)
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return None
        raise


@dataclass(frozen=True)
class _Carrier:
    """Copies one store.  Its methods are called in `call`, the call to the disk of the source."""

    of: str
    to: str
    call: Call
    sure: Sure
    owner: int | None

    def directory(
        self, source: int, mode: int, above: int, name: str, within: str
    ) -> tuple[int, int]:
        """Copies an open directory to `name` in `above`.  Gives the device and inode of that."""
        if within.count("/") > DEEPEST:
            raise OSError(errno.ELOOP, f"more than {DEEPEST} directories deep", within)
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=source, effective_ids=True):
            raise PermissionError(errno.EACCES, "the server may not remove files there", within)
        with CALLS.at(self.to):
            target, fresh = _directory_in(above, name)
        try:
            with os.scandir(source) as entries:
                for entry in entries:
                    self.call.rest()
                    self.sure()
                    self.call.pulse()
                    self._one(entry.name, source, target, fresh, within)
            with CALLS.at(self.to) as call:
                if not fresh:
                    self._remove_what_is_not(source, target, call)
                os.fchmod(target, stat_module.S_IMODE(mode) & 0o777 | 0o700)
                os.fsync(target)
                made = os.fstat(target)
        finally:
            os.close(target)
        return made.st_dev, made.st_ino

    def _one(self, name: str, source: int, target: int, fresh: bool, within: str) -> None:
        found = os.lstat(name, dir_fd=source)
        if stat_module.S_ISDIR(found.st_mode):
            inner = os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=source)
            try:
                self.directory(inner, found.st_mode, target, name, f"{within}{name}/")
            finally:
                os.close(inner)
        elif stat_module.S_ISLNK(found.st_mode):
            text = os.readlink(name, dir_fd=source)
            with CALLS.at(self.to) as call:
                _clear(target, name, call)
                os.symlink(text, name, dir_fd=target)
        elif stat_module.S_ISREG(found.st_mode):
            self._file(name, source, target, fresh, within)
        else:
            raise ImportRefused(f"{within}{name}: is no file, directory or link, and is not moved")

    def _file(self, name: str, source: int, target: int, fresh: bool, within: str) -> None:
        content = os.open(name, READ, dir_fd=source)
        try:
            found = os.fstat(content)
            if self.owner is not None:
                check_file(f"{within}{name}", found, self.owner)
            if not stat_module.S_ISREG(found.st_mode):
                raise OSError(errno.EBUSY, "it changed while it was copied", f"{within}{name}")
            if not fresh and _same_file(name, source, self.of, target, self.to):
                with CALLS.at(self.to):
                    there = os.lstat(name, dir_fd=target)
                if there.st_mtime_ns == found.st_mtime_ns:
                    return  # of a copy that was cut short; its time is set last
            with CALLS.at(self.to) as call:
                _clear(target, name, call)
                made = os.open(name, NEW, 0o600, dir_fd=target)
            sha1 = copy(content, made, found, of=self.of, to=self.to)
        finally:
            os.close(content)
        if sha1_at(name, self.to, target) != sha1:
            raise OSError(errno.EIO, "the copy has other bytes", f"{within}{name}")

    def _remove_what_is_not(self, source: int, target: int, call: Call) -> None:
        """What an earlier copy had, or somebody has put there."""
        with os.scandir(target) as entries:
            for entry in entries:
                with CALLS.at(self.of):
                    there = lies_at(entry.name, source)
                if not there:
                    _clear(target, entry.name, call)


def _directory_in(above: int, name: str) -> tuple[int, bool]:
    """A descriptor of the directory `name`, and whether it was made now."""
    found = _look(name, above)
    if found is not None and not stat_module.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=above)  # a trap
        found = None
    if found is None:
        os.mkdir(name, 0o700, dir_fd=above)
    return os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=above), found is None


def _clear(above: int, name: str, call: Call) -> None:
    """Makes the name free, of what an earlier copy left there or of a trap."""
    call.pulse()
    found = _look(name, above)
    if found is None:
        return
    if not stat_module.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=above)
        return
    inner = os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=above)
    try:
        with os.scandir(inner) as entries:
            for entry in entries:
                _clear(inner, entry.name, call)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=above)


@dataclass(frozen=True)
class _Remover:
    """Removes one store.  Its methods are called in `call`, the call to its disk."""

    root: str
    of_twin: str  # the root of the disk that has the other copy; empty: none is asked for
    call: Call
    sure: Sure

    def one(self, name: str, above: int, twin: int, within: str) -> bool:
        """Removes a directory.  Whether all of it went.  `twin`: -1 if there is none."""
        if within.count("/") > DEEPEST:
            raise OSError(errno.ELOOP, f"more than {DEEPEST} directories deep", within)
        directory = os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=above)
        try:
            # What is removed while a directory is listed may hide another entry of it.
            while True:
                went, left = self._some(directory, twin, within)
                if not went:
                    break
        finally:
            os.close(directory)
        if left:
            return False
        os.rmdir(name, dir_fd=above)
        return True

    def _some(self, directory: int, twin: int, within: str) -> tuple[int, int]:
        """How many entries went, and how many were left."""
        went = left = 0
        with os.scandir(directory) as entries:
            for entry in entries:
                self.call.rest()
                self.sure()
                self.call.pulse()
                try:
                    gone = self._entry(entry.name, directory, twin, within)
                except FileNotFoundError:
                    continue
                went, left = went + gone, left + (not gone)
        return went, left

    def _entry(self, name: str, directory: int, twin: int, within: str) -> bool:
        found = os.lstat(name, dir_fd=directory)
        if stat_module.S_ISDIR(found.st_mode):
            inner = -1
            if twin >= 0:
                with suppress(OSError), CALLS.at(self.of_twin):
                    inner = os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=twin)
            try:
                return self.one(name, directory, inner, f"{within}{name}/")
            finally:
                if inner >= 0:
                    os.close(inner)
        if self.of_twin and not (
            twin >= 0
            and _same_file(name, directory, self.root, twin, self.of_twin, trust_times=True)
        ):
            return False
        os.unlink(name, dir_fd=directory)
        return True


def _same_file(
    name: str, at: int, root: str, other: int, its_root: str, trust_times: bool = False
) -> bool:
    """Whether both directories have the same file, or link, of that name.  In a call to `root`.

    `trust_times`: the same size and time are enough; else the bytes are compared.
    """
    mine = _look(name, at)
    with CALLS.at(its_root):
        theirs = _look(name, other)
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


def _same_below(one: int, root: str, other: int, its_root: str, levels: int) -> bool:
    """As `same_store`, of two open directories.  In a call to `root`."""
    if levels > DEEPEST:
        raise OSError(errno.ELOOP, f"more than {DEEPEST} directories deep")
    with os.scandir(one) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                if not _same_file(entry.name, one, root, other, its_root):
                    return False
                continue
            mine = os.open(entry.name, DIRECTORY | NO_FOLLOW, dir_fd=one)
            try:
                with CALLS.at(its_root):
                    if not lies_at(entry.name, other):
                        return False
                    theirs = os.open(entry.name, DIRECTORY | NO_FOLLOW, dir_fd=other)
                try:
                    if not _same_below(mine, root, theirs, its_root, levels + 1):
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
