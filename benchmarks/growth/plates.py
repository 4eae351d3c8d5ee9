"""A plate of plain files, as DropBox has it: met, at rest, grouped by a process, and queued."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.filesets.large import plate
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.grouping.confined import Confined
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.settling.groupers import group_whole
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.events import regular_stat

LAST = "w62/t0000.tif"  # a file of each plate
QUIET = 1.0  # s
_LOOK = 0.01  # s, between two lots: before what waits is asked about again
_HEARD = 1_000  # files in one word of FSServer


class Plate:
    """A pipeline over real files, its grouper, and its clock."""

    def __init__(self, directory: Path, number: int, after: ExitStack) -> None:
        """Writes about `number` files.  `after` closes what was opened."""
        watched = directory / "DropBox"
        self._top = watched / "amy" / "plate"
        _, self.number = plate(self._top, number)
        self.journal = Journal(f"sqlite:///{directory}/journal.sqlite")
        after.callback(self.journal.close)
        self._grouper = after.enter_context(Confined(roots=lambda: (str(watched),)))
        self._grouper.ready()
        settings = read(
            {
                "omero.data.dir": "/nowhere",
                "omero.fs.watchDir": str(watched),
                "omero.fs.dirImportWait": str(QUIET),
            }
        )
        outside = Outside(stat=regular_stat, is_user="amy".__eq__)
        self._pipeline = Pipeline(self.journal, Places(settings.rules), Settler(QUIET), outside)

    def lack(self, name: str) -> None:
        """One of its files does not come."""
        (self._top / name).unlink()

    def queue(self) -> int:
        """All of it; gives the number of files of the set."""
        self._group()
        taken = self.journal.take("amy")
        return 0 if taken is None else len(taken.files)

    def wait(self) -> int:
        """All but what it lacks; gives the number of files that wait, and have waited."""
        self._group()
        self._pipeline.expire(60.0, 86_400.0)
        return self.journal.counts()[State.WAITING]

    def _group(self) -> None:
        now, some = 0.0, list[str]()
        for path in self._paths():
            some.append(path)
            if len(some) == _HEARD:
                self._pipeline.heard(some, now)
                some.clear()
        self._pipeline.heard(some, now)
        now += QUIET
        while self._pipeline.step(now):
            pass
        while (lot := self._pipeline.next_lot(now)) is not None:
            grouping = group_whole(self._grouper, lot.root, lot.files, None)
            self._pipeline.grouped(lot, grouping, now, 0.0)
            now += _LOOK

    def _paths(self) -> Iterator[str]:
        for directory, _, names in os.walk(self._top):
            for name in names:
                yield f"{directory}/{name}"
