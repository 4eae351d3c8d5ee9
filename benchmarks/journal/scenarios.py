"""The pipeline over a disk in memory and a journal on a real one: seconds, at three sizes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dropbox.scenarios import Figure, Outcome
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.events import FileStat

WATCHED = "/dropbox"
HOME = f"{WATCHED}/amy"
QUIET = 10.0  # s, of a clock that the benchmark sets


class Stage:
    """A pipeline, its disk and its clock."""

    def __init__(self, directory: Path) -> None:
        self.files: dict[str, FileStat] = {}
        self.now = 0.0
        self.journal = Journal(f"sqlite:///{directory}/journal.sqlite")
        outside = Outside(stat=self.files.get, is_user="amy".__eq__)
        places = Places(_settings().rules)
        self.pipeline = Pipeline(self.journal, places, Settler(QUIET), outside)

    def drop(self, *paths: str) -> None:
        """Writes the files, reports them to the pipeline, and lets them come to rest."""
        for path in paths:
            number = len(self.files) + 1
            self.files[path] = FileStat(1, number, 1, number, number)
        self.pipeline.heard(paths, self.now)
        self.now += QUIET
        while self.pipeline.step(self.now):
            pass

    def ask(self, group: Callable[[tuple[str, ...]], Grouping]) -> None:
        """Gives each lot that is due its answer."""
        while (lot := self.pipeline.next_lot(self.now)) is not None:
            self.pipeline.grouped(lot, group(lot.files), self.now, 0.0)


def _settings() -> Settings:
    return read(
        {
            "omero.data.dir": "/nowhere",
            "omero.fs.watchDir": WATCHED,
            "omero.fs.dirImportWait": str(QUIET),
        }
    )


def _held(files: tuple[str, ...]) -> Grouping:
    """Each file waits for an answer that only Bio-Formats can give."""
    return Grouping(tuple(Candidate((path,), held="waits for Bio-Formats") for path in files))


def parts_one_by_one(stage: Stage, number: int) -> float:
    """A set whose files come one by one; the last never does."""
    paths = [f"{HOME}/set/{n:05}.tif" for n in range(number + 1)]
    began = time.perf_counter()
    for there in range(1, number + 1):
        stage.drop(paths[there - 1])
        stage.now += 1.0
        incomplete = Candidate(tuple(paths[:there]), missing=tuple(paths[there:]))
        stage.ask(lambda files, one=incomplete: Grouping((one,)))  # type: ignore[misc]
    return time.perf_counter() - began


def waiting_directories(stage: Stage, number: int) -> float:
    """This many directories, each with a file that waits."""
    paths = [f"{HOME}/{n:05}/image.tif" for n in range(number)]
    began = time.perf_counter()
    for path in paths:
        stage.drop(path)
    stage.ask(_held)
    stage.now += 1.0
    stage.ask(_held)
    return time.perf_counter() - began


def deleted_at_once(stage: Stage, number: int) -> float:
    """This many files that wait are deleted."""
    paths = [f"{HOME}/set/{n:05}.tif" for n in range(number)]
    stage.drop(*paths)
    stage.ask(_held)
    stage.files.clear()
    began = time.perf_counter()
    stage.pipeline.heard(paths, stage.now)
    return time.perf_counter() - began


@dataclass(frozen=True)
class Part:
    """One measurement."""

    text: str
    run: Callable[[Stage, int], float]  # gives s
    sizes: tuple[int, int, int]
    target: float  # s, of the largest size
    left: State  # in which all files are at the end


PARTS = {
    "parts": Part(
        "parts of a set, arriving one by one",
        parts_one_by_one,
        (50, 100, 200),
        30.0,
        State.WAITING,
    ),
    "directories": Part(
        "directories with a file that waits",
        waiting_directories,
        (2_000, 4_000, 8_000),
        120.0,
        State.WAITING,
    ),
    "deletion": Part(
        "waiting files deleted at once",
        deleted_at_once,
        (250, 500, 1_000),
        5.0,
        State.SKIPPED,
    ),
}


def measure(scratch: Path, part: Part, less: int) -> Outcome:
    """Each size with a journal of its own; `less` divides the sizes."""
    outcome = Outcome(part.text.capitalize())
    taken: list[float] = []
    for size in part.sizes:
        number = max(1, size // less)
        directory = scratch / f"{part.run.__name__}-{number}"
        directory.mkdir()
        stage = Stage(directory)
        try:
            taken.append(part.run(stage, number))
            counts = stage.journal.counts()
        finally:
            stage.journal.close()
        target = part.target if size == part.sizes[-1] and less == 1 else None
        outcome.figures.append(Figure(f"{number:,} {part.text}", taken[-1], "s", target))
        if counts[part.left] != number:
            outcome.faults.append(f"{counts[part.left]} of {number} files are {part.left}")
    for times, before, after in ((1, *taken[:2]), (2, *taken[1:])):
        text = f"growth from size {times} to size {times + 1}, which is twice as many"
        outcome.figures.append(Figure(text, after / before, "times"))
    return outcome
