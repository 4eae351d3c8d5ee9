"""Copies a store to another file system.  Each file is on the disk, and is read again there.

Rule: it follows no link.  A directory stays open while its files are copied.  So nobody can lead it
to another place by exchanging a directory of the store.  A file of an earlier copy is kept if it
has the same bytes.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from dataclasses import dataclass

from omero_fs_plugin.dropbox.confine import check_file
from omero_fs_plugin.dropbox.confine.trees import DEEPEST
from omero_fs_plugin.dropbox.disks.calls import CALLS, Call
from omero_fs_plugin.errors import ImportRefused

from .comparing import End, Sure, lies_at, look, same_file
from .copying import DIRECTORY, NEW, NO_FOLLOW, READ, copy, sha1_at


def copy_store(
    source: End, name: str, target: End, half: str, sure: Sure, owner: int | None = None
) -> tuple[int, int]:
    """Makes `half` the same as the store `name`, on the disk.  Gives its device and inode.

    `owner` (a uid): hard links to files of others are not copied.  Raises OSError and what `sure`
    raises.  Raises ImportRefused for anything that is no file, directory or link.
    """
    with CALLS.at(source.root) as call:
        inner = os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=source.above)
        try:
            mode = os.fstat(inner).st_mode
            carrier = _Carrier(source.root, target.root, call, sure, owner)
            return carrier.directory(inner, mode, target.above, half, "")
        finally:
            os.close(inner)


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
            if not fresh and same_file(name, source, self.of, target, self.to):
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
    found = look(name, above)
    if found is not None and not stat_module.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=above)  # a trap
        found = None
    if found is None:
        os.mkdir(name, 0o700, dir_fd=above)
    return os.open(name, DIRECTORY | NO_FOLLOW, dir_fd=above), found is None


def _clear(above: int, name: str, call: Call) -> None:
    """Makes the name free, of what an earlier copy left there or of a trap."""
    call.pulse()
    found = look(name, above)
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
