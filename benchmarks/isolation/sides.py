"""The two commits that are compared: whose turn it is, and what their figures come to."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.scenarios import Figure

BEFORE = "c376f04"  # the last commit before the first of isolation
SIDES = ("before", "now")
LEAST = 90  # % of what the commit before reaches
_CHECK_S = 60.0


@dataclass(frozen=True)
class Trees:
    """Where the files of each commit are; absolute."""

    before: Path
    now: Path

    def of(self, side: str) -> Path:
        """The one of `side`, which is one of SIDES."""
        return self.before if side == "before" else self.now

    def check(self) -> None:
        """Raises BenchmarkError if a Python that is told to use a tree uses another one."""
        for side in SIDES:
            words = [sys.executable, "-c", "import omero_fs_plugin as it; print(it.__file__)"]
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                timeout=_CHECK_S,
                check=False,
                env=environment(self.of(side)),
                cwd="/",
            )
            if not done.stdout.startswith(f"{self.of(side)}/"):
                raise BenchmarkError(
                    f"{side}: {self.of(side)} is not used: {done.stdout}{done.stderr}"
                )


def environment(tree: Path) -> dict[str, str]:
    """That of a Python which uses `tree`."""
    kept = {key: value for key, value in os.environ.items() if key != "ICE_CONFIG"}
    return {**kept, "PYTHONPATH": str(tree)}


def turns(rounds: int) -> Iterator[tuple[int, str]]:
    """(round, side), in the order before, now, now, before, and so on.

    So a machine that grows slower or faster meanwhile favours neither.
    """
    for number in range(rounds):
        for side in SIDES if number % 2 == 0 else reversed(SIDES):
            yield number, side


def shares(rates: Mapping[str, Sequence[float]]) -> list[float]:
    """% of what `before` reached in the same round that `now` reached, for each round."""
    return [100 * now / then for then, now in zip(*(rates[side] for side in SIDES), strict=True)]


def figures(what: str, unit: str, rates: Mapping[str, Sequence[float]]) -> list[Figure]:
    """Medians of both sides, and the share with its target; `rates` has each side's rounds."""
    each = shares(rates)
    return [
        *(Figure(f"{what}, {side}", statistics.median(rates[side]), unit) for side in SIDES),
        Figure(f"{what}: now, of before", statistics.median(each), "%", LEAST, most=False),
        Figure(f"{what}: now, of before, lowest round", min(each), "%"),
        Figure(f"{what}: now, of before, highest round", max(each), "%"),
    ]
