"""Runs a server below OMERO's priority, so that people at OMERO's clients do not feel an import.

IceGrid starts our servers with the priority of OMERO itself.  `lower` lowers this process once, at
its start.  Threads and processes that are started later inherit the priority.

Where Linux shares processors between sessions ("autogroup"), a nice value counts only inside one
session.  So what a server starts stays in the session of OMERO's grid; see ``dropbox.processes``.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

log = logging.getLogger(__name__)

LOWEST = 19  # the nice value beyond which there is none
_THREADS = Path("/proc/self/task")
_LOOKS = 10  # a thread may start another one while we look; so many looks find all


def lower(by: int) -> None:
    """Adds `by` to the nice value of every thread of this process; 0 changes nothing.

    Also takes the scheduling policy SCHED_BATCH, where there is one (sched(7)).  A policy that an
    admin has chosen stays.  The log says how it went.  What the kernel refuses is no error.
    """
    if not by or not hasattr(os, "setpriority"):
        return
    nice = min(LOWEST, os.getpriority(os.PRIO_PROCESS, 0) + by)
    refused: dict[str, OSError] = {}
    for _ in range(_LOOKS):
        changed = [_lower(thread, nice, refused) for thread in _threads()]
        if not any(changed):
            break
    for what, error in refused.items():
        log.warning(
            "%s is refused by the kernel (%s): imports may slow OMERO down (omero.fs.nice)",
            what,
            error.strerror,
        )
    policy = ", policy SCHED_BATCH" if _is_batch() else ""
    log.info("runs with nice %d%s", os.getpriority(os.PRIO_PROCESS, 0), policy)


def _threads() -> list[int]:
    try:
        return [int(entry.name) for entry in _THREADS.iterdir()]
    except OSError:
        return [0]  # where threads have no priority of their own, 0 is the whole process


def _lower(thread: int, nice: int, refused: dict[str, OSError]) -> bool:
    """Whether anything was changed."""
    steps = {f"nice {nice}": partial(_renice, thread, nice)}
    if hasattr(os, "SCHED_BATCH"):
        steps["policy SCHED_BATCH"] = partial(_to_batch, thread)
    changed = False
    for what, step in steps.items():
        try:
            changed |= step()
        except ProcessLookupError:
            return False  # it has just ended
        except OSError as error:  # a container may forbid the call, or not know it
            refused[what] = error
    return changed


def _renice(thread: int, nice: int) -> bool:
    if os.getpriority(os.PRIO_PROCESS, thread) >= nice:
        return False
    os.setpriority(os.PRIO_PROCESS, thread, nice)
    return True


def _to_batch(thread: int) -> bool:
    if os.sched_getscheduler(thread) != os.SCHED_OTHER:
        return False
    os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
    return True


def _is_batch() -> bool:
    if not hasattr(os, "SCHED_BATCH"):
        return False
    try:
        return os.sched_getscheduler(0) == os.SCHED_BATCH
    except OSError:
        return False
