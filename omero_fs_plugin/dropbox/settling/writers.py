"""Linux: which files a process holds open for writing, as far as we may know.

``/proc`` shows this, see proc(5): for our own processes, and for all if we are root.
Only paths are compared.  No file is opened or looked at, because a share that does not
answer would hold us.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.stores import is_store

_PROC = "/proc"
_LONGEST_S = 2.0  # for so long one look at all descriptors is used
_SHARE = 0.05  # the part of a core that the looks may take

Open = dict[str, list[tuple[str, str]]]  # path -> processes and numbers of descriptors


class Writers:
    """Finds files that are being written below the watched directories.

    Rule: it looks at processes only if it is asked.  If it is asked often, the looks
    take no more than a twentieth of a core: one look is then used for up to two
    seconds.  A process that begins to write in these two seconds had not written for a
    quiet period; it is as late as one that begins after the look.  Whether a
    descriptor is still open is looked at each time.

    `watch_dir` gives the watched directory of a path, None if there is none.  `real`
    gives its path without links, None if that is not known.
    """

    def __init__(
        self,
        watch_dir: Callable[[str], str | None],
        proc: str = _PROC,
        *,
        real: Callable[[str], str | None] = ROOTS.real,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch_dir = watch_dir
        self._proc = proc
        self._real = real
        self._clock = clock
        self._open: Open = {}  # what the last look found
        self._serves_until = float("-inf")  # s, by the clock

    def of(self, paths: Collection[str]) -> set[str]:
        """Those of `paths` that a process holds open for writing.  Empty without /proc."""
        if not paths:
            return set()
        # The kernel shows paths without links.
        real: dict[str, str] = {}
        wanted: dict[str, str] = {}
        for path in paths:
            directory = self._watch_dir(path) or "/"
            if directory not in real:
                real[directory] = self._real(directory) or _real(directory)
            below = path[len(directory) :].lstrip("/")  # of a store with its slash
            wanted[f"{real[directory].rstrip('/')}/{below}"] = path
        if self._clock() >= self._serves_until:
            self._look()
        held = set()
        found = self._open  # of this look, or of another lane's
        held |= {wanted[store] for store in filter(is_store, wanted) if _writes_below(store, found)}
        for target in wanted.keys() & found.keys():
            if any(_writes(process, number, target) for process, number in found[target]):
                held.add(wanted[target])
        return held

    def _look(self) -> None:
        """Looks at every descriptor of a file."""
        begun = self._clock()
        found: Open = {}
        for process in self._processes():
            for number, target in _open_files(process):
                found.setdefault(target, []).append((process, number))
        now = self._clock()
        self._open = found
        self._serves_until = now + min(_LONGEST_S, (now - begun) / _SHARE)

    def _processes(self) -> Iterator[str]:
        with suppress(OSError), os.scandir(self._proc) as entries:
            for entry in entries:
                if entry.name.isdecimal():
                    yield entry.path


def _real(directory: str) -> str:
    with CALLS.at(directory):
        return os.path.realpath(directory)


def _open_files(process: str) -> Iterator[tuple[str, str]]:
    """Number and path of each descriptor.  Empty if the process is not ours, or has ended."""
    with suppress(OSError), os.scandir(f"{process}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                target = os.readlink(entry.path)  # noqa: PTH115
                if target.startswith("/") and not target.startswith("/dev/"):
                    yield entry.name, target


def _writes_below(store: str, found: Open) -> bool:
    return any(
        _writes(process, number, target)
        for target, descriptors in found.items()
        if target.startswith(store)
        for process, number in descriptors
    )


def _writes(process: str, descriptor: str, target: str) -> bool:
    """Whether the descriptor is still open for writing."""
    with suppress(OSError):
        if os.readlink(f"{process}/fd/{descriptor}") != target:  # noqa: PTH115
            return False
        for line in Path(f"{process}/fdinfo/{descriptor}").read_text("ascii").splitlines():
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False
