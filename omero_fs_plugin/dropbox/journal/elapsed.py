"""How long ago something was, also if another process did it: by a clock that nobody can set.

It counts from the start of the machine, so it says nothing after the machine was started anew.
"""

from __future__ import annotations

import math
import time
from pathlib import Path


def since_boot() -> float:
    """Seconds.  They go on while the machine is suspended, because other machines go on too."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    return time.clock_gettime(clock) if clock is not None else time.monotonic()


def boot() -> str:
    """Changes with each start of the machine; empty if nobody can tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def mark() -> str:
    """This moment, for the journal."""
    # Rounded down: a mark that is later than now says nothing.
    return f"{boot()} {math.floor(since_boot() * 10) / 10:.1f}"


def seconds_since(marked: str) -> float | None:
    """How long (s) ago `mark` gave this; None if nobody can tell."""
    where, _, when = marked.rpartition(" ")
    if not where or where != boot():
        return None
    elapsed = since_boot() - float(when)
    return elapsed if elapsed >= 0 else None
