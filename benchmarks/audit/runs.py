"""One audit over a site of some size, in which nothing is wrong."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox.scenarios import Figure, Outcome
from benchmarks.measure import memory
from omero_fs_plugin.dropbox.audit.audit import audit
from omero_fs_plugin.dropbox.audit.means import Means, Pace
from omero_fs_plugin.dropbox.audit.record import Record

from .standin import site

FILESETS = 200_000  # of the largest size
SIZES = (100, 10, 1)  # a site has FILESETS divided by this
QUESTIONS = 150  # the most for FILESETS: half of five minutes at one a second
MEMORY = 500e6  # bytes, the most beyond what the process had, the stand-in's answers included


class Ahead:
    """Time as the audit sees it: nobody waits for it, and what was waited counts."""

    def __init__(self) -> None:
        self.waited = 0.0  # s

    def now(self) -> float:
        """s, monotonic."""
        return time.monotonic() + self.waited

    def sleep(self, seconds: float) -> None:
        """So much later."""
        self.waited += seconds


def measure(scratch: Path, divided: int, *, most: float = QUESTIONS) -> Outcome:
    """An audit over FILESETS // divided filesets.  Raises BenchmarkError if it finds anything."""
    number = FILESETS // divided
    outcome = Outcome(f"An audit of {number:,} filesets")
    clock = Ahead()
    with site(scratch / f"audit-{number}", number) as (settings, omero):
        record = Record.fresh("the benchmark", time.time())
        pace = Pace(1.0, clock.now, clock.sleep)
        later = 2 * 86400.0
        means = Means(
            omero, settings, record, pace, lambda path: "", now=lambda: time.time() + later
        )
        before, began, real = memory(os.getpid()), clock.now(), time.monotonic()
        try:
            audit(means)
            took, worked = clock.now() - began, time.monotonic() - real
            beyond = memory(os.getpid(), "VmHWM") - before
            if record.counts or record.unseen:
                raise BenchmarkError(f"it found {dict(record.counts)}, {record.unseen} unseen")
            looked = dict(record.looked)
        finally:
            record.close()
    if looked != dict.fromkeys(("filesets", "files", "disk", "directories"), number):
        raise BenchmarkError(f"it looked at {looked}")
    outcome.figures += [
        Figure("questions to OMERO", pace.queries, "", most),
        Figure("time with one question a second", took, "s", 300.0),
        Figure("of that, work", worked, "s"),
        Figure("memory beyond that before, with the stand-in's", beyond / 1e6, "MB", MEMORY / 1e6),
    ]
    return outcome
