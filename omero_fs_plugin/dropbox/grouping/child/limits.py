"""POSIX's limits: the kernel lets a process use only so much of the machine."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def _resource() -> Any:
    """The module, which not every platform has."""
    return importlib.import_module("resource")


def bound_process(*, memory: int, file: int, threads: bool) -> None:
    """Sets the limits: `memory` MiB of data, files of `file` bytes, no core dump.

    `threads`: whether it may start threads or other processes.
    """
    resource = _resource()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, memory << 20)
    _limit(resource.RLIMIT_FSIZE, file)
    if not threads:
        _limit(resource.RLIMIT_NPROC, 0)


def allow_cpu(seconds: int) -> None:
    """The kernel ends the process when it has used the processor for so much longer."""
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
