"""A store of many chunks: met and hashed by DropBox, beside `cp -r` and `sha1sum` of its tree.

And imported into a sandbox, linked in place and uploaded.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import time
import zipfile
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import history, stored
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import Figure, Outcome, faults
from benchmarks.progress import say

from . import importing
from .alone import told_by

LIMIT = 600.0  # s for one run
LONG = 3600.0  # s for one import
IN_A_DIRECTORY = 250  # chunks
CHUNK = 4096  # bytes
MB = 1_000_000  # bytes
WAYS = ("met", "settled", "hashed")
QUIET = 5  # s; the quiet period of the store that is dropped
IMPORTED = ("ln_s", "upload")


def scenario(scratch: Path, chunks: int, rounds: int) -> Outcome:
    """Looks at a store of so many chunks, this many times each way, and compares."""
    outcome = Outcome(f"A store of {chunks:,} chunks before its upload")
    root = scratch / "amy"
    top = root / "a.zarr"
    files = write(top, chunks)
    say(f"a store of {files:,} files is written")
    seconds: dict[str, list[float]] = {}
    more: dict[str, float] = {}
    for _ in range(rounds):
        for way in WAYS:
            told = told_by("one_store", way, str(root), f"{top}/", limit=LIMIT)
            seconds.setdefault(way, []).append(told["seconds"])
            more[way] = max(more.get(way, 0), told["more"])
            say(f"{way}: {told['seconds']:.1f} s")
            if way == "hashed" and told["files"] != files:
                outcome.faults.append(f"{told['files']} files instead of {files}")
        for name, taken in beside(top).items():
            seconds.setdefault(name, []).append(taken)

    def rate(way: str) -> float:
        return chunks / statistics.median(seconds[way])

    outcome.figures += [
        Figure("met: one look at the whole tree", rate("met"), "files/s"),
        Figure("met, memory for it", more["met"] / MB, "MB", chunks * 1024 / 10 / MB),
        Figure("settled: its metadata read between two looks", rate("settled"), "files/s"),
        Figure("settled, memory for it", more["settled"] / MB, "MB"),
        Figure("hashed, with the digest of the whole", rate("hashed"), "files/s"),
        Figure("hashed, memory for it", more["hashed"] / MB, "MB"),
        Figure("`cp -r` of the tree", rate("cp"), "files/s"),
        Figure("`sha1sum` of the tree", rate("sha1sum"), "files/s"),
    ]
    return outcome


def imported(scratch: Path, chunks: int, rounds: int) -> Outcome:
    """Imports a store of so many chunks, this many times each way, on a grid without other work."""
    outcome = Outcome(f"Importing a store of {chunks:,} chunks")
    seconds: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    with Grid(scratch, {"omero.fs.dirImportWait": str(QUIET)}) as grid:
        install_reader(grid)
        grid.start()
        top = grid.directory / "large" / "a.zarr"  # beside the repository, as a DropBox is
        files = write(top, chunks)
        say(f"a store of {files:,} files is written")
        for _ in range(rounds):
            for way in IMPORTED:
                told = importing.one(grid, way, f"{top}/", limit=LONG)
                seconds.setdefault(way, []).append(told["whole"])
                memory[way] = max(memory.get(way, 0), told["peak"])
                say(f"{way}: {told['whole']:.1f} s")
                if told["images"] != 1:
                    outcome.faults.append(f"{way}: {told['images']} images instead of 1")
            for name, taken in beside(top).items():
                seconds.setdefault(name, []).append(taken)
        before = grid.peak()
        say("the store is dropped")
        seconds["dropped"] = [_dropped(grid, top)]
        after = grid.peak()
        # Those that were imported before it had another path, and lie there once each way.
        of_amy = [one for one in stored.filesets(grid.data) if str(grid.home("amy")) in one.path]
        faults(outcome, stored.compared(of_amy, [grid.home("amy") / top.name]))

    def rate(way: str) -> float:
        return files / statistics.median(seconds[way])

    outcome.figures += [
        Figure(f"{chunks:,}: linked (ln_s), until there is an image", rate("ln_s"), "files/s"),
        Figure(f"{chunks:,}: linked, peak memory", memory["ln_s"] / MB, "MB"),
        Figure(f"{chunks:,}: uploaded, until there is an image", rate("upload"), "files/s"),
        Figure(f"{chunks:,}: uploaded, peak memory", memory["upload"] / MB, "MB"),
        Figure(
            f"{chunks:,}: dropped: met, settled, hashed and uploaded by DropBox",
            rate("dropped"),
            "files/s",
        ),
        Figure(f"{chunks:,}: dropped, peak memory of DropBox", after / MB, "MB"),
        Figure(f"{chunks:,}: dropped, more than before it", (after - before) / MB, "MB"),
        Figure(f"{chunks:,}: cp -r of the tree", rate("cp"), "files/s"),
        Figure(f"{chunks:,}: sha1sum of the tree", rate("sha1sum"), "files/s"),
    ]
    return outcome


def install_reader(grid: Grid) -> None:
    """A jar with the name of the reader that a store waits for; the sandbox needs no more."""
    jars = grid.directory / "lib" / "server"
    jars.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(jars / "OMEZarrReader.jar", "w") as jar:
        jar.writestr("loci/formats/in/ZarrReader.class", b"")


def _dropped(grid: Grid, top: Path) -> float:
    """s from the rename into the DropBox until it is imported, without the quiet period."""
    begun = time.time()
    top.rename(grid.home("amy") / top.name)
    grid.wait("imported", lambda found: found.get("imported") == 1, patience=LIMIT)
    (times,) = history.times(grid.journal).values()
    if times.done is None:
        raise BenchmarkError("imported, but not when")
    return times.done - begun - QUIET


def write(top: Path, chunks: int) -> int:
    """A store of Zarr 2 with one array of so many chunks.  Gives the number of its files."""
    rows = -(-chunks // IN_A_DIRECTORY)
    side = 64  # pixels of one byte; a chunk has side * side
    metadata = {
        ".zgroup": {"zarr_format": 2},
        ".zattrs": {
            "multiscales": [
                {
                    "version": "0.4",
                    "axes": [{"name": name, "type": "space"} for name in "yx"],
                    "datasets": [{"path": "0"}],
                }
            ]
        },
        "0/.zarray": {
            "zarr_format": 2,
            "shape": [rows * side, IN_A_DIRECTORY * side],
            "chunks": [side, side],
            "dtype": "|u1",
            "compressor": None,
            "filters": None,
            "fill_value": 0,
            "order": "C",
            "dimension_separator": "/",
        },
    }
    (top / "0").mkdir(parents=True)
    for name, said in metadata.items():
        (top / name).write_text(json.dumps(said), encoding="utf-8")
    for number in range(chunks):
        path = top / "0" / str(number // IN_A_DIRECTORY) / str(number % IN_A_DIRECTORY)
        if number % IN_A_DIRECTORY == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(number.to_bytes(8, "little") * (CHUNK // 8))
    return chunks + len(metadata)


def beside(top: Path) -> dict[str, float]:
    """s that `cp -r` and `sha1sum` of a tree take."""
    copy = top.with_name("copy")
    copied = _timed("cp", "-r", str(top), str(copy))
    shutil.rmtree(copy)
    hashing = f"find '{top}' -type f -print0 | xargs -0 sha1sum"
    return {"cp": copied, "sha1sum": _timed("sh", "-c", hashing)}


def _timed(*command: str) -> float:
    """s that it takes."""
    begun = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=LIMIT, check=True)
    return time.monotonic() - begun
