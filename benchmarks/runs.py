"""One workload against one contender, and the figures of a standing server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import kernel_queue, measure, workloads
from .contenders import Contender, Running
from .measure import Held, Outcome
from .workloads import Workload

# All events came, and no more for this long: an event told twice would have come by now.
SETTLED = 3.0  # s
# Some files are missing or told too early, and nothing has come for this long: they will not come.
GIVEN_UP = 15.0  # s
# CPU is read when no event has come for this long.
CPU_READ = 1.0  # s
GLANCE = 0.25  # s between two looks at the count

# Directories, directories in each, files in each of those
TREE = (100, 100, 20)
MILLION = (1_000, 100, 10)
CYCLES = 200
IDLE = 20.0  # s
AFTER_START = 2.0  # s
# Ice keeps threads that a busy moment needed for another minute (ThreadIdleTime).
THREADS_LINGER = 90.0  # s


def run(
    workload: Workload,
    contender: Contender,
    scratch: Path,
    count: int,
    cpu: Callable[[int], float] = measure.cpu_seconds,
) -> Outcome:
    """Runs it once, with new processes and new directories.

    `cpu` gives the CPU time (s) of a process so far.  It is asked right before the workload, and
    when nothing more comes, perhaps several times.
    """
    root, beside = scratch / "watched", scratch / "beside"
    workloads.clear(root, beside)
    workload.prepare(root, beside, count)
    with Running(contender, scratch) as running:
        with kernel_queue.lowered(workload.kernel_queue):
            running.watch(root)
        before = cpu(running.pid)
        expected = workload.run(root, beside, count)
        spent = 0.0
        seen, since = -1, time.monotonic()
        checked = False
        while True:
            told, _ = running.count()
            now = time.monotonic()
            if told != seen:
                seen, since, spent, checked = told, now, 0.0, False
            quiet = now - since
            if quiet >= CPU_READ and not spent:
                spent = cpu(running.pid) - before
            if quiet >= GIVEN_UP or (quiet >= SETTLED and not checked):
                checked = True
                outcome = measure.judge(
                    expected,
                    running.heard(),
                    cpu=spent,
                    peak=measure.memory(running.pid, "VmHWM"),
                )
                if not (outcome.missing or outcome.early) or quiet >= GIVEN_UP:
                    return outcome
            time.sleep(GLANCE)


@dataclass(frozen=True)
class Standing:
    """A contender that watches a large tree in which nothing happens."""

    files: int
    directories: int
    walk: float  # s of os.walk with os.lstat, beside it
    start: float  # s until everything is watched
    memory: float  # bytes for each file that is there
    idle: float  # share of a core


def make_tree(root: Path, *, quick: bool, shape: tuple[int, int, int]) -> int:
    """Makes directories with empty files.  Returns the number of files."""
    outer, inner, files = shape
    if quick:
        outer //= 10
    for one in range(outer):
        for other in range(inner):
            directory = f"{root}/experiment-{one:03}/well-{other:03}"
            os.makedirs(directory)  # noqa: PTH103
            for number in range(files):
                os.close(os.open(f"{directory}/image-{number:04}.tif", os.O_CREAT | os.O_WRONLY))
    return outer * inner * files


def walk(root: Path) -> float:
    """How long (s) the simplest look at everything takes: os.walk, and a stat of each file."""
    before = time.monotonic()
    for directory, _, files in os.walk(root):
        for name in files:
            os.lstat(directory + "/" + name)
    return time.monotonic() - before


def stand(
    contender: Contender, scratch: Path, root: Path, files: int, shape: tuple[int, int, int]
) -> Standing:
    """Measures a contender on `root`, which make_tree made."""
    with Running(contender, scratch) as running:
        empty = measure.memory(running.pid)
        around = walk(root)
        start = running.watch(root)
        around = (around + walk(root)) / 2
        time.sleep(AFTER_START)  # work after the start does not count as idle
        used = measure.memory(running.pid) - empty
        before = measure.cpu_seconds(running.pid)
        time.sleep(IDLE)
        idle = (measure.cpu_seconds(running.pid) - before) / IDLE
    return Standing(files, files // shape[-1], around, start, used / files, idle)


@dataclass(frozen=True)
class Cycled:
    """What is left after this many create/start/stop/destroy cycles."""

    cycles: int
    seconds: float
    left: Held


def cycle(contender: Contender, scratch: Path, *, quick: bool) -> Cycled:
    """A few cycles come first, because things that a server makes once and keeps are no leak."""
    root = scratch / "watched"
    workloads.clear(root)
    workloads.make_directories(root, 10)
    cycles = CYCLES // 10 if quick else CYCLES
    with Running(contender, scratch) as running:
        running.cycle(5, root)
        before = measure.held(running.pid)
        seconds = running.cycle(cycles, root)
        end = time.monotonic() + THREADS_LINGER
        while True:
            left = measure.held(running.pid) - before
            if time.monotonic() > end or max(left.threads, left.descriptors, left.watches) <= 0:
                return Cycled(cycles, seconds, left)
            time.sleep(1.0)
