"""Sets that stay incomplete for too long: they fail, each as one fileset.

Pure, except for the journal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from omero_fs_plugin.dropbox.grouping.filesets import Candidate
from omero_fs_plugin.dropbox.journal.records import PART, Fileset, chunks
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat

from .forming import Lock
from .lots import Lots

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal


class _Waiting:
    """Filesets that wait for the same, without what the journal has of each."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.ids: set[int] = set()
        self.shortest = math.inf  # s that one of them has waited, at least

    def add(self, path: str, fileset: Fileset) -> None:
        self.paths.append(path)
        self.ids.add(fileset.id)
        self.shortest = min(self.shortest, fileset.waited)


def overdue(
    journal: Journal, waiting: Mapping[str, Candidate], passed: float, timeout: float
) -> Iterator[tuple[list[Fileset], Candidate]]:
    """Sets that were incomplete for `timeout` s; `passed` s of them have just gone by.

    `waiting`: the files that wait, see `Lots.incomplete`.  No lock is needed here.

    The parts of a set wait for the same file.  They fail together, when the last of them has
    waited so long.  Time counts only while DropBox could see the missing file come: not when
    somebody sets the clock, suspends the machine or stops DropBox.
    """
    sets: dict[tuple[str, str, str], _Waiting] = {}
    for some in chunks(list(waiting), PART):
        for path, fileset in journal.open_at(some).items():
            if fileset.state is State.WAITING and fileset.reason:
                key = fileset.user, fileset.reason, waiting[path].files[0]
                sets.setdefault(key, _Waiting()).add(path, fileset)
    longer: list[int] = []
    for (_, reason, _), one in sets.items():
        if one.shortest + passed < timeout:
            longer += one.ids
            continue
        parts = (journal.open_at(some) for some in chunks(one.paths, PART))
        filesets = [
            fileset
            for part in parts
            for fileset in part.values()
            if fileset.id in one.ids and fileset.state is State.WAITING and fileset.reason == reason
        ]
        if filesets:
            yield filesets, waiting[filesets[0].path]
    if longer:
        journal.waited(longer, passed)


def give_up(
    journal: Journal, lots: Lots, filesets: list[Fileset], lacks: Candidate, lock: Lock
) -> int | None:
    """Fails the parts of one set as one fileset, if none of them has changed by then.

    Gives that fileset; None: one of them has.  Takes the lock itself, for the last part.
    """
    with lock:
        if not all(lots.lacks(one.path) for one in filesets):
            return None  # one rests anew, and nobody has looked what its set lacks now
        stats = {one.path: lots.stat_of(one.path) for one in filesets}

    def sure() -> bool:
        return all(
            FileStat.untouched(stat, lots.stat_of(path)) and lots.lacks(path)
            for path, stat in stats.items()
        )

    order = {path: position for position, path in enumerate(lacks.files)}
    filesets.sort(key=lambda one: order.get(one.path, len(order)))
    reason = filesets[0].reason
    ids = [fileset.id for fileset in filesets]
    failed = journal.give_up(ids, reason, lacks.missing, lock=lock, sure=sure)
    if failed is None:
        return None  # one of them stirs: it is asked about again
    with lock:
        for path, stat in stats.items():
            if FileStat.untouched(stat, lots.stat_of(path)):
                lots.remove(path)
    return failed
