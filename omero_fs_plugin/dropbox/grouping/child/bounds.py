"""What a child may do.  Its parent says it, and the child takes it before it reads users' files."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from omero_fs_plugin.dropbox.confine.roots import ROOTS

from . import landlock, syscalls
from .frames import Frame
from .limits import bound_process

_PACKAGE = str(Path(__file__).parents[3])
# The files of the system that Python and Java need; none of them says anything about the site.
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/timezone",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
)
_ONLY_NAME = getattr(os, "O_PATH", os.O_RDONLY)  # only Linux has O_PATH
# To open a watched directory may take so long: all others wait for it.  If a child has left one out
# that answers, it is started anew when somebody asks for that one, see `kept`.
_OPEN_S = 1.0
_FILE = 256 << 20  # bytes of a file in the scratch directory
_SMALL_FILE = 1 << 16  # without a scratch directory: for the page of the pulse


@dataclass(frozen=True)
class Bounds:
    """The limits of one child.

    Rule: what is not named here is not allowed.
    """

    roots: tuple[str, ...]  # watched directories, to be read: each as it is taken now
    more: tuple[str, ...] = ()  # directories that somebody handed over; it may read them too
    away: tuple[str, ...] = ()  # of all these, those that do not answer now: they are left out
    reads: tuple[str, ...] = ()  # more that it may read, beside the system's and Python's files
    scratch: str = ""  # the only directory that may be written to; empty: none
    memory: int = 512  # MiB of data, of the whole process
    cpu: int = 600  # s of one answer
    threads: bool = False  # whether it may start threads after it is bound

    def frame(self) -> Frame:
        """The bounds as they are sent."""
        return asdict(self)

    @classmethod
    def of(cls, frame: Frame) -> Bounds:
        """The bounds from what was sent."""
        tuples = {key: tuple(frame[key]) for key in ("roots", "more", "away", "reads")}
        return cls(**{**frame, **tuples})


@dataclass(frozen=True)
class Bound:
    """Which of the bounds the kernel enforces."""

    landlock: int  # the version of the kernel's Landlock; 0: it has none
    syscalls: bool  # whether system calls are filtered
    # The directories it may read -> device and inode.  One that does not answer is left out.
    roots: Mapping[str, tuple[int, int]]


def python_paths() -> list[str]:
    """The directories of this Python and its packages."""
    paths = sysconfig.get_paths()
    known = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [*dict.fromkeys([*known, *site.getsitepackages(), _PACKAGE, sys.executable])]


def bind(bounds: Bounds) -> Bound:
    """Gives up everything else, for good.  Raises OSError if the kernel refuses."""
    syscalls.give_up_privileges()
    version = landlock.abi()
    # From here on no other directory can replace one of them; see `roots` of confine.
    ROOTS.apply(bounds.roots, {})
    asked = [path for path in (*bounds.roots, *bounds.more) if path not in bounds.away]
    opened = _open_in_time(asked, _OPEN_S)
    roots = {path: identity_of(descriptor) for path, descriptor in opened.items()}
    if version:
        system = _open_all([*_SYSTEM, *_libraries(), *python_paths(), *bounds.reads])
        scratch = _open_all([bounds.scratch] if bounds.scratch else [])
        try:
            landlock.restrict([*system, *opened.values()], scratch, version)
        finally:
            _close([*system, *scratch])
    _close(opened.values())
    filtered = syscalls.refuse()
    # Last, because threads open the directories.
    bound_process(
        memory=bounds.memory,
        file=_FILE if bounds.scratch else _SMALL_FILE,
        threads=bounds.threads,
    )
    return Bound(version, filtered, roots)


def _libraries() -> list[str]:
    return [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path]


def identity_of(descriptor: int) -> tuple[int, int]:
    """Device and inode."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _open_all(paths: Iterable[str]) -> list[int]:
    """Opens those that exist."""
    found = []
    for path in dict.fromkeys(paths):
        try:
            found.append(os.open(path, _ONLY_NAME | os.O_CLOEXEC))
        except OSError:
            continue  # this system lacks it, so it is not needed
    return found


def _open_in_time(paths: Iterable[str], limit: float) -> dict[str, int]:
    """Opens each in a thread of its own, because one that hangs must not hold up the others."""
    opened: dict[str, int] = {}
    closed = threading.Event()  # too late
    turn = threading.Lock()

    def take(path: str) -> None:
        try:
            descriptor = ROOTS.open(path)
        except OSError:
            return  # it cannot be read now, or must not be
        with turn:
            if not closed.is_set():
                opened[path] = descriptor
                return
        os.close(descriptor)

    threads = [threading.Thread(target=take, args=[path], daemon=True) for path in paths]
    for thread in threads:
        thread.start()
    end = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    with turn:
        closed.set()
        return dict(opened)
