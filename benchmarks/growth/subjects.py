"""What grows, each as one function: it prepares, and gives what is measured.

The files are on a disk in memory, but for FSServer's, and the journal is SQLite on a real one.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.known import all_imported
from benchmarks.journal.scenarios import HOME, WATCHED, Stage
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.confine.roots import Roots
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.importing.line import Line
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.filters import Filter
from omero_fs_plugin.monitor.kernel.observers import Observing
from omero_fs_plugin.monitor.tracking.tracker import Tracker

from .plates import LAST, Plate

Work = Callable[[], int]  # what is measured; gives how many it has done
After = ExitStack  # what is closed when nothing is measured any more

IN_A_DIRECTORY = 1_000  # files
FILES_OF_A_RULE = 20  # each in a directory of its own


def known(directory: Path, number: int, after: After) -> Work:
    """A start on a journal in which all files are imported, and a rescan that asks for each.

    As a rescan does, it has the files of one directory at a time.
    """
    file = directory / "journal.sqlite"
    # Not here: memory that is freed again before the measuring would hide what the work takes.
    process = multiprocessing.get_context("spawn").Process(target=_all_known, args=(file, number))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise BenchmarkError(f"the journal of {number:,} known files was not made")

    def work() -> int:
        opened = Journal(f"sqlite:///{file}")
        try:
            opened.counts()
            return sum(
                state is State.IMPORTED
                for at in range(0, number, IN_A_DIRECTORY)
                for state in opened.known(_found(at, min(at + IN_A_DIRECTORY, number))).values()
            )
        finally:
            opened.close()

    return work


def _all_known(file: Path, number: int) -> None:
    journal = Journal(f"sqlite:///{file}")
    try:
        journal.wait("amy", HOME, _found(0, number))
    finally:
        journal.close()
    all_imported(file)


def _found(first: int, end: int) -> list[Found]:
    return [
        Found(f"{HOME}/{n // IN_A_DIRECTORY:03}/{n:06}.tif", FileStat(1, n + 1, 1, n, n))
        for n in range(first, end)
    ]


def waiting(directory: Path, number: int, after: After, files: int = IN_A_DIRECTORY) -> Work:
    """Files that come at once, rest, and wait, each for an answer that only Bio-Formats has."""
    stage = Stage(directory)
    after.callback(stage.journal.close)
    paths = [f"{HOME}/{n // files:05}/{n:06}.tif" for n in range(number)]

    def held(lot: tuple[str, ...]) -> Grouping:
        return Grouping(tuple(Candidate((path,), held="waits for Bio-Formats") for path in lot))

    def work() -> int:
        stage.drop(*paths)
        stage.ask(held)
        return stage.journal.counts()[State.WAITING]

    return work


def directories(directory: Path, number: int, after: After) -> Work:
    """As `waiting`, each file in a directory of its own."""
    return waiting(directory, number, after, files=1)


def parts(directory: Path, number: int, after: After) -> Work:
    """One set of so many files, from their coming until it is in the queue."""
    stage = Stage(directory)
    after.callback(stage.journal.close)
    paths = [f"{HOME}/set/{n:06}.tif" for n in range(number)]

    def work() -> int:
        stage.drop(*paths)
        stage.ask(lambda lot: Grouping((Candidate(lot),)))
        taken = stage.journal.take("amy")
        return 0 if taken is None else len(taken.files)

    return work


def plates(directory: Path, number: int, after: After) -> Work:
    """A plate of real files, from their coming until it is in the queue."""
    one = Plate(directory, number, after)

    def work() -> int:
        queued = one.queue()
        return number if queued == one.number else queued  # it has a few more than `number`

    return work


def incomplete(directory: Path, number: int, after: After) -> Work:
    """As `plates`, but one file never comes, and all others wait for it."""
    one = Plate(directory, number, after)
    one.lack(LAST)

    def work() -> int:
        waits = one.wait()
        return number if waits == one.number - 1 else waits

    return work


def users(directory: Path, number: int, after: After) -> Work:
    """Users with a fileset in the queue: an import of each begins, in turn."""
    journal = Journal(f"sqlite:///{directory}/journal.sqlite")
    after.callback(journal.close)
    for n in range(number):
        root = f"{WATCHED}/user-{n:05}"
        found = Found(f"{root}/image.tif", FileStat(1, n + 1, 1, n, n))
        journal.wait(f"user-{n:05}", root, [found])
        journal.settled({journal.open_at([found.path])[found.path].id: found.stat})

    line = Line(journal.queued_users)

    def work() -> int:
        begun = 0
        served: dict[str, int] = {}
        while queued := line.users(time.monotonic())[0] or line.as_now(time.monotonic()):
            user = min(queued, key=lambda name: served.get(name, 0))  # as importers give turns
            begun += journal.take(user) is not None
            served[user] = begun
        return begun

    return work


def rules(directory: Path, number: int, after: After) -> Work:
    """Entries of omero.fs.importUsers: they are read, and files below each find their own."""
    names = [f"user-{n:05}" for n in range(number)]
    given = {
        "omero.data.dir": str(directory),
        "omero.fs.importUsers": ";".join(names),
        "omero.fs.watchDir": ";".join(f"{WATCHED}/{name}" for name in names),
    }

    def work() -> int:
        places = Places(read(given).rules)
        right = 0
        for name in names:
            for n in range(FILES_OF_A_RULE):
                place = places.place(f"{WATCHED}/{name}/{n}/image.tif")
                right += place is not None and place.user == name
        return right // FILES_OF_A_RULE

    return work


def roots(directory: Path, number: int, after: After) -> Work:
    """The directories of so many rules: each is taken, and none may be one with another."""
    paths = [f"{directory}/user-{n:05}" for n in range(number)]
    for path in paths:
        Path(path).mkdir()

    def work() -> int:
        taken = Roots()
        taken.apply(paths, {})
        for path in paths:
            taken.look(path)
        return sum(taken.real(path) is not None for path in paths)

    return work


def watched(directory: Path, number: int, after: After) -> Work:
    """FSServer's start on so many directories directly in the watched one, each with a file."""
    place = directory / "watched"
    for n in range(number):
        below = place / f"user-{n:05}"
        below.mkdir(parents=True)
        (below / "image.tif").touch()
    root = os.fsencode(place)

    def work() -> int:
        observer = Observing().open(root, lambda: None)
        tracker = Tracker(root, tell=lambda tell: None, passes=Filter(root))
        tracker.open(observer, time.monotonic(), known=False)
        try:
            while tracker.scanning:
                now = time.monotonic()
                if not tracker.scan_own(now):
                    tracker.step(now)
            return sum(len(one.files) for one in tracker.root.tree())
        finally:
            tracker.close()
            observer.close()

    return work


@dataclass(frozen=True)
class Subject:
    """What grows, in words, and its three sizes, each twice the one before."""

    text: str
    prepare: Callable[[Path, int, After], Work]
    sizes: tuple[int, int, int]
    most: float | None = None  # bytes of memory for each, as the target; None: not told


SUBJECTS = {
    "known": Subject("files known", known, (25_000, 50_000, 100_000)),
    "waiting": Subject("filesets waiting", waiting, (5_000, 10_000, 20_000)),
    "users": Subject("users with a fileset in the queue", users, (500, 1_000, 2_000)),
    "rules": Subject("rules", rules, (2_500, 5_000, 10_000)),
    "roots": Subject("directories of rules taken", roots, (2_500, 5_000, 10_000)),
    "parts": Subject("parts of a set", parts, (15_000, 30_000, 60_000)),
    "plate": Subject("files of a plate, on a disk", plates, (5_000, 10_000, 20_000), most=1024),
    "incomplete": Subject(
        "files of a plate that wait for one", incomplete, (5_000, 10_000, 20_000), most=1024
    ),
    "directories": Subject("directories waiting", directories, (5_000, 10_000, 20_000)),
    "watched": Subject("directories in the watched one", watched, (5_000, 10_000, 20_000)),
}
