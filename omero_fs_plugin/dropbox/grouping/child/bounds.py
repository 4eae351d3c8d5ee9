"""What a child may do, said by its parent, and taken by the child before it reads users' files."""

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
# What a Python and a Java need of the system, and no file that says anything of the site.
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
_ONLY_NAME = getattr(os, "O_PATH", os.O_RDONLY)  # O_PATH is Linux's own
_OPEN_S = 5.0  # that a watched directory may take to be opened; a share may hang
_FILE = 256 << 20  # bytes of a file in the scratch directory
_SMALL_FILE = 1 << 16  # where there is none: of the page that the pulse is written to


@dataclass(frozen=True)
class Bounds:
    """The limits of one child.

    Rule: nothing is allowed that is not named here.
    """

    roots: tuple[str, ...]  # watched directories, to be read: each as it is taken now
    more: tuple[str, ...] = ()  # directories that somebody handed over, to be read as well
    reads: tuple[str, ...] = ()  # what else may be read, beside the system's and Python's own
    scratch: str = ""  # the only directory that may be written to; empty: none
    memory: int = 512  # MiB of data, of the whole process
    cpu: int = 600  # s of one answer
    threads: bool = False  # whether it may start any once it is bound

    def frame(self) -> Frame:
        """As it is sent."""
        return asdict(self)

    @classmethod
    def of(cls, frame: Frame) -> Bounds:
        """As it was sent."""
        tuples = {key: tuple(frame[key]) for key in ("roots", "more", "reads")}
        return cls(**{**frame, **tuples})


@dataclass(frozen=True)
class Bound:
    """What has become of it."""

    landlock: int  # version of the kernel's; 0: it has none
    syscalls: bool  # whether they are filtered
    # Those that may be read, with their devices and inodes.  One that does not answer is left out.
    roots: Mapping[str, tuple[int, int]]


def python_paths() -> list[str]:
    """Where this Python and its packages lie."""
    paths = sysconfig.get_paths()
    known = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [*dict.fromkeys([*known, *site.getsitepackages(), _PACKAGE, sys.executable])]


def bind(bounds: Bounds) -> Bound:
    """Gives up, for good, everything else.  Raises OSError when the kernel does not let it."""
    syscalls.give_up_privileges()
    version = landlock.abi()
    # From here on no other directory takes the place of one, see `roots` of confine.
    ROOTS.apply(bounds.roots, {})
    opened = _open_in_time((*bounds.roots, *bounds.more), _OPEN_S)
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
    # Last: to open the directories took threads.
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
    """Those that are there."""
    found = []
    for path in dict.fromkeys(paths):
        try:
            found.append(os.open(path, _ONLY_NAME | os.O_CLOEXEC))
        except OSError:
            continue  # not on this system: then it is not needed either
    return found


def _open_in_time(paths: Iterable[str], limit: float) -> dict[str, int]:
    """Each in a thread of its own, for one that hangs must not keep the others from being read."""
    opened: dict[str, int] = {}
    closed = threading.Event()  # too late
    turn = threading.Lock()

    def take(path: str) -> None:
        try:
            descriptor = ROOTS.open(path)
        except OSError:
            return  # it cannot be read now, or is not to be
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
