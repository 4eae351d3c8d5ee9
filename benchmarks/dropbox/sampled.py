"""DropBox with a look at all of its threads 100 times a second: what IceGrid runs in its place.

``sampled.py FILE ...`` writes into FILE when it is told to (SIGUSR1): a line for each function,
with the CPU time (s) of the threads that were in it, and of those that were in it and in nothing
below it.  A thread's CPU time since the last look counts for where the thread is now.  So this
costs little, and it is right on average; a profiler that notes each call makes short calls dear.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

STEP_S = 0.01
_PLACE = re.compile(r".*/(?:site-packages|python3\.\d+|checkout)/")


class Sampler:
    """Adds up where threads spend CPU time."""

    def __init__(self) -> None:
        self.inclusive: dict[str, float] = defaultdict(float)  # function -> s
        self.own: dict[str, float] = defaultdict(float)  # function -> s
        self.threads: dict[str, float] = defaultdict(float)  # name without numbers -> s
        self._clocks: dict[int, int] = {}
        self._before: dict[int, float] = {}
        self._names: dict[str, str] = {}

    def run(self) -> None:
        """For ever."""
        while True:
            time.sleep(STEP_S)
            self.look(sys._current_frames())

    def look(self, frames: dict[int, FrameType]) -> None:
        """One look at these threads."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in frames.items():
            if ident not in names or ident == threading.get_ident():
                continue
            try:
                if ident not in self._clocks:
                    self._clocks[ident] = time.pthread_getcpuclockid(ident)
                now = time.clock_gettime(self._clocks[ident])
            except OSError:
                continue
            spent = now - self._before.get(ident, now)
            self._before[ident] = now
            if spent > 0:
                self.threads[re.sub(r"\d+", "N", names[ident])] += spent
                self._add(frame, spent)

    def _add(self, frame: FrameType | None, spent: float) -> None:
        seen: set[str] = set()
        while frame is not None:
            code = frame.f_code
            where = f"{_PLACE.sub('', code.co_filename)}:{code.co_qualname}"
            if not seen:
                self.own[where] += spent
            if where not in seen:
                seen.add(where)
                self.inclusive[where] += spent
            frame = frame.f_back

    def write(self, file: Path) -> None:
        """As JSON; the file is there at once and whole."""
        part = file.with_suffix(".part")
        told = {"inclusive": self.inclusive, "own": self.own, "threads": self.threads}
        part.write_text(json.dumps(told), encoding="utf-8")
        part.rename(file)


def main() -> int:
    """Runs DropBox's own main.  Returns its exit code."""
    from omero_fs_plugin.dropbox import server

    file = Path(sys.argv.pop(1))
    sampler = Sampler()
    told = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: told.set())
    threading.Thread(target=sampler.run, name="sampler", daemon=True).start()

    def tell() -> None:
        while told.wait():
            told.clear()
            sampler.write(file)

    threading.Thread(target=tell, name="sampler-tell", daemon=True).start()
    return server.main()


if __name__ == "__main__":
    # The modules beside this one would hide others of the same name.
    sys.path[0] = os.environ.get("OMERO_FS_CHECKOUT", str(Path(__file__).parents[2]))
    sys.exit(main())
