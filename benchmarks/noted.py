"""FSServer with each call of its own threads noted: what a contender runs in its place.

``noted.py FILE ...`` writes into FILE when it is told to (SIGUSR1): the calls and the CPU time (s)
of each function, the system's own among them, and of each thread.  To note a call costs more than
a short call takes, so that only shares say something.  Threads that Ice makes are not noted.

It needs Python 3.11 or older: see `cannot`.
"""

from __future__ import annotations

import cProfile
import json
import os
import re
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import CodeType
from typing import Any

_NUMBER = re.compile(r"-[0-9a-f]{8}$|-\d+$")  # of a monitor, or of one thread of several


def cannot() -> str | None:
    """Why calls cannot be noted here; None if they can.

    From Python 3.12 on a process has one profiler at a time (sys.monitoring), so that the second
    thread's cannot begin.
    """
    if not hasattr(sys, "monitoring"):
        return None
    return f"to note the calls of several threads takes Python 3.11, not {_python()}"


def _python() -> str:
    return ".".join(map(str, sys.version_info[:2]))


class Notes:
    """What each thread has called so far."""

    def __init__(self) -> None:
        self._profiles: list[tuple[str, cProfile.Profile]] = []

    def begin(self, *_: Any) -> None:
        """To be called in a thread of Python as it starts, as `threading.setprofile` has it."""
        profile = cProfile.Profile(time.thread_time)
        self._profiles.append((_NUMBER.sub("", threading.current_thread().name), profile))
        profile.enable()

    def told(self) -> dict[str, dict[str, list[float]]]:
        """{"functions" or "threads": {name: [calls, s in it alone, s with what it called]}}."""
        functions: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
        threads: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
        for thread, profile in list(self._profiles):
            for entry in profile.getstats():
                calls = [entry.callcount, entry.inlinetime, entry.totaltime]
                for sums in (functions[_name(entry.code)], threads[thread]):
                    for position, value in enumerate(calls):
                        sums[position] += value
        return {"functions": functions, "threads": threads}

    def write(self, file: Path) -> None:
        """As JSON; the file is there at once and whole."""
        part = file.with_suffix(".part")
        part.write_text(json.dumps(self.told()), encoding="utf-8")
        part.rename(file)


def _name(code: CodeType | str) -> str:
    if isinstance(code, str):  # of C: <built-in method posix.lstat>
        return code.strip("<>")
    # Without the directory, which may have been another one before.
    return f"{Path(code.co_filename).name}:{code.co_qualname}"


def main() -> int:
    """Runs FSServer's own main.  Returns its exit code."""
    if why := cannot():
        sys.stderr.write(f"noted: {why}\n")
        return 2
    from omero_fs_plugin.monitor import server

    file = Path(sys.argv.pop(1))
    notes, asked = Notes(), threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: asked.set())

    def tell() -> None:
        while asked.wait():
            asked.clear()
            notes.write(file)

    threading.Thread(target=tell, name="tell", daemon=True).start()
    threading.setprofile(notes.begin)
    return server.main()


if __name__ == "__main__":
    # The modules beside this one would hide others of the same name.
    sys.path[0] = os.environ.get("OMERO_FS_CHECKOUT", str(Path(__file__).parents[1]))
    sys.exit(main())
