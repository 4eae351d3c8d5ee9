"""The native importer, beside a bare RawFileStore loop and `sha1sum`."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import Figure, Outcome

from . import files
from .alone import told_by

LIMIT = 600.0  # s for one import
IDLE = "1000000"  # s; the grid's DropBox must not import the file
MB = 1_000_000  # bytes
WAYS = ("bare", "upload", "ln_s")


@dataclass
class _Runs:
    """The figures of each round."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)  # bytes, at most
    sha1sum: list[float] = field(default_factory=list)  # s


def scenario(scratch: Path, size: int, rounds: int) -> Outcome:
    """Imports one file of `size` bytes, this many times each way, on a grid without other work."""
    outcome = Outcome(f"Importing a file of {size / 2**30:.3g} GiB natively")
    runs = _Runs()
    with Grid(scratch, {"omero.fs.dirImportWait": IDLE}) as grid:
        grid.start()
        # Beside the repository, as a DropBox is.
        path = grid.directory / "large" / "large.tif"
        path.parent.mkdir()
        files.large(path, size)
        _sha1sum(path)  # from now on the file is in memory, for each way
        for _ in range(rounds):
            for way in WAYS:
                told = one(grid, way, str(path))
                # A bare loop imports nothing.  sha1sum is compared with all of the work.
                taken = told["whole" if way == "ln_s" else "seconds"]
                runs.seconds.setdefault(way, []).append(taken)
                runs.memory.setdefault(way, []).append(told["peak"])
                if way != "bare" and told["images"] != 1:
                    outcome.faults.append(f"{way}: {told['images']} images instead of 1")
            runs.sha1sum.append(_sha1sum(path))
    outcome.figures += _figures(size, runs)
    return outcome


def _figures(size: int, runs: _Runs) -> list[Figure]:
    bare, upload, linked = (runs.seconds[way] for way in WAYS)

    def rate(seconds: list[float]) -> float:
        return size / MB / statistics.median(seconds)

    share = statistics.median(b / u for b, u in zip(bare, upload, strict=True))
    longer = statistics.median(s / h for s, h in zip(linked, runs.sha1sum, strict=True))
    return [
        Figure("a bare loop of RawFileStore.write, no hash", rate(bare), "MB/s"),
        Figure("upload by the native importer, with SHA1", rate(upload), "MB/s"),
        Figure("upload, of what the bare loop reaches", 100 * share, "%", 80, most=False),
        Figure("upload, peak memory", max(runs.memory["upload"]) / MB, "MB", 150),
        Figure("sha1sum of the file", statistics.median(runs.sha1sum), "s"),
        Figure("in place (ln_s), until there is an image", statistics.median(linked), "s"),
        Figure("in place, times as long as sha1sum", longer, "", 1.2),
        Figure("in place, peak memory", max(runs.memory["ln_s"]) / MB, "MB"),
    ]


def one(
    grid: Grid, way: str, path: str, limit: float = LIMIT, before: Sequence[str] = ()
) -> dict[str, float]:
    """One run, in a process of its own.  It removes what it stored.

    `before`: the words before its command, such as those that run it on another machine.
    """
    words = (way, str(grid.directory), path)
    told: dict[str, float] = told_by("one_import", *words, limit=limit, before=before)
    for stored in (grid.data / "ManagedRepository").iterdir():
        if stored.is_dir() and not stored.name.startswith("."):
            shutil.rmtree(stored)
    return told


def _sha1sum(path: Path) -> float:
    """s that it takes."""
    begun = time.monotonic()
    subprocess.run(["sha1sum", str(path)], stdout=subprocess.DEVNULL, timeout=LIMIT, check=True)
    return time.monotonic() - begun
