"""One subject of one size, in a process of its own, so that its memory is its own.

``python -m benchmarks.growth.one SUBJECT NUMBER DIRECTORY`` prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import measure

from .subjects import SUBJECTS


def main(subject: str, number: str, directory: str) -> None:
    """The CPU time, the memory beyond what was there before, and how many were done."""
    with ExitStack() as after:
        work = SUBJECTS[subject].prepare(Path(directory), int(number), after)
        pid = os.getpid()
        Path("/proc/self/clear_refs").write_text(
            "5", encoding="ascii"
        )  # the peak begins anew (proc(5))
        before = measure.memory(pid, "VmRSS")
        begun = time.process_time()  # others use the machine too
        done = work()
        seconds = time.process_time() - begun
        more = max(0, measure.memory(pid, "VmHWM") - before)
    sys.stdout.write(json.dumps({"seconds": seconds, "bytes": more, "done": done}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
