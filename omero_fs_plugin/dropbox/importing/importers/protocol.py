"""The protocol of every way of importing: what it is given, what it answers, and when.

One suite of tests runs over all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import FsError


@dataclass(frozen=True)
class Wishes:
    """What is wanted for the import of one fileset, besides its files."""

    reader: str = ""  # canonical class name of the Bio-Formats reader; empty: not known
    name: str = ""  # of the images or the plate; empty: the name of the file
    description: str = ""
    target: Any = None  # omero.model Dataset or Screen with an id, or None


@dataclass(frozen=True)
class Task:
    """One fileset to import.

    `verified` is called with the SHA1s (lower-case hex) of all files in their order.
    This is just before OMERO is told to import, or before the start of a program that
    tells OMERO.  If it raises, the task ends, and OMERO has not been told to import.
    `over` is called with the OriginalFile id of the first file when the upload is over
    for certain, without images: OMERO has answered no, or was never told to import.
    `began` is called with the mark of an upload that a later attempt may go on with, and `known`
    is the mark that an earlier attempt gave; empty: none.
    `ours` says whether this DropBox still works on the fileset.  It is asked before something
    without images is closed or deleted: after a takeover the winner may be at it.
    """

    fileset: Fileset
    verified: Callable[[Sequence[str]], None]
    wishes: Wishes = field(default_factory=Wishes)
    over: Callable[[int], None] = lambda file: None
    known: str = ""
    began: Callable[[str], None] = lambda mark: None
    ours: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Imported:
    """Images that OMERO says it made of a task."""

    images: tuple[int, ...]  # ids
    sha1s: Sequence[str]  # of the files in their order, lower-case hex


Outcome = Imported | FsError


@dataclass(frozen=True)
class Figures:
    """How far an import has come."""

    done: int = 0  # bytes that were read and sent, linked or copied
    total: int = 0  # bytes of all files


class Progress:
    """Figures that some threads advance and any thread may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures = Figures()

    def begin(self, total: int) -> None:
        """Starts anew: no byte of `total` bytes is done."""
        with self._lock:
            self._figures = Figures(0, total)

    def at(self, done: int, total: int) -> None:
        """So many bytes of `total` are done, as another process says."""
        with self._lock:
            self._figures = Figures(done, total)

    def more(self, done: int) -> None:
        """Adds `done` bytes."""
        with self._lock:
            self._figures = Figures(self._figures.done + done, self._figures.total)

    def figures(self) -> Figures:
        """As it is now."""
        return self._figures


class Importer(Protocol):
    """A way of importing, for one user in one session.

    Rules:

    - OMERO is told to import a fileset only after its `verified` was called.
    - An outcome is Imported only if OMERO has the images.
    - A file is read only while it is as it was at rest, below its root, and not
      through a link.
    - What a failed task left in OMERO without images is deleted.
    """

    @property
    def most(self) -> int:
        """How many tasks one run should have at most."""

    def run(
        self, tasks: Sequence[Task], stopping: Callable[[], bool]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Imports.  Yields every task once, with its outcome, in any order, as it ends.

        Outcomes without images are: FileChanged if a file is not, or is no longer,
        what was to be imported; ImportRefused with the reason; Stopped if `stopping`
        before OMERO was told to import, or before the wait for its answer; Excluded;
        and what `verified` raised.

        Raises ServerAwayError and UserError, which are not the fault of a task.  The
        outcome of tasks that were not yielded by then is not known, and OMERO is asked.
        """

    def done(
        self, fileset: Fileset, sha1s: Sequence[str], stopping: Callable[[], bool] = lambda: False
    ) -> str:
        """Called when the images of `fileset` are there, and the journal says so.

        Removes the sources if the name of the transfer ends in `_rm`, each only if it
        is still the file that was imported.  A file that may not be removed is logged,
        and stays; gives why, empty if all went.  Raises DiskAway if the disk cannot tell now,
        and Stopped when `stopping`: it is to be called again.
        """

    def progress(self) -> Figures:
        """How far it has come.  Any thread may call this."""
