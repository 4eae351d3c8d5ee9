"""Goes through all parts of an audit, each from where it was broken off."""

from __future__ import annotations

import os

from omero_fs_plugin.dropbox.disks.calls import Call
from omero_fs_plugin.dropbox.journal.glance import glance

from . import directories, filesets, ghosts, quarantine, strays
from .means import Means

PARTS = (filesets.PART, ghosts.PART, strays.PART, directories.PART, quarantine.PART)


def audit(means: Means) -> None:
    """All of it.  Raises ServerAwayError and JournalError: the record says how far it came."""
    repository = str(means.settings.managed_dir)
    wanted = [part for part in PARTS if not means.record.done(part)]
    if not _is_here(means, repository):
        repository = ""
    for part in wanted:
        if part == filesets.PART:
            filesets.look_at_filesets(means, repository)
        elif part == ghosts.PART:
            ghosts.look_for_ghosts(means)
        elif part == strays.PART:
            strays.look_for_strays(means)
        elif part == quarantine.PART:
            quarantine.look_for_left_behind(means)
        elif repository:
            directories.look_for_directories(means, repository)
    means.record.end()


def _is_here(means: Means, repository: str) -> bool:
    """Whether OMERO's files can be looked at from here.  If not, the record has it."""

    def why(call: Call) -> str:
        try:
            with os.scandir(repository) as entries:
                return "" if next(entries, None) is not None else _EMPTY
        except FileNotFoundError:
            return f"there is no such directory on this machine: {_WHERE}"
        except OSError as error:
            return f"cannot be listed: {error.strerror}: {_WHERE}"

    told = means.look(repository, why)
    if told is None or (told == _EMPTY and not _imported(means)):
        return False
    if told:
        means.not_seen(repository, told)
    return not told


_WHERE = "run the audit where OMERO.server keeps its files, as the user that it runs as"
_EMPTY = f"it is empty here: is its disk mounted? Otherwise {_WHERE}"


def _imported(means: Means) -> bool:
    with glance(means.settings.journal_url) as look:
        return look is not None and bool(look.imported_after(0, 1))
