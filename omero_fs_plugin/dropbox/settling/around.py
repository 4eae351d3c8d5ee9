"""Looks on disk at the files that a grouper's answer names besides those of its lot.

No lock is held meanwhile: a share may hang.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from omero_fs_plugin.accounts import NoAnswer
from omero_fs_plugin.config.settings import is_by_owner
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.places import whose
from omero_fs_plugin.events import FileStat

from .lots import Lot
from .outside import Outside


@dataclass(frozen=True)
class Around:
    """What was looked up for an answer before the lock was taken."""

    # Files beside the lot, without those that are at rest as they are; None: not there
    stats: Mapping[str, FileStat | None] = field(default_factory=dict)
    away: Mapping[str, str] = field(default_factory=dict)  # path -> why it cannot be looked at
    advice: Mapping[str, str] = field(default_factory=dict)  # directory -> what is wrong there
    changed: tuple[Found, ...] = ()  # files of the lot that changed while they were read
    gone: tuple[str, ...] = ()  # files of the lot that are no longer there
    # Where their owners say whose files are: path -> the account; empty: nobody's
    owners: Mapping[str, str] = field(default_factory=dict)

    @property
    def met(self) -> list[Found]:
        """The files beside the lot that are there, and of which something may be news."""
        return [Found(path, stat) for path, stat in self.stats.items() if stat is not None]


def look_around(
    lot: Lot,
    grouping: Grouping,
    outside: Outside,
    rested: Callable[[str], FileStat | None] = lambda path: None,
) -> Around:
    """Looks at whatever the answer may turn on.  Raises RootAway.

    `rested` gives a file at rest as it came to rest.
    """
    stats: dict[str, FileStat | None] = {}
    away: dict[str, str] = {}
    advice: dict[str, str] = {}
    owners: dict[str, str] = {}
    for candidate in grouping.candidates:
        if candidate.refused or not candidate.complete:
            continue
        for path in candidate.files:
            if path not in lot.stats and path not in stats and path not in away:
                _look(path, outside, stats, away)
                if FileStat.untouched(rested(path), stats.get(path)):
                    del stats[path]  # of a large set these are nearly all
        if is_by_owner(lot.rule):
            for path in candidate.files:
                _look_whose(path, outside, owners, away)
        directory = candidate.files[0].rpartition("/")[0]
        if directory not in advice:
            advice[directory] = outside.advice(lot.root, directory)
    unread: dict[str, FileStat | None] = {}
    for path in grouping.unreadable:
        _look(path, outside, unread, {})
    changed = [Found(path, stat) for path, stat in unread.items() if stat is not None]
    changed = [met for met in changed if met.stat != lot.stats.get(met.path)]
    gone = [path for path, stat in unread.items() if stat is None]
    return Around(stats, away, advice, tuple(changed), tuple(gone), owners)


def _look_whose(path: str, outside: Outside, owners: dict[str, str], away: dict[str, str]) -> None:
    """Anew, also for files of the lot: no event tells that a file was given to another account."""
    looked: dict[str, FileStat | None] = {}
    if path in owners or path in away:
        return
    _look(path, outside, looked, away)
    stat = looked.get(path)
    if stat is not None:
        try:
            owners[path] = whose(stat)[0]
        except NoAnswer as error:
            away[path] = f"belongs to nobody knows whom: {error.strerror}"


def _look(
    path: str, outside: Outside, stats: dict[str, FileStat | None], away: dict[str, str]
) -> None:
    try:
        stats[path] = outside.stat(path)
    except RootAway:
        raise
    except OSError as error:
        away[path] = f"cannot be looked at: {error.strerror}"
