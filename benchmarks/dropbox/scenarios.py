"""The scenarios and their figures.  Each scenario has a grid of its own.

Those with `_in` run in a grid that is there, in which others may have run before.

Files are TIFFs of 16 by 16 pixels, no two alike and all of one size, as a
microscope writes them.
"""

from __future__ import annotations

import itertools
import statistics
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.measure import quantile

from . import history, stored
from .grid import SERVERS, Grid

SIDE = 16  # pixels
FILES_IN_DIRECTORY = 1_000
STALLED = 120.0  # s without any change of a journal that should change
LONG = "100000"  # s; a file that waits this long waits for the whole scenario


@dataclass(frozen=True)
class Figure:
    """One thing measured."""

    text: str
    value: float
    unit: str
    target: float | None = None  # None: nothing is promised
    most: bool = True  # whether the target is the most allowed; else the least
    existing: str = ""  # what is known of the existing DropBox
    spread: tuple[float, float] | None = None  # least and most, if `value` is of several runs

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        if self.target is None:
            return True
        return self.value <= self.target if self.most else self.value >= self.target


@dataclass
class Outcome:
    """One scenario's figures and remarks."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # files missing or doubled


def of_runs(runs: Sequence[Outcome]) -> Outcome:
    """What several runs of one scenario give: the median of each figure.

    One without a target is left out unless most runs have it, as a function of a profile may not.
    """
    if len(runs) == 1:
        return runs[0]
    values: dict[tuple[str, str], list[float]] = {}  # one text may have times and bytes
    for figure in itertools.chain.from_iterable(run.figures for run in runs):
        values.setdefault((figure.text, figure.unit), []).append(figure.value)
    first = {(f.text, f.unit): f for run in reversed(runs) for f in run.figures}
    figures = [
        replace(first[key], value=statistics.median(some), spread=(min(some), max(some)))
        for key, some in values.items()
        if first[key].target is not None or len(some) > len(runs) / 2
    ]
    return Outcome(runs[0].title, figures, [fault for run in runs for fault in run.faults])


_number = itertools.count()


def tiff(description: bytes = b"") -> bytes:
    """The smallest TIFF of SIDE * SIDE grey pixels.  No two of a process are equal.

    `description`, if it is given, is written into its directory.
    """
    entries = [
        (256, 3, 1, SIDE), (257, 3, 1, SIDE), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        *([(270, 2, len(description) + 1, 0)] if description else []),
        (273, 4, 1, 0), (277, 3, 1, 1), (278, 3, 1, SIDE), (279, 4, 1, SIDE * SIDE),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    content = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for tag, kind, count, value in entries:
        value = {270: start + SIDE * SIDE, 273: start}.get(tag, value)
        content += struct.pack("<HHI", tag, kind, count)
        content += struct.pack(
            "<HH" if kind == 3 else "<I", *([value, 0] if kind == 3 else [value])
        )
    pixels = struct.pack("<Q", next(_number)).ljust(SIDE * SIDE, b"\x40")
    end = description + b"\0" if description else b""
    return content + struct.pack("<I", 0) + pixels + end


def drop(path: Path) -> float:
    """Writes one file.  Returns the time of its close (s since the epoch)."""
    path.write_bytes(tiff())
    return time.time()


def drop_many(directory: Path, count: int) -> list[Path]:
    """As fast as it can, in subdirectories."""
    paths = []
    for number in range(count):
        below = directory / f"d{number // FILES_IN_DIRECTORY:03}"
        if number % FILES_IN_DIRECTORY == 0:
            below.mkdir(parents=True)
        path = below / f"image-{number:06}.tif"
        path.write_bytes(tiff())
        paths.append(path)
    return paths


@contextmanager
def running_grid(scratch: Path, **properties: float | str) -> Iterator[Grid]:
    """Runs, with these omero.fs properties."""
    with Grid(scratch, {f"omero.fs.{k}": str(v) for k, v in properties.items()}) as grid:
        grid.start()
        yield grid


def faults(outcome: Outcome, wrong: Iterable[str]) -> None:
    """Adds what `stored` found wrong."""
    outcome.faults += [f"{outcome.title}: {one}" for one in wrong]


def all_imported(grid: Grid) -> None:
    """Waits until OMERO has all that was dropped, as the journal says.  Raises BenchmarkError."""
    there = len(grid.dropped)
    grid.wait("all imported", lambda n: n.get("imported", 0) >= there, patience=STALLED)


# Each scenario ------------------------------------------------------------------


def delay(scratch: Path, count: int, quiet: float = 5.0) -> Outcome:
    """From close to the begin of the import, one file at a time."""
    with running_grid(scratch, dirImportWait=quiet) as grid:
        return delay_in(grid, count, quiet)


def delay_in(grid: Grid, count: int, quiet: float) -> Outcome:
    """As `delay`; `quiet` is the quiet period of the grid (s)."""
    pause = 0.25  # s
    outcome = Outcome(f"{count:,} files dropped one by one, quiet period {quiet:g} s")
    closed: dict[str, float] = {}
    for number in range(count):
        path = grid.home("amy") / f"image-{number:06}.tif"
        closed[str(path)] = drop(path)
        grid.dropped.append(path)
        time.sleep(pause)
    all_imported(grid)
    faults(outcome, stored.once(grid))
    late = [one - quiet for one in history.begun_after(closed, history.times(grid.journal))]
    if min(late) < 0:
        outcome.faults.append(f"{outcome.title}: one was imported {-min(late):.3f} s too early")
    text = "close to import start, beyond the quiet period, "
    outcome.figures += [
        Figure(text + "p50", quantile(late, 0.5), "s"),
        Figure(text + "p99", quantile(late, 0.99), "s", 1.0, existing="2.5 to 17"),
        Figure(text + "least (below 0: too early)", min(late), "s", 0.0, most=False),
    ]
    return outcome


def throughput(scratch: Path, count: int, importers: int) -> Outcome:
    """A mass copy by two users: imports an hour, and the CPU time of each server."""
    with running_grid(scratch, dirImportWait=1, importers=importers) as grid:
        return throughput_in(grid, count, importers)


def throughput_in(grid: Grid, count: int, importers: int) -> Outcome:
    """As `throughput`; the grid has so many importers."""
    outcome = Outcome(f"{count:,} files at once, {importers} importers")
    before = grid.cpu()
    paths = [
        path
        for user in ("amy", "zak")
        for path in drop_many(grid.home(user) / "at-once", count // 2)
    ]
    dropped = len(paths)
    grid.dropped += paths
    all_imported(grid)
    used = {name: now - before[name] for name, now in grid.cpu().items()}
    faults(outcome, stored.once(grid))
    known = history.times(grid.journal)
    rate = history.per_hour({str(path): known[str(path)] for path in paths})
    each = {name: 1000 * used[name] / dropped for name in SERVERS}
    total = sum(used.values())
    outcome.figures += [
        Figure("imports an hour", rate, "", 47_000, most=False, existing="360"),
        Figure("CPU of DropBox, a fileset", each["DropBox"], "ms", 20),
        Figure("CPU of the sandbox server, a fileset", each["Blitz-0"], "ms"),
        Figure("CPU of the router, a fileset", each["OMERO.Glacier2"], "ms"),
        Figure("CPU of FSServer, a fileset", each["FSServer"], "ms"),
        Figure("share of DropBox in the CPU of all four", 100 * used["DropBox"] / total, "%"),
    ]
    return outcome


def backlog(scratch: Path, count: int) -> Outcome:
    """Memory while nearly everything waits in the queue."""
    outcome = Outcome(f"{count:,} files in the backlog")
    stands = {"dirImportWait": LONG, "throttleImport": LONG}
    with running_grid(scratch, **stands) as grid:
        empty = grid.peak()
        paths = [path for user in ("amy", "zak") for path in drop_many(grid.home(user), count // 2)]
        dropped = len(paths)
        grid.dropped += paths

        def stand(state: str) -> int:
            # One is importing or imported: the throttle lets the first one go.
            def there(found: dict[str, int]) -> bool:
                return found.get(state, 0) >= dropped - 2

            grid.wait(f"all {state}", there, patience=STALLED)
            quiet_down(grid)
            return grid.peak()

        waiting = stand("waiting")
        grid.stop()
        grid.start()
        again = stand("waiting")
        grid.stop()
        grid.configure({"omero.fs.dirImportWait": "1"})
        grid.start()
        queued = stand("queued")
        grid.stop()
        grid.start()
        queued_again = stand("queued")
        faults(outcome, stored.so_far(grid))
    peaks = {
        "all in their quiet period": waiting,
        "started anew on these": again,
        "queued after their quiet period": queued,
        "started anew on the queue": queued_again,
    }
    mib = 2**20
    outcome.figures.append(Figure("peak memory of an idle DropBox", empty / mib, "MiB"))
    outcome.figures += [
        Figure(f"peak memory, {text}", peak / mib, "MiB", 300) for text, peak in peaks.items()
    ]
    return outcome


def fairness(scratch: Path, count: int, lone: int) -> Outcome:
    """The files of one user, each dropped when the one before is imported."""
    with running_grid(scratch, dirImportWait=1) as grid:
        return fairness_in(grid, count, lone)


def fairness_in(grid: Grid, count: int, lone: int) -> Outcome:
    """As `fairness`; it leaves when the other's files are still under way."""
    outcome = Outcome(f"a lone user's file while another's {count:,} are under way")
    idle = _lone(grid, "idle", lone)
    grid.dropped += drop_many(grid.home("zak") / "others", count)
    busy = _lone(grid, "busy", lone)
    there = len(grid.dropped)
    left = there - history.counts(grid.journal).get("imported", 0)
    grid.wait("all known", lambda n: sum(n.values()) >= there, patience=STALLED)
    faults(outcome, stored.so_far(grid))
    if left <= 0:
        outcome.faults.append(f"{outcome.title}: none was left when the lone user's were done")
    usual = quantile(idle, 0.5)
    outcome.figures += [
        Figure("close to imported, nobody else there, p50", usual, "s"),
        Figure("close to imported beside the other's, p50", quantile(busy, 0.5), "s"),
        Figure("close to imported beside the other's, longest", max(busy), "s"),
        Figure(
            "longer than with nobody there, longest against p50", max(busy) - usual, "s", 5.0,
            existing=f"up to {count // 360:,} h",
        ),
    ]  # fmt: skip
    return outcome


def _lone(grid: Grid, name: str, count: int) -> list[float]:
    """s from close to imported, for this many files of amy."""
    closed: dict[str, float] = {}
    for number in range(count):
        path = str(grid.home("amy") / f"{name}-{number}.tif")
        closed[path] = drop(Path(path))
        grid.dropped.append(Path(path))
        end = time.monotonic() + STALLED
        while True:
            time.sleep(0.5)
            one = history.times_of(grid.journal, path)
            if one is not None and one.done is not None:
                break
            if time.monotonic() > end:
                raise BenchmarkError(f"{name}-{number}.tif is not imported\n{grid.logs()}")
    return history.done_after(closed, history.times(grid.journal))


def quiet_down(grid: Grid) -> None:
    """Returns when DropBox has spent little CPU for some seconds."""
    before = grid.cpu()["DropBox"]
    end = time.monotonic() + STALLED
    while time.monotonic() < end:
        time.sleep(3.0)
        now = grid.cpu()["DropBox"]
        if now - before < 0.3:
            return
        before = now
