"""Looks on disk at the files that a grouper's answer names besides those of its lot.

No lock is held meanwhile: a share may hang.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat

from .lots import Lot
from .outside import Outside


@dataclass(frozen=True)
class Around:
    """What was looked up for an answer before the lock was taken."""

    stats: Mapping[str, FileStat | None] = field(default_factory=dict)  # None: not there
    away: Mapping[str, str] = field(default_factory=dict)  # path -> why it cannot be looked at
    advice: Mapping[str, str] = field(default_factory=dict)  # directory -> what is wrong there
    changed: tuple[Found, ...] = ()  # files of the lot that changed while they were read
    gone: tuple[str, ...] = ()  # files of the lot that are no longer there

    @property
    def met(self) -> list[Found]:
        """The files beside the lot that are there."""
        return [Found(path, stat) for path, stat in self.stats.items() if stat is not None]


def look_around(lot: Lot, grouping: Grouping, outside: Outside) -> Around:
    """Looks at whatever the answer may turn on.  Raises RootAway."""
    stats: dict[str, FileStat | None] = {}
    away: dict[str, str] = {}
    advice: dict[str, str] = {}
    for candidate in grouping.candidates:
        if candidate.refused or not candidate.complete:
            continue
        for path in candidate.files:
            if path not in lot.stats and path not in stats and path not in away:
                _look(path, outside, stats, away)
        directory = candidate.files[0].rpartition("/")[0]
        if directory not in advice:
            advice[directory] = outside.advice(lot.root, directory)
    unread: dict[str, FileStat | None] = {}
    for path in grouping.unreadable:
        _look(path, outside, unread, {})
    changed = [Found(path, stat) for path, stat in unread.items() if stat is not None]
    changed = [met for met in changed if met.stat != lot.stats.get(met.path)]
    gone = [path for path, stat in unread.items() if stat is None]
    return Around(stats, away, advice, tuple(changed), tuple(gone))


def _look(
    path: str, outside: Outside, stats: dict[str, FileStat | None], away: dict[str, str]
) -> None:
    try:
        stats[path] = outside.stat(path)
    except RootAway:
        raise
    except OSError as error:
        away[path] = f"cannot be looked at: {error.strerror}"
