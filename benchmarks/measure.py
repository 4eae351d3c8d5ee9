"""What /proc says of a process, and the figures of a run."""

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
# ns; the close is noted when close() has returned, and others may hear of it before that.
CLOSING = 50_000_000
_TICK = 1 / os.sysconf("SC_CLK_TCK")  # s


def cpu_seconds(pid: int) -> float:
    """User and system time (s) of a process and its children so far.

    The process's CPU clock counts ns; /proc/PID/stat only has ticks of 10 ms.
    But only /proc has the children that have ended.
    """
    total = 0.0
    for one in (pid, *_descendants(pid)):
        clock = ctypes.c_int()
        if _libc.clock_getcpuclockid(one, ctypes.byref(clock)):
            continue  # it has just ended, and is in its parent's figures
        total += time.clock_gettime(clock.value) + _waited_for(one)
    return total


def cpu_of_one(pid: int) -> float:
    """User and system time (s) of a process alone, without its children."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise ProcessLookupError(pid)
    return time.clock_gettime(clock.value)


def user_and_system(pid: int) -> tuple[float, float]:
    """User and system time (s) of a process alone, in ticks."""
    fields = _stat(pid)
    return int(fields[11]) * _TICK, int(fields[12]) * _TICK


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
    """Bytes of resident memory.  With VmHWM, the largest value so far."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/{pid}/status has no {field}")


@dataclass(frozen=True)
class Held:
    """Things of a process that it could forget to release."""

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
    """The events of a workload that a client should receive."""

    kind: str  # Create or Modify
    at: Mapping[str, int]  # path -> ns on CLOCK_MONOTONIC, when it was closed or renamed


@dataclass(frozen=True)
class Outcome:
    """One workload, one contender, one run."""

    files: int
    missing: int  # files for which the client received no event
    early: int  # files of which it heard only while they were still written
    twice: int  # further events for a file that it knew
    extra: int  # other events: for temporary names, or Modify for a new file
    p50: float  # ms from close or rename to the client
    p99: float  # ms
    cpu: float  # s, of the contender's process and its children
    peak: int  # bytes of resident memory

    @property
    def per_cpu(self) -> float:
        """Files reported in a second of CPU."""
        return (self.files - self.missing - self.early) / self.cpu if self.cpu else math.nan


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not below the share `share` of all; nan without values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def judge(expected: Expected, heard: Sequence[Heard], *, cpu: float, peak: int) -> Outcome:
    """Compares the received events with what happened.

    For a new file the first event from its close on counts, for a rewritten one its last Modify:
    only then the client knows the whole file.  Whoever hears of a file only before its close, and
    of nothing after it, takes half a file for a whole one: it is told too early.  An event of the
    last CLOSING before the close is one of the close, and immediate.
    """
    told: Counter[str] = Counter()
    arrived: dict[str, int] = {}
    others = 0
    for now, kind, path in heard:
        as_expected = kind == expected.kind and path in expected.at
        if as_expected:
            told[path] += 1
        else:
            others += kind != "System"
        if path not in expected.at or now < expected.at[path] - CLOSING:
            continue
        if expected.kind == "Modify":
            if as_expected:
                arrived[path] = now
        elif kind in ("Create", "Modify"):
            arrived.setdefault(path, now)
    for path in arrived.keys() - told.keys():
        del arrived[path]  # missing: of a new file its Create was expected
    late = [max(0, now - expected.at[path]) / 1e6 for path, now in arrived.items()]
    return Outcome(
        files=len(expected.at),
        missing=len(expected.at) - len(told),
        early=len(told) - len(arrived),
        twice=sum(told.values()) - len(told),
        extra=others,
        p50=quantile(late, 0.5),
        p99=quantile(late, 0.99),
        cpu=cpu,
        peak=peak,
    )
