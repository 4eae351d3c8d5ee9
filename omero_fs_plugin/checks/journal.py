"""The journal: whether it can be opened, and whether this release knows its version."""

from __future__ import annotations

import os
from collections.abc import Iterator

from omero_fs_plugin.errors import ConfigurationError, JournalError

from . import FAILED, STUCK, Level, Line, Subject, error, ok, warning
from .directories import existing

ABOUT = "journal"


def opens(subject: Subject) -> Iterator[Line]:
    """Opens the journal for reading, as `omero fs status` does."""
    from omero_fs_plugin.dropbox.journal import schema
    from omero_fs_plugin.dropbox.journal.database import NotYet, sqlite_file
    from omero_fs_plugin.dropbox.journal.journal import Journal

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
        journal = Journal(url, read_only=True, who="omero fs check")
        try:
            counts = journal.counts()
        finally:
            journal.close()
    except NotYet as later:
        yield warning(ABOUT, str(later), "omero admin start, or omero admin restart")
        return
    except (JournalError, ConfigurationError) as wrong:
        yield error(ABOUT, str(wrong), "see the README on the journal, or omero.fs.journal")
        return
    if file is not None and not os.access(file, os.W_OK):
        remedy = f"chown it to the user that OMERO.server runs as: {file}"
        yield error(ABOUT, f"{file} cannot be written to", remedy)
    if journal.share:
        yield warning(
            ABOUT,
            f"{journal.shown} is on a network file system ({journal.share}), where it is slower",
            "omero config set omero.fs.journal to a place on a local disk, or a PostgreSQL",
        )
    yield from _trouble(url)
    number = sum(counts.values())
    yield ok(ABOUT, f"{journal.shown}, version {schema.VERSION}, {number} filesets")


def _trouble(url: str) -> Iterator[Line]:
    """Filesets that need somebody."""
    from omero_fs_plugin.dropbox.journal.glance import glance
    from omero_fs_plugin.dropbox.journal.seen import Asked
    from omero_fs_plugin.dropbox.journal.states import State

    with glance(url) as look:
        failed = look.counts(Asked())[State.FAILED] if look is not None else 0
        held = look.held(Asked()) if look is not None else 0
    if failed:
        remedy = "omero fs status --state failed; omero fs import --retry, or omero fs forget"
        yield Line(Level.WARNING, "filesets", f"{failed} have failed", remedy, FAILED)
    if held:
        what = f"{held} are held up: they wait for a file or for something to be mended"
        yield Line(Level.WARNING, "filesets", what, "omero fs status says for what", STUCK)
