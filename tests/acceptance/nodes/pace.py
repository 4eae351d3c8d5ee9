"""How many filesets the machines import in an hour, and what that costs the processors."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from omero_fs_plugin.dropbox.journal.states import State

from .machines import IMPORTERS, Site

SHARE = 0.25  # of the processors that the largest number of machines may take
LEAST_S, MOST_S = 4.0, 5.0  # of one import, at the server
_TICKS = os.sysconf("SC_CLK_TCK")
_MANY = 1_000_000  # events


def imported(site: Site, during: Callable[[], None]) -> tuple[int, float, float]:
    """Imports of all machines meanwhile, how long it took (s), and the processors' time (s)."""
    event, began, before = site.journal.last_event(), time.monotonic(), used()
    during()
    took, cost = time.monotonic() - began, used() - before
    done = sum(one.after == State.IMPORTED for one in site.journal.events_after(event, _MANY))
    return done, took, cost


def import_time(cost: float, nodes: int) -> float:
    """s that an import is to take, so that `nodes` machines leave most of the processors idle.

    `cost`: s of a processor for each import, all processes together.
    """
    cores = os.cpu_count() or 1
    wanted = nodes * IMPORTERS * cost / (SHARE * cores)
    return min(MOST_S, max(LEAST_S, math.ceil(wanted * 2) / 2))


def used() -> float:
    """s of processors that the processes of this namespace of users have had so far."""
    mine, total = Path("/proc/self/ns/user").readlink(), 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if (process / "ns/user").readlink() == mine:
                    stat = (process / "stat").read_text(errors="replace").rpartition(")")[2]
                    total += sum(map(int, stat.split()[11:15]))
            except OSError:  # it has ended
                continue
    return total / _TICKS
