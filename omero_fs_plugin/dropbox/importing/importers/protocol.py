"""What every way of importing keeps to: what it is given, what it answers, and when.

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
    """What is wanted of one fileset's import beside its files."""

    reader: str = ""  # canonical class name of the Bio-Formats reader; empty: not known
    name: str = ""  # of the images or the plate; empty: the file's
    description: str = ""
    target: Any = None  # omero.model Dataset or Screen with an id, or None


@dataclass(frozen=True)
class Task:
    """One fileset to import.

    `verified` is called with the SHA1s (lower-case hex) of all files in their
    order, just before OMERO is told to import, or a program started that tells
    it: what it raises ends the task, and OMERO has been told nothing.
    `over` is called with the OriginalFile id of its first file when that upload
    is over for certain, without images: OMERO has answered the import with a
    no, or was never told to import it.
    """

    fileset: Fileset
    verified: Callable[[Sequence[str]], None]
    wishes: Wishes = field(default_factory=Wishes)
    over: Callable[[int], None] = lambda file: None


@dataclass(frozen=True)
class Imported:
    """Images that OMERO made of a task, by its own word."""

    images: tuple[int, ...]  # ids
    sha1s: tuple[str, ...]  # of the files in their order, lower-case hex


Outcome = Imported | FsError


@dataclass(frozen=True)
class Figures:
    """How far an import has come."""

    done: int = 0  # bytes that were read and sent, linked or copied
    total: int = 0  # bytes of all files


class Progress:
    """Figures that one thread, or several, move on and any other may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures = Figures()

    def begin(self, total: int) -> None:
        """Starts anew: nothing of `total` bytes."""
        with self._lock:
            self._figures = Figures(0, total)

    def more(self, done: int) -> None:
        """So many more bytes."""
        with self._lock:
            self._figures = Figures(self._figures.done + done, self._figures.total)

    def figures(self) -> Figures:
        """As it is now."""
        return self._figures


class Importer(Protocol):
    """A way of importing, for one user in one session.

    Rules: OMERO is told to import a fileset only after its `verified` was
    called; an outcome is Imported only for images that OMERO has; a file is
    read only while it is what it was when it came to rest, below its root and
    over no link; what a failed task left in OMERO without images is deleted.
    """

    @property
    def most(self) -> int:
        """How many tasks of one run are worth while."""

    def run(
        self, tasks: Sequence[Task], stopping: Callable[[], bool]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Imports; every task with its outcome, once, in any order, as it ends.

        Outcomes that are no images: FileChanged when a file is not, or is no
        longer, what was to be imported; ImportRefused with the reason; Stopped
        when `stopping` before OMERO was told, or before its answer was waited
        for; Excluded; and what `verified` raised.

        Raises ServerAwayError and UserError, which are no fault of a task: the
        outcome of tasks not told by then is not known, and OMERO is asked.
        """

    def done(self, fileset: Fileset, sha1s: Sequence[str]) -> None:
        """The images of `fileset` are there, and the journal says so: removes what was to be.

        That is the sources, where the transfer is one of those that end in
        `_rm`, and each only if it is the file that was imported.  Raises
        nothing: what cannot be removed is logged, and stays.
        """

    def progress(self) -> Figures:
        """How far it has come; from any thread."""
