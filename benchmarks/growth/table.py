"""All subjects at their three sizes, in one table, with how they grow."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.scenarios import Figure, Outcome

from .subjects import SUBJECTS, Subject

LIMIT = 900.0  # s for one size
MB = 1_000_000  # bytes
# n log n has an exponent of 1.1 at these sizes; the rest is for a noisy machine.
MOST = 1.25
# Where the largest size costs less, it is mostly what any size costs, and says nothing of growth.
LEAST_S, LEAST_MB = 0.05, 2.0
# A smaller size may cost less than that.  Less than a hundredth of it is nothing that can be
# measured, and counts as so much.
UNSEEN = 0.01


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """x if the costs grow as the sizes to the power of x, from the first to the last."""
    return math.log(costs[-1] / costs[0]) / math.log(sizes[-1] / sizes[0])


def measure(scratch: Path, less: int, only: Collection[str] | None = None) -> Outcome:
    """Each size in a process of its own.  `less` divides the sizes.  Raises BenchmarkError."""
    outcome = Outcome("The cost of growth")
    for name, subject in SUBJECTS.items():
        if not only or name in only:
            _add(outcome, scratch, name, subject, less)
    return outcome


def _add(outcome: Outcome, scratch: Path, name: str, subject: Subject, less: int) -> None:
    sizes = [max(1, size // less) for size in subject.sizes]
    seconds: list[float] = []
    memory: list[float] = []
    for size in sizes:
        directory = scratch / f"{name}-{size}"
        directory.mkdir()
        told = _one(name, size, directory)
        seconds.append(told["seconds"])
        memory.append(told["bytes"] / MB)
        if told["done"] != size:
            outcome.faults.append(f"{size} {subject.text}: {told['done']:g} done")
    for unit, costs, least in (("CPU s", seconds, LEAST_S), ("MB", memory, LEAST_MB)):
        outcome.figures += [
            Figure(f"{size:,} {subject.text}", cost, unit)
            for size, cost in zip(sizes, costs, strict=True)
        ]
        if costs[-1] >= least:
            text = f"{subject.text}: {unit}, growth exponent"
            target = MOST if less == 1 else None
            seen = [max(cost, UNSEEN * least) for cost in costs]
            outcome.figures.append(Figure(text, exponent(sizes, seen), "", target))
    if subject.most is not None:
        each = (memory[-1] - memory[0]) * MB / (sizes[-1] - sizes[0])
        text = f"{subject.text}: memory for each beyond the first {sizes[0]:,}"
        outcome.figures.append(Figure(text, each, "B", subject.most if less == 1 else None))


def _one(name: str, size: int, directory: Path) -> dict[str, float]:
    words = [sys.executable, "-m", f"{__package__}.one", name, str(size), str(directory)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired as late:
        raise BenchmarkError(f"{size:,} of {name} took more than {LIMIT:g} s") from late
    if done.returncode:
        raise BenchmarkError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told
