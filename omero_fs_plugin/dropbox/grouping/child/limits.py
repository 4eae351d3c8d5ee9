"""How much of the machine a process may use, as the kernel keeps it to that: POSIX's limits."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def _resource() -> Any:
    """The module, which not every platform has."""
    return importlib.import_module("resource")


def bound_process(*, memory: int, file: int, threads: bool) -> None:
    """From now on: `memory` MiB of data, `file` bytes of a file, no core dump.

    `threads`: whether any may be started, or other processes.
    """
    resource = _resource()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, memory << 20)
    _limit(resource.RLIMIT_FSIZE, file)
    if not threads:
        _limit(resource.RLIMIT_NPROC, 0)


def allow_cpu(seconds: int) -> None:
    """The process is ended by the kernel when it has used so much more of a processor."""
    resource = _resource()
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


def _limit(which: int, value: int) -> None:
    resource = _resource()
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))
