"""Removes a store piece by piece.  If asked to, it removes only what lies elsewhere too.

Rule: it follows no link.  A directory stays open while its files are removed.  So nobody can lead
it to another place by exchanging a directory of the store.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from contextlib import suppress
from dataclasses import dataclass

from omero_fs_plugin.dropbox.confine.trees import DEEPEST
from omero_fs_plugin.dropbox.disks.calls import CALLS, Call

from .comparing import End, Sure, same_file
from .copying import DIRECTORY, NO_FOLLOW


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
            and same_file(name, directory, self.root, twin, self.of_twin, trust_times=True)
        ):
            return False
        os.unlink(name, dir_fd=directory)
        return True
