"""Linux: which files a process holds open for writing, as far as we may know.

``/proc`` shows this, see proc(5): for our own processes, and for all if we are root.
Only paths are compared.  No file is opened or looked at, because a share that does not
answer would hold us.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

_PROC = "/proc"


class Writers:
    """Finds files that are being written below the watched directories.

    `watch_dir` gives the watched directory of a path, None if it lies in none.
    """

    def __init__(self, watch_dir: Callable[[str], str | None], proc: str = _PROC) -> None:
        self._watch_dir = watch_dir
        self._proc = proc

    def of(self, paths: Collection[str]) -> set[str]:
        """Those of `paths` that are open for writing; empty if there is no /proc."""
        # The paths that the kernel shows have no links in them.
        real: dict[str, str] = {}
        wanted: dict[str, str] = {}
        for path in paths:
            directory = self._watch_dir(path) or "/"
            if directory not in real:
                real[directory] = os.path.realpath(directory)
            below = path[len(directory) :].lstrip("/")
            wanted[f"{real[directory].rstrip('/')}/{below}"] = path
        held: set[str] = set()
        for process in self._processes():
            for descriptor, target in _open_files(process):
                found = wanted.get(target)
                if found is not None and found not in held and _writes(process, descriptor):
                    held.add(found)
        return held

    def _processes(self) -> Iterator[str]:
        with suppress(OSError), os.scandir(self._proc) as entries:
            for entry in entries:
                if entry.name.isdecimal():
                    yield entry.path


def _open_files(process: str) -> Iterator[tuple[str, str]]:
    """Number and path of each descriptor; none if the process is not ours, or has ended."""
    with suppress(OSError), os.scandir(f"{process}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                yield entry.name, os.readlink(entry.path)  # noqa: PTH115


def _writes(process: str, descriptor: str) -> bool:
    with suppress(OSError):
        for line in Path(f"{process}/fdinfo/{descriptor}").read_text("ascii").splitlines():
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False
