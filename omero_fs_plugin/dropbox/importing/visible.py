"""Whether this machine sees the files that the journal means; for importers beside DropBox's.

A directory may have another path here (omero.fs.pathMap): `ROOTS` opens it there.

Rule: a file counts as seen only if it has the inode, the size and the mtime that DropBox met it
with.  So a file does not count if its share is not mounted here, if another directory of the same
name is there, or if it is a copy.  It may still exist.  So this machine decides nothing about it,
and leaves it to others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.confine.trees import stat_of
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat, known_there_as


class Visible:
    """Looks at the files of each fileset before it is imported.  Thread-safe."""

    def __init__(
        self,
        machine: str,
        by_path: Callable[[Fileset], str] = lambda fileset: "",
        beside_omero: Callable[[Fileset], str] = lambda fileset: "",
    ) -> None:
        """`by_path` says why a fileset can be imported only under its own path; empty: it can be
        under another.  `beside_omero` says what it needs of OMERO's machine that is not here;
        empty: nothing."""
        self._machine, self._by_path, self._beside_omero = machine, by_path, beside_omero
        self._lock = threading.Lock()
        self._unseen: dict[str, str] = {}  # root -> what was wrong with the last fileset of it

    def unseen(self, fileset: Fileset) -> str:
        """Why this machine does not see `fileset`; empty if it does."""
        why = (
            self._beside_omero(fileset)
            or self._elsewhere(fileset)
            or next(filter(None, (self._look(fileset.root, met) for met in fileset.files)), "")
        )
        with self._lock:
            if why:
                self._unseen[fileset.root] = why
            else:
                self._unseen.pop(fileset.root, None)
        return why

    def told(self) -> dict[str, str]:
        """Directories whose last fileset was not seen here, and why, for people."""
        with self._lock:
            return dict(self._unseen)

    def _elsewhere(self, fileset: Fileset) -> str:
        """OMERO, and its own importer, would look for the file under the path that it has here."""
        here = ROOTS.here(fileset.path)
        if here == fileset.path or not (why := self._by_path(fileset)):
            return ""
        return f"{fileset.path} is {here} on {self._machine} (omero.fs.pathMap), and {why}"

    def _look(self, root: str, met: Found) -> str:
        try:
            found = stat_of(root, met.path)
            if found is None:
                return f"{met.path} is not there on {self._machine}: is its share mounted?"
            if _identity(found) != _identity(met.stat):
                return f"{met.path} on {self._machine} is not the file that DropBox has met"
            with CALLS.at(root):
                here = os.lstat(ROOTS.here(met.path)).st_dev
        except OSError as error:
            return f"{met.path} on {self._machine}: {error.strerror or error}"
        except FsError as error:
            return f"on {self._machine}: {error}"
        known_there_as(here, met.stat.device)
        return ""


def _identity(stat: FileStat) -> tuple[int, int, int]:
    return stat.inode, stat.size, stat.mtime_ns
