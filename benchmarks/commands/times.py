"""Commands one after the other, in turn, on a sandbox whose servers do not run.

So nothing is measured but the command: its start, what it loads, and what it asks the journal.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import known
from benchmarks.dropbox.scenarios import Figure, Outcome
from omero_fs_plugin.sandbox.create import create

OMERO = str(Path(sys.executable).with_name("omero"))
FILESETS = 200_000  # in the journal of the last size
SIZES = (100, 10, 1)  # the journal has FILESETS divided by this
BEYOND_S = 0.3  # what `omero fs status` may take beyond `omero version`
LIMIT_S = 300.0  # for one command


@dataclass(frozen=True)
class Command:
    """A call of `omero`, and the exit codes with which it has done its work."""

    words: str  # {file} is one that was imported
    codes: tuple[int, ...] = (0,)
    target: float | None = None  # s beyond `omero version`


VERSION = Command("version")
# 3: the servers do not run, which status and check say after all else.  Those that need them say it
# when they have loaded what they need and read the configuration.
COMMANDS = (
    Command("fs -h"),
    Command("fs status", (3,), BEYOND_S),
    Command("fs status --user amy", (3,), BEYOND_S),
    Command("fs status --json --limit 0 --state failed", (3,)),
    Command("fs config"),
    Command("fs explain {file}"),
    Command("fs explain {directory}"),
    Command("fs report --since 1h", (0, 1)),
    Command("fs check", (1, 2, 3)),
    Command("fs install --check", (0, 1)),
    Command("fs forget {file}", (2,)),  # it has not failed
    Command("fs import {file}", (3,)),
    Command("fs receipt {file}", (3,)),
    Command("fs audit", (3,)),
    Command("fs users", (3,)),
    Command("fs reload", (3,)),
    Command("fs watch {directory} --timeout 1", (3,)),
    Command("fs journal copy nonsense", (2,)),
)


def measure(scratch: Path, divided: int, *, repetitions: int) -> Outcome:
    """Each command `repetitions` times, on a journal of FILESETS // divided imported filesets."""
    number = max(known.FILES_IN_DIRECTORY, FILESETS // divided)
    outcome = Outcome(f"A journal of {number:,} filesets")
    omerodir = scratch / f"omero-{number}"
    create(omerodir)
    home = omerodir / "data" / "DropBox" / "amy"
    known.make(omerodir / "data" / "omero-fs-journal.sqlite", home, number)
    directory = home / "experiment-000" / "well-000"
    names = {"file": str(directory / "image-0000.tif"), "directory": str(directory)}
    taken: dict[Command, list[Taken]] = {command: [] for command in (VERSION, *COMMANDS)}
    for _ in range(repetitions):
        for command, times in taken.items():
            times.append(once(omerodir, command, names))
    for name in ("passed", "cpu"):
        middle = statistics.median(getattr(one, name) for one in taken[VERSION])
        unit = {"passed": "s", "cpu": "CPU s"}[name]
        outcome.figures.append(Figure("omero version", middle, unit))
        for command in COMMANDS:
            shown = f"omero {command.words.format(file='FILE', directory='DIRECTORY')}"
            # Of each round by itself: a machine that others use is not as fast in each.
            beyond = statistics.median(
                getattr(one, name) - getattr(version, name)
                for one, version in zip(taken[command], taken[VERSION], strict=True)
            )
            outcome.figures.append(
                Figure(f"{shown}, beyond omero version", beyond, unit, command.target)
            )
    for command in (VERSION, *COMMANDS):
        shown = f"omero {command.words.format(file='FILE', directory='DIRECTORY')}"
        loaded = modules(omerodir, command, names)
        outcome.figures.append(Figure(f"modules that {shown} loads", loaded, ""))
    return outcome


@dataclass(frozen=True)
class Taken:
    """What one run took, s.  On a busy machine, only the time of processors says something."""

    passed: float
    cpu: float  # of the process and its children


def once(omerodir: Path, command: Command, names: Mapping[str, str]) -> Taken:
    """What it took.  Raises BenchmarkError if it did not do its work."""
    before, began = _cpu_of_children(), time.perf_counter()
    done = subprocess.run(
        [OMERO, *_words(command, names)],
        env=_environment(omerodir),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    took = Taken(time.perf_counter() - began, _cpu_of_children() - before)
    if done.returncode not in command.codes:
        raise BenchmarkError(f"omero {command.words} ended with {done.returncode}: {done.stderr}")
    return took


def _cpu_of_children() -> float:
    """s, of all that have ended.  Only one runs at a time."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def modules(omerodir: Path, command: Command, names: Mapping[str, str]) -> int:
    """How many modules are loaded, by Python's own account (-X importtime)."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", OMERO, *_words(command, names)],
        env=_environment(omerodir),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    return sum(1 for line in done.stderr.splitlines() if line.startswith("import time:")) - 1


def _words(command: Command, names: Mapping[str, str]) -> Sequence[str]:
    return [word.format(**names) for word in command.words.split()]


def _environment(omerodir: Path) -> dict[str, str]:
    return {
        **os.environ,
        "OMERODIR": str(omerodir),
        "OMERO_USERDIR": str(omerodir / "none"),
    }
