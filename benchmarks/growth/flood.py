"""One user drops very many files at once; how long does a file of another user wait meanwhile?

In s by the clock on the wall: with the real locks, threads and turns of the pipeline, on a
journal on a real disk.  The files are on a disk in memory, and every file is a fileset of its own.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.scenarios import Figure, Outcome
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.settling.groupers import NUMBER
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.events import FileStat

WATCHED = "/dropbox"
QUIET = 0.5  # s
SIZES = (1_000, 10_000, 100_000)
MOST = 1.0  # s beyond the quiet period
PATIENCE = 900.0  # s
_HEARD = 1_000  # files in one word of FSServer
_PAUSE = 0.02  # s, of a thread that finds nothing to do
_FEWEST = 3  # files of the other user, also beside a flood that ends soon


class Flood:
    """A pipeline with the threads that DropBox has for it, and amy's flood.

    Rule: it has the threads that DropBox has: a lane for each user, in which files are met and come
    to rest, and the groupers.  zak's lane is the thread that waits.
    """

    def __init__(self, directory: Path, number: int) -> None:
        self._files: dict[str, FileStat] = {}
        self._numbers = itertools.count(1)
        self._stopping = threading.Event()
        self._flood = [f"{WATCHED}/amy/{n // 1000:03}/{n:06}.tif" for n in range(number)]
        self.journal = Journal(f"sqlite:///{directory}/journal.sqlite")
        settings = read(
            {
                "omero.data.dir": "/nowhere",
                "omero.fs.watchDir": WATCHED,
                "omero.fs.dirImportWait": str(QUIET),
            }
        )
        outside = Outside(stat=self._files.get, is_user={"amy", "zak"}.__contains__)
        self.pipeline = Pipeline(self.journal, Places(settings.rules), Settler(QUIET), outside)
        self.flooded = threading.Event()  # all of amy's files were heard of

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """The threads run, and amy's files come."""
        works = [self._lane_of_amy, *[self._group] * NUMBER]
        threads = [threading.Thread(target=work, name="flood") for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()
            self.journal.close()

    def wait_of_zak(self, number: int) -> float:
        """How long (s) a file of zak's takes until it is queued, beyond its quiet period."""
        path = f"{WATCHED}/zak/{number}.tif"
        self._write([path])
        began = time.monotonic()
        self.pipeline.heard([path], began)
        while True:
            self.pipeline.step(time.monotonic(), f"{WATCHED}/zak")
            took = time.monotonic() - began
            found = self.journal.open_at([path]).get(path)
            if found is not None and found.state is State.QUEUED:
                return took - QUIET
            if took > PATIENCE:
                raise BenchmarkError(f"zak's file is not queued after {PATIENCE:g} s")
            time.sleep(_PAUSE)

    def left(self) -> int:
        """How many of amy's files are not queued yet."""
        return len(self._flood) - self.journal.counts()[State.QUEUED]

    def _write(self, paths: list[str]) -> None:
        for path in paths:
            number = next(self._numbers)
            self._files[path] = FileStat(1, number, 1, number, number)

    def _lane_of_amy(self) -> None:
        at = 0
        while not self._stopping.is_set():
            some = self._flood[at : at + _HEARD]
            at += _HEARD
            if some:
                self._write(some)
                self.pipeline.heard(some, time.monotonic())
            else:
                self.flooded.set()
            if not self.pipeline.step(time.monotonic(), f"{WATCHED}/amy") and not some:
                time.sleep(_PAUSE)

    def _group(self) -> None:
        while not self._stopping.is_set():
            lot = self.pipeline.next_lot(time.monotonic())
            if lot is None:
                time.sleep(_PAUSE)
                continue
            grouping = Grouping(tuple(Candidate((path,), reader="any") for path in lot.files))
            self.pipeline.grouped(lot, grouping, time.monotonic(), 0.0)


def longest_wait(directory: Path, number: int) -> float:
    """The longest wait (s) of a file of zak's while `number` files of amy's come and are queued.

    Raises BenchmarkError if that does not end.
    """
    flood = Flood(directory, number)
    waits: list[float] = []
    until = time.monotonic() + PATIENCE
    with flood.under_way():
        while len(waits) < _FEWEST or not flood.flooded.is_set() or flood.left() > 0:
            waits.append(flood.wait_of_zak(len(waits)))
            if time.monotonic() > until:
                raise BenchmarkError(f"{flood.left():,} of {number:,} files are not queued yet")
    return max(waits)


def measure(scratch: Path, less: int) -> Outcome:
    """Each size; `less` divides them."""
    outcome = Outcome("What another user waits beside a flood")
    for size in SIZES:
        number = max(1, size // less)
        directory = scratch / f"flood-{number}"
        directory.mkdir()
        text = f"beyond the quiet period, while {number:,} files of one user come"
        outcome.figures.append(Figure(text, longest_wait(directory, number), "s", MOST))
    return outcome
