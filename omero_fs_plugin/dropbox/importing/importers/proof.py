"""Whether OMERO sees a directory as this machine does, before a link into it is given to OMERO.

A symbolic link in the repository is read by OMERO, which may run on another machine, in a
container, or with another mount at that path.

Rule: no link is given to OMERO for a directory that is not proved.  The proof is a file with a
name that nobody knows: made in the directory, and looked for by OMERO over a link in its
repository.  Both are gone afterwards.  Where nothing may be made, OMERO has to see the file that is
to be imported; its size and its SHA1 are compared in any case.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import omero
from omero_fs_plugin.blitz.verdicts import Step, server_errors, told
from omero_fs_plugin.dropbox.confine.probe import is_name, make, new_name, remove
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.stores import directory_of

from . import DiskAway
from .disk import disk_errors

log = logging.getLogger(__name__)

PROVED_S = 600.0  # that a proof counts
_OLD_S = 60.0  # after which nobody uses a link of ours any more


class NotProved(DiskAway):
    """OMERO does not see a directory as this machine does.  The fileset waits in the queue."""


class Proofs:
    """Which directories OMERO sees as this machine does.  Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, monotonic."""
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str], float] = {}  # (root, repository) -> proved until (s)
        self._why_not: dict[str, str] = {}  # root -> why
        self._cleared: set[str] = set()  # repositories in which nothing is left of an earlier proof

    def told(self) -> dict[str, str]:
        """Directories that OMERO does not see as we do -> why nothing is linked, for people."""
        with self._lock:
            return dict(self._why_not)

    def heard(self, root: str, why: str) -> None:
        """Another process has found out why nothing is linked from there; empty: it is proved."""
        with self._lock:
            if why:
                self._why_not[root] = why
            else:
                self._why_not.pop(root, None)

    def check(self, fileset: Fileset, repository: Any, top: Path) -> None:
        """Returns if OMERO sees the fileset's directory.  `top`: that of its repository, here.

        Raises NotProved, and what the disks and OMERO say.
        """
        root, key = fileset.root, (fileset.root, str(top))
        with self._lock:
            if self._until.get(key, 0.0) > self._clock():
                return
            clear = str(top) not in self._cleared
        if clear:
            clear = _clear(top)
        why, left = _why_not(fileset, repository, top)
        with self._lock:
            if clear and not left:
                self._cleared.add(str(top))
            elif left:
                self._cleared.discard(str(top))
            if not why:
                self._until[key] = self._clock() + PROVED_S
                self._why_not.pop(root, None)
                return
            news = root not in self._why_not
            self._why_not[root] = why
        if news:
            log.error("%s", why)
        raise NotProved(why)


PROOFS = Proofs()  # of this process


def _why_not(fileset: Fileset, repository: Any, top: Path) -> tuple[str, bool]:
    """Why not, empty if it is proved; and whether the probe could not be removed."""
    name = new_name()
    link = top / name
    try:
        why = _asked(fileset, repository, link)
    finally:
        left = not _removed(fileset.root, name)
        if not left:  # else the link says where it is
            with suppress(OSError):
                link.unlink()
    return why, left


def _asked(fileset: Fileset, repository: Any, link: Path) -> str:
    root = fileset.root
    looked_for = f"{root.rstrip('/')}/{link.name}"
    # The link first: it says where the probe is, if we are killed.
    with _repository(link):
        link.symlink_to(looked_for)
    with disk_errors(looked_for):
        made = make(root, link.name)
    if not made:
        looked_for = directory_of(fileset.path).rstrip("/")
        with _repository(link):
            link.unlink()
            link.symlink_to(looked_for)
    if _sees(repository, link.name):
        return ""
    # Whether OMERO tells at all what is in its repository.
    control = link.with_name(new_name())
    try:
        with _repository(control):
            control.touch(mode=0o600)
        if not _sees(repository, control.name):
            log.info("OMERO does not say whether it sees %s; it has to give the right SHA1", root)
            return ""
    finally:
        with suppress(OSError):
            control.unlink()
    return (
        f"OMERO does not see {root} as this machine does: it does not find {looked_for}, and "
        "nothing is linked from there: mount it on OMERO's machine under the same path, or set "
        "omero.fs.transfer to upload"
    )


def _removed(root: str, name: str) -> bool:
    try:
        remove(root, name)
    except FileNotFoundError:
        return True
    except (OSError, FsError) as error:
        log.debug("%s in %s: %s", name, root, error)
        return False
    return True


@contextmanager
def _repository(at: Path) -> Iterator[None]:
    """Raises what an error of OMERO's disk means."""
    try:
        yield
    except OSError as error:
        raise told(error, f"making {at} in OMERO's repository", Step.IN_PLACE) from error


def _sees(repository: Any, name: str) -> bool:
    """Whether OMERO finds it on its disk.

    Source: PublicRepositoryI of OMERO.server.  `mimetype` looks at the disk and raises
    ValidationException if nothing is there; `fileExists` knows only what has a row.
    """
    with server_errors("asking whether OMERO sees a file that was made for that", Step.IN_PLACE):
        try:
            repository.mimetype(name)
        except omero.ValidationException:
            return False
        return True


def _clear(top: Path) -> bool:
    """Removes what an earlier proof left, as of a killed process.  Whether nothing is left."""
    clear = True
    try:
        with os.scandir(top) as entries:
            links = [entry for entry in entries if is_name(entry.name)]
    except OSError:
        return False
    for link in links:
        try:
            if time.time() - link.stat(follow_symlinks=False).st_mtime < _OLD_S:
                clear = False  # another process may be at it
                continue
            to = os.readlink(link.path) if link.is_symlink() else ""  # noqa: PTH115 - a DirEntry
        except OSError:
            clear = False
            continue
        root, _, name = to.rpartition("/")
        if name != link.name or _removed(root, name):  # else it leads to a user's file
            with suppress(OSError):
                Path(link.path).unlink()
        else:
            clear = False
    return clear
