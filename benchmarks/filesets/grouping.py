"""Grouping by Bio-Formats, two workers, beside a cold JVM for every ten files."""

from __future__ import annotations

import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from benchmarks import measure
from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.scenarios import Figure, Outcome
from omero_fs_plugin.dropbox.grouping.bioformats import jars
from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats
from omero_fs_plugin.dropbox.grouping.bioformats.process import jvm_options
from omero_fs_plugin.dropbox.settling.groupers import NUMBER
from omero_fs_plugin.errors import ConfigurationError

from . import files

BATCH = 10  # files that the existing DropBox gathers for one Java (fileBatch)
BATCHES = 6  # cold JVMs in each round, half before ours and half after; more would take minutes
LIMIT = 120.0  # s for one
MEMORY = 512  # MiB of Java heap, as omero.fs.bioformatsMemory is unless set

Lots = Sequence[Sequence[str]]  # files in one request: a directory


@dataclass(frozen=True)
class Pace:
    """The figures of one pass over the files."""

    files: int
    seconds: float  # that passed
    cpu: float  # s, of every process that took part

    @property
    def rate(self) -> float:
        """Files/s."""
        return self.files / self.seconds

    @property
    def per_cpu(self) -> float:
        """Files in a second of CPU."""
        return self.files / self.cpu

    def __add__(self, other: Pace) -> Pace:
        return Pace(self.files + other.files, self.seconds + other.seconds, self.cpu + other.cpu)


@dataclass
class _Kind:
    """Singles or sets: their description, and the figures of each round."""

    name: str
    lots: Lots
    filesets: int
    target: float  # times as fast as cold JVMs, with warm workers
    cold: list[Pace]
    fresh: list[Pace]  # the workers have just been started
    warm: list[Pace]  # they have grouped such files before


def scenario(scratch: Path, singles: int, sets: int, rounds: int) -> Outcome:
    """Groups `singles` TIFFs and `sets` of files.IN_SET OME-TIFFs, this many times."""
    try:
        installation = jars.find()
    except ConfigurationError as error:
        raise BenchmarkError(str(error)) from error
    root = scratch / "grouped"
    kinds = [
        _Kind(f"{singles:,} single TIFFs", files.singles(root, singles), singles, 30, [], [], []),
        _Kind(f"{sets:,} sets of {files.IN_SET}", files.sets(root, sets), sets, 300, [], [], []),
    ]
    outcome = Outcome(f"Grouping with {NUMBER} workers, beside a cold JVM for every {BATCH} files")
    ready = []
    for _ in range(rounds):
        with ExitStack() as stack:
            workers = [
                stack.enter_context(
                    BioFormats(installation, memory=MEMORY, roots=lambda: [str(root)])
                )
                for _ in "12"
            ]
            for worker in workers:
                begun = time.monotonic()
                worker.version()  # is there when it was started
                ready.append(time.monotonic() - begun)
            for kind in kinds:
                before = _cold(installation, kind.lots, 0)
                kind.fresh.append(_pass(str(root), workers, kind, outcome.faults))
                kind.warm.append(_pass(str(root), workers, kind, outcome.faults))
                kind.cold.append(before + _cold(installation, kind.lots, BATCHES // 2))
    for kind in kinds:
        outcome.figures += _figures(kind)
    outcome.figures.append(Figure("a worker is ready after", statistics.median(ready), "s"))
    return outcome


def _figures(kind: _Kind) -> list[Figure]:
    def median(passes: list[Pace]) -> float:
        return statistics.median(one.rate for one in passes)

    def times(passes: list[Pace], cpu: bool = False) -> float:
        return statistics.median(
            one.per_cpu / cold.per_cpu if cpu else one.rate / cold.rate
            for one, cold in zip(passes, kind.cold, strict=True)
        )

    name = kind.name
    return [
        Figure(f"{name}: a cold JVM for every {BATCH}", median(kind.cold), "files/s"),
        Figure(f"{name}: workers just started", median(kind.fresh), "files/s"),
        Figure(f"{name}: the same workers once more", median(kind.warm), "files/s"),
        Figure(f"{name}: just started, times as fast as cold", times(kind.fresh), ""),
        Figure(
            f"{name}: once more, times as fast as cold",
            times(kind.warm),
            "",
            kind.target,
            most=False,
        ),
        Figure(f"{name}: once more, times as many in a second of CPU", times(kind.warm, True), ""),
    ]


def _pass(root: str, workers: Sequence[BioFormats], kind: _Kind, faults: list[str]) -> Pace:
    """Gives each lot to a free worker, as DropBox's groupers do."""
    waiting: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
    for lot in kind.lots:
        waiting.put(lot)
    complete: list[int] = []

    def work(worker: BioFormats) -> None:
        while True:
            try:
                lot = waiting.get_nowait()
            except queue.Empty:
                return
            found = worker.group(root, lot).candidates
            complete.append(sum(one.complete and not one.refused for one in found))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    cpu, begun = measure.cpu_seconds(os.getpid()), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begun
    if sum(complete) != kind.filesets:
        faults.append(f"{kind.name}: {sum(complete)} filesets of {kind.filesets}")
    number = sum(map(len, kind.lots))
    return Pace(number, seconds, measure.cpu_seconds(os.getpid()) - cpu)


def _cold(installation: jars.Installation, lots: Lots, first: int) -> Pace:
    """Half of BATCHES, one after the other; `first`: batches that were had before."""
    every = list(chain.from_iterable(lots))
    told = {
        "jvm": installation.jvm,
        "jars": installation.jars,
        "options": jvm_options(MEMORY),
    }
    cpu, begun = measure.cpu_seconds(os.getpid()), time.monotonic()
    number = 0
    for batch in range(first, first + BATCHES // 2):
        ten = every[batch * BATCH :][:BATCH]
        done = subprocess.run(
            [sys.executable, "-m", f"{__package__}.cold"],
            input=json.dumps({**told, "files": ten}),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if done.returncode or not done.stdout:
            raise BenchmarkError(f"a cold JVM ended with {done.returncode}: {done.stderr[-500:]}")
        number += len(ten)
    seconds = time.monotonic() - begun
    return Pace(number, seconds, measure.cpu_seconds(os.getpid()) - cpu)
