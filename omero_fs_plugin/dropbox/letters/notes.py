"""A text file beside what failed, if omero.fs.notes is on: why, and what to do.

Rule: it writes into users' directories only what it made itself, follows no link, and is never
waited for: each root's own lane does it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import stat as stat_module
import textwrap
import threading
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.confine import open_directory
from omero_fs_plugin.dropbox.confine.trees import stat_of
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.situation import standing, without_paths
from omero_fs_plugin.errors import FsError, ImportRefused, JournalError
from omero_fs_plugin.names import printable
from omero_fs_plugin.stores import directory_of
from omero_fs_plugin.system_names import NOTE

log = logging.getLogger(__name__)

_KEY = "note of "  # before a fileset's id, in the journal; the value is [root, path of the note]
_FIRST = "OMERO.fs has not imported this file"  # the beginning of each note; nobody else's has it
_LONGEST = 255  # bytes of a name, on nearly every file system
_AGAIN_S = 60.0  # until a disk that was away, or full, is tried again
_WIDTH = 78
_SOME = 500  # events that are read together
# Windows lacks these; every file is refused there before they are used.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
# O_NONBLOCK: to open a FIFO does not wait for a writer.
_READ = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
# The server may not write there, and no later try helps.
_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EROFS)


class _At:
    """That a lane is at a fileset."""

    again = False  # one is to look again after that


class Notes:
    """Keeps the notes as the journal says: one beside each failed fileset, and no others.

    One thread calls `look`; the rest runs in the lanes.  With omero.fs.quarantine there are
    none: what is moved there has a text of its own.
    """

    def __init__(self, journal: Journal, lanes: Lanes, settings: Callable[[], Settings]) -> None:
        self._journal = journal
        self._lanes = lanes
        self._settings = settings
        self._on: bool | None = None  # None: it is not known yet what there is
        self._heard = 0  # the last event that was heard
        self._again: dict[int, float] = {}  # fileset -> when (s) it is tried again
        self._refused: set[str] = set()  # directories that the log names as closed to us
        self._lock = threading.Lock()
        self._at_it: dict[int, _At] = {}  # filesets that a lane is at

    def look(self, now: float) -> None:
        """Hands out what is to be written or removed `now` (s).  Raises JournalError."""
        on = _wanted(self._settings())
        if on is not self._on:
            self._begin(on)
            self._on = on
        if on:
            while events := self._journal.events_after(self._heard, _SOME):
                self._heard = events[-1].id
                for fileset in {one.fileset for one in events}:
                    self._hand_out(fileset)
        for fileset, at in list(self._again.items()):
            if not 0 < at - now <= _AGAIN_S:
                del self._again[fileset]
                self._hand_out(fileset)

    def _begin(self, on: bool) -> None:
        """All failed filesets that have no note, and all notes: something may have changed."""
        self._heard = self._journal.last_event()
        filesets = {int(key[len(_KEY) :]) for key in self._journal.notes(_KEY)}
        if on:
            filesets.update(one.id for one in self._journal.select(State.FAILED))
        for fileset in sorted(filesets):
            self._hand_out(fileset)

    def _hand_out(self, fileset: int) -> None:
        """To the lane in which something is to be removed or written; one at a time is at it.

        Else a lane whose disk hangs would go on later with what it knew before, and another one
        would have written a note meanwhile.
        """
        at = _At()
        with self._lock:
            before = self._at_it.setdefault(fileset, at)
            before.again = before is not at
        if before is not at:
            return
        try:
            known = self._journal.noted(f"{_KEY}{fileset}")
            found = self._journal.get(fileset)
        except FsError:
            self._again[fileset] = self._journal.now() + _AGAIN_S
            self._done(fileset, at, again=False)
            raise
        if not known and (found is None or found.state is not State.FAILED):
            self._done(fileset, at)
            return
        root = json.loads(known)[0] if known else found.root if found is not None else ""
        job = partial(self._settle, fileset, root, at)
        self._lanes.do(root, job, beside="notes", lost=partial(self._lost, fileset, at))

    def _done(self, fileset: int, at: _At, *, again: bool = True) -> None:
        """This lane is not at it any more."""
        with self._lock:
            if self._at_it.get(fileset) is not at:
                return
            del self._at_it[fileset]
        if again and at.again:
            self._hand_out(fileset)

    def _lost(self, fileset: int, at: _At) -> None:
        """A call of its lane never comes back."""
        self._again[fileset] = self._journal.now() + _AGAIN_S
        self._done(fileset, at)

    def _settle(self, fileset: int, root: str, at: _At) -> None:
        """Writes or removes the note of one fileset.  Runs in the lane of `root`."""
        try:
            if self._do(fileset, root, at):
                at.again = True
        except (RootAway, OSError) as error:
            if isinstance(error, OSError) and error.errno in _MAY_NOT:
                self._tell_refused(fileset, str(error.strerror))
                return
            log.debug("fileset %d: its note: %s", fileset, error)
            self._again[fileset] = self._journal.now() + _AGAIN_S
        except ImportRefused as error:
            self._tell_refused(fileset, str(error))
        except FsError as error:
            log.warning("fileset %d: its note: %s", fileset, error)
            self._again[fileset] = self._journal.now() + _AGAIN_S
        finally:
            self._done(fileset, at)

    def _note(self, fileset: int, at: _At, value: str) -> None:
        """Keeps in the journal where its note is."""
        self._still(fileset, at)
        self._journal.note(f"{_KEY}{fileset}", value)

    def _still(self, fileset: int, at: _At) -> None:
        """Raises JournalError if this lane was given up while its disk hung."""
        with self._lock:
            mine = self._at_it.get(fileset) is at
        if not mine:
            raise JournalError("its disk answers again, and another lane is at it by now")

    def _do(self, fileset: int, root: str, at: _At) -> bool:
        """What is to be done in `root`.  Returns whether another lane has the rest to do."""
        settings, known = self._settings(), self._journal.noted(f"{_KEY}{fileset}")
        former = tuple(json.loads(known)) if known else None
        if former is not None and former[0] != root:
            return True
        seen = self._failed(fileset, settings)
        here = seen is not None and seen.root == root and stat_of(root, seen.path) is not None
        wanted = (root, beside(seen.path)) if seen is not None and here else None
        if former is not None and former != wanted:
            remove(*former)
            self._note(fileset, at, "")
        if seen is not None and wanted is not None:
            # Before it is there: after a kill it is found again, and removed in the end.
            self._note(fileset, at, json.dumps(wanted))
            write(*wanted, words(seen, settings, self._journal.now()))
            try:
                self._still(fileset, at)
            except JournalError:
                remove(*wanted)  # nobody knows of it any more; if it is wanted, it comes again
                raise
        return seen is not None and seen.root != root

    def _failed(self, fileset: int, settings: Settings) -> Seen | None:
        """The fileset, if it has failed and such filesets are to have notes."""
        if not _wanted(settings):
            return None
        with glance(settings.journal_url) as look:
            found = look.load([fileset]) if look is not None else []
        return found[0] if found and found[0].state is State.FAILED else None

    def _tell_refused(self, fileset: int, why: str) -> None:
        found = self._journal.get(fileset)
        root = found.root if found is not None else ""
        if root not in self._refused:
            self._refused.add(root)
            log.warning("%s: the server cannot write notes there: %s", root, why)


def _wanted(settings: Settings) -> bool:
    return settings.notes == "on" and settings.quarantine is None


def beside(path: str) -> str:
    """The path of the note of the file or the store at `path`: beside a store, never in it."""
    above, _, name = directory_of(path).rpartition("/")
    short = os.fsencode(name)[: _LONGEST - len(NOTE)].decode("utf-8", "ignore")
    return f"{above}/{short}{NOTE}"


def words(seen: Seen, settings: Settings, now: float) -> str:
    """The text of a note.  `now`: s since the epoch."""
    stands = standing(seen, settings, now)
    names = [printable(PurePosixPath(path).name) for path in seen.files[:10]] or [
        printable(PurePosixPath(seen.path).name)
    ]
    more = len(seen.files) - len(names)
    of = ", ".join(names) + (f" and {more:,} more" if more > 0 else "")
    paragraphs = [
        f"{_FIRST}: {of}",
        f"Why: {printable(without_paths(stands.what, seen.files, seen.root)) or 'not known'}",
        "What to do: put a whole copy of the file in its place, or add what it lacks; then it is "
        "imported again. If you do not need it in OMERO, delete it.",
        f"For the admin: {stands.remedy}",
        "This text goes by itself when the file is imported.",
    ]
    return (
        "\n\n".join(textwrap.fill(one, _WIDTH, break_long_words=False) for one in paragraphs) + "\n"
    )


def write(root: str, path: str, text: str) -> None:
    """Writes the note.  Leaves a file of that name alone that is not ours.

    Raises OSError, and ImportRefused if a link leads there.
    """
    directory = open_directory(root, path)
    name = PurePosixPath(path).name
    try:
        with CALLS.at(root):
            if _is_ours(name, directory):
                os.unlink(name, dir_fd=directory)
            try:
                descriptor = os.open(name, _NEW, 0o644, dir_fd=directory)
            except FileExistsError:
                return  # somebody's own
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode("utf-8", "replace"))
    finally:
        os.close(directory)


def remove(root: str, path: str) -> None:
    """Removes the note, if it is there and ours.  Raises as `write` does."""
    try:
        directory = open_directory(root, path)
    except FileNotFoundError:
        return
    name = PurePosixPath(path).name
    try:
        with CALLS.at(root):
            if _is_ours(name, directory):
                os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)


def _is_ours(name: str, directory: int) -> bool:
    """Whether it is a note; an empty one was cut short by a kill or a full disk."""
    try:
        descriptor = os.open(name, _READ, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.EACCES, errno.ENXIO):
            return False
        raise
    try:
        found = os.fstat(descriptor)
        if not stat_module.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return False
        begins = os.pread(descriptor, len(_FIRST), 0)
        return _FIRST.encode().startswith(begins)
    finally:
        os.close(descriptor)
