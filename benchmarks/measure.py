"""What /proc says of a process, and what a run comes to."""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .listener import Heard

_libc = ctypes.CDLL(None, use_errno=True)
_TICK = 1 / os.sysconf("SC_CLK_TCK")  # s


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, its children included.

    From the process's CPU clock, in ns, where /proc/PID/stat has ticks of
    10 ms; children that have ended and were waited for only /proc has.
    """
    total = 0.0
    for one in (pid, *_descendants(pid)):
        clock = ctypes.c_int()
        if _libc.clock_getcpuclockid(one, ctypes.byref(clock)):
            continue  # it has just ended; its parent's figures have it
        total += time.clock_gettime(clock.value) + _waited_for(one)
    return total


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: 0 is the state, 1 the parent."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()


def _waited_for(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[13]) + int(fields[14])) * _TICK  # cutime, cstime


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            one = int(entry.name)
            try:
                children.setdefault(int(_stat(one)[1]), []).append(one)
            except OSError:
                continue  # it has just ended
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.extend(below)
        waiting.extend(below)
    return found


def memory(pid: int, field: str = "VmRSS") -> int:
    """Bytes of resident memory; with VmHWM the most there ever was."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/{pid}/status has no {field}")


@dataclass(frozen=True)
class Held:
    """What a process holds that it could forget to give back."""

    threads: int
    descriptors: int
    watches: int  # of inotify

    def __sub__(self, other: Held) -> Held:
        return Held(
            self.threads - other.threads,
            self.descriptors - other.descriptors,
            self.watches - other.watches,
        )


def held(pid: int) -> Held:
    """What the process holds now."""
    watches = 0
    descriptors = list(Path(f"/proc/{pid}/fdinfo").iterdir())
    for one in descriptors:
        try:
            text = one.read_text(encoding="utf-8")
        except OSError:
            continue  # closed since
        watches += sum(line.startswith("inotify ") for line in text.splitlines())
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    return Held(len(threads), len(descriptors), watches)


@dataclass(frozen=True)
class Expected:
    """What a client should be told of a workload."""

    kind: str  # Create or Modify
    at: Mapping[str, int]  # path -> ns on CLOCK_MONOTONIC, when it was closed or renamed


@dataclass(frozen=True)
class Outcome:
    """One workload, one contender, one run."""

    files: int
    missing: int  # files the client was not told of
    twice: int  # times it was told of one again
    extra: int  # other events: of temporary names, or Modify of a file just created
    p50: float  # ms from close or rename to the client
    p99: float  # ms
    cpu: float  # s, of the contender's process and its children
    peak: int  # bytes of resident memory

    @property
    def per_cpu(self) -> float:
        """Files told of in a second of CPU."""
        return (self.files - self.missing) / self.cpu if self.cpu else math.nan


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed; nan without values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def judge(expected: Expected, heard: Sequence[Heard], *, cpu: float, peak: int) -> Outcome:
    """Compares what was heard with what happened.

    A new file counts from its first Create, a rewritten one from its last
    Modify: only then has the client heard of all of it.  What was told before
    the close counts as told at once.
    """
    told: Counter[str] = Counter()
    arrived: dict[str, int] = {}
    others = 0
    for now, kind, path in heard:
        if kind != expected.kind or path not in expected.at:
            others += kind != "System"
            continue
        told[path] += 1
        if expected.kind == "Modify" or path not in arrived:
            arrived[path] = now
    late = [max(0, now - expected.at[path]) / 1e6 for path, now in arrived.items()]
    return Outcome(
        files=len(expected.at),
        missing=len(expected.at) - len(told),
        twice=sum(told.values()) - len(told),
        extra=others,
        p50=quantile(late, 0.5),
        p99=quantile(late, 0.99),
        cpu=cpu,
        peak=peak,
    )
