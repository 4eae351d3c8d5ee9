"""The journal: whether it can be opened, and whether this release knows its version."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omero_fs_plugin import filesystems
from omero_fs_plugin.errors import ConfigurationError, FsError, JournalError
from omero_fs_plugin.names import several

from . import FAILED, STUCK, Level, Line, Subject, error, ok, warning
from .directories import existing

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.states import State

ABOUT = "journal"


def opens(subject: Subject) -> Iterator[Line]:
    """Opens the journal for reading, as `omero fs status` does.

    SQLAlchemy is loaded only for what is wrong, and for a password that must not be shown: it
    takes half of the time of `omero fs check`.
    """
    from omero_fs_plugin.dropbox.journal.file import sqlite_file
    from omero_fs_plugin.dropbox.journal.glance import VERSION, glance
    from omero_fs_plugin.dropbox.journal.seen import Asked

    url = subject.settings.journal_url
    file = sqlite_file(url)
    if file is not None and not file.exists():
        there = existing(file.parent)
        if there == file.parent and os.access(there, os.W_OK | os.X_OK):
            yield ok(ABOUT, f"{file} is made when DropBox starts")
        else:
            remedy = f"make {file.parent} writable for the user that OMERO.server runs as"
            yield error(ABOUT, f"{file} is not there and cannot be made", remedy)
        return
    try:
        where = _shown(url)
        with glance(url) as look:
            counts = {} if look is None else look.counts(Asked())
            held = 0 if look is None else look.held(Asked())
    except (JournalError, ConfigurationError) as wrong:
        yield _wrong(wrong)
        return
    if file is not None:
        yield from _of_file(file)
    yield from _trouble(counts, held)
    yield ok(ABOUT, f"{where}, version {VERSION}, {sum(counts.values())} filesets")


def _shown(url: str) -> str:
    """The place of the journal, without a password.  Raises ConfigurationError."""
    from omero_fs_plugin.dropbox.journal.file import sqlite_file

    file = sqlite_file(url)
    if file is not None:
        return str(file)
    from omero_fs_plugin.dropbox.journal.database import shown

    return shown(url)


def _wrong(why: FsError) -> Line:
    from omero_fs_plugin.dropbox.journal.database import NotYet

    if isinstance(why, NotYet):
        return warning(ABOUT, str(why), "`omero admin start`, or `omero admin restart`")
    return error(ABOUT, str(why), "see the README on the journal, or omero.fs.journal")


def _of_file(file: Path) -> Iterator[Line]:
    """What is wrong with the place of a journal that can be read."""
    if not os.access(file, os.W_OK):
        remedy = f"give it to the user that OMERO.server runs as: {file}"
        yield error(ABOUT, f"{file} cannot be written to", remedy)
    if share := filesystems.shared(str(file.parent)):
        yield warning(
            ABOUT,
            f"{file} is on a network file system ({share}), where it is slower",
            "set omero.fs.journal to a place on a local disk, or a PostgreSQL",
        )


def _trouble(counts: Mapping[State, int], held: int) -> Iterator[Line]:
    """Filesets that need somebody."""
    failed = sum(number for state, number in counts.items() if state == "failed")
    if failed:
        remedy = "`omero fs status --state failed`; `omero fs import --retry`, or `omero fs forget`"
        yield Line(
            Level.WARNING,
            "filesets",
            several(failed, "fileset", "has failed", "have failed"),
            remedy,
            FAILED,
        )
    if held:
        verb = "is held up: it waits" if held == 1 else "are held up: they wait"
        what = f"{several(held, 'fileset')} {verb} for a file or for something to be mended"
        yield Line(Level.WARNING, "filesets", what, "`omero fs status` says for what", STUCK)
