"""What happens in the watched directory: the cases in which faults were seen, and more.

`prepare` of a workload comes before anyone watches.  `run` acts, and returns the
events that a client should receive.  Files have 1 KiB.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .measure import Expected

CONTENT = b"\x5a" * 1024
MEBIBYTE = 1024 * 1024
SMALL_QUEUE = 256  # events


def write(path: str) -> int:
    """Makes a new file.  Returns the time (ns) of its close."""
    with open(path, "wb", buffering=0) as stream:  # noqa: PTH123 - pathlib costs the workload more
        stream.write(CONTENT)
    return time.monotonic_ns()


def names(root: Path, files: int, *, directories: int) -> Iterator[str]:
    """Paths of this many files in the directories d000, d001... of `root`."""
    for number in range(files):
        yield f"{root}/d{number % directories:03}/image-{number:06}.tif"


def make_directories(root: Path, count: int) -> None:
    """d000, d001..."""
    for number in range(count):
        (root / f"d{number:03}").mkdir(parents=True)


@dataclass(frozen=True)
class Workload:
    """Rule: what `prepare` leaves in `root` causes no events."""

    name: str
    text: str  # for the report; {count} is the number of files
    count: int  # of files, at full size
    kernel_queue: int | None = None  # events; None: as the system has it

    def prepare(self, root: Path, beside: Path, count: int) -> None:
        """Called before anyone watches.  `beside` is on the same file system."""

    def run(self, root: Path, beside: Path, count: int) -> Expected:
        """Acts as fast as it can."""
        raise NotImplementedError


@dataclass(frozen=True)
class OneByOne(Workload):
    """A microscope at work."""

    pause: float = 0.01  # s

    def prepare(self, root: Path, beside: Path, count: int) -> None:
        make_directories(root, 10)

    def run(self, root: Path, beside: Path, count: int) -> Expected:
        at: dict[str, int] = {}
        for path in names(root, count, directories=10):
            at[path] = write(path)
            time.sleep(self.pause)
        return Expected("Create", at)


class Burst(Workload):
    """Files in existing directories, one after the other without a pause."""

    def prepare(self, root: Path, beside: Path, count: int) -> None:
        make_directories(root, 10)

    def run(self, root: Path, beside: Path, count: int) -> Expected:
        return Expected("Create", {p: write(p) for p in names(root, count, directories=10)})


class Unpack(Workload):
    """`tar x`: new directories, filled at once.

    tar does not say when it closes a file.  We take the last change of the inode,
    a moment earlier (the kernel keeps it in ticks of some ms).
    """

    DIRECTORIES = 100

    def prepare(self, root: Path, beside: Path, count: int) -> None:
        packed = beside / "packed"
        make_directories(packed, self.DIRECTORIES)
        for path in names(packed, count, directories=self.DIRECTORIES):
            write(path)
        subprocess.run(["tar", "-C", packed, "-cf", beside / "packed.tar", "."], check=True)

    def run(self, root: Path, beside: Path, count: int) -> Expected:
        subprocess.run(["tar", "-C", root, "-xf", beside / "packed.tar"], check=True)
        shift = time.time_ns() - time.monotonic_ns()
        paths = names(root, count, directories=self.DIRECTORIES)
        return Expected("Create", {p: os.lstat(p).st_ctime_ns - shift for p in paths})


class Directories(Workload):
    """New directories with one file each: filled before anyone can watch them."""

    def run(self, root: Path, beside: Path, count: int) -> Expected:
        at: dict[str, int] = {}
        for number in range(count):
            directory = f"{root}/new-{number:05}"
            os.mkdir(directory)  # noqa: PTH102
            path = f"{directory}/image.tif"
            at[path] = write(path)
        return Expected("Create", at)


class Move(Workload):
    """A whole tree by one rename: the kernel gives one event for all its files."""

    DIRECTORIES = 20
    RESTS = 1.0  # s; who moves a tree has written it before, and not just now

    def prepare(self, root: Path, beside: Path, count: int) -> None:
        tree = beside / "tree"
        make_directories(tree, self.DIRECTORIES)
        for path in names(tree, count, directories=self.DIRECTORIES):
            write(path)
        time.sleep(self.RESTS)

    def run(self, root: Path, beside: Path, count: int) -> Expected:
        (beside / "tree").rename(root / "tree")
        now = time.monotonic_ns()
        return Expected(
            "Create",
            dict.fromkeys(names(root / "tree", count, directories=self.DIRECTORIES), now),
        )


class Rewrite(Workload):
    """An existing file of `count` MiB, written anew in as many chunks."""

    def prepare(self, root: Path, beside: Path, count: int) -> None:
        with (root / "stack.tif").open("wb") as stream:
            stream.truncate(count * MEBIBYTE)
            os.posix_fallocate(stream.fileno(), 0, count * MEBIBYTE)

    def run(self, root: Path, beside: Path, count: int) -> Expected:
        chunk = b"\xa5" * MEBIBYTE
        path = root / "stack.tif"
        with path.open("r+b", buffering=0) as stream:
            for _ in range(count):
                stream.write(chunk)
        return Expected("Modify", {str(path): time.monotonic_ns()})


class RewriteMany(Workload):
    """Known files, each written anew, one after the other without a pause."""

    def prepare(self, root: Path, beside: Path, count: int) -> None:
        make_directories(root, 10)
        for path in names(root, count, directories=10):
            write(path)

    def run(self, root: Path, beside: Path, count: int) -> Expected:
        return Expected("Modify", {p: write(p) for p in names(root, count, directories=10)})


class Rsync(Workload):
    """As rsync does: a hidden temporary name, renamed when it is complete."""

    def prepare(self, root: Path, beside: Path, count: int) -> None:
        make_directories(root, 10)

    def run(self, root: Path, beside: Path, count: int) -> Expected:
        at: dict[str, int] = {}
        for path in names(root, count, directories=10):
            above, _, name = path.rpartition("/")
            temporary = f"{above}/.{name}.Xa7Tq2"
            write(temporary)
            os.rename(temporary, path)  # noqa: PTH104
            at[path] = time.monotonic_ns()
        return Expected("Create", at)


WORKLOADS: tuple[Workload, ...] = (
    OneByOne("one-by-one", "{count:,} files one by one, 10 ms apart", 1_000),
    OneByOne("seldom", "{count:,} files one by one, 150 ms apart", 100, pause=0.15),
    Burst("burst", "burst of {count:,} files", 50_000),
    Unpack("tar", "tar x of {count:,} files", 20_000),
    Directories("directories", "{count:,} new directories, a file in each at once", 2_000),
    Move("move", "mv of a tree of {count:,} files", 10_000),
    Rewrite("rewrite", "an existing file of {count:,} MiB rewritten in as many chunks", 2_048),
    RewriteMany("rewrites", "{count:,} known files rewritten", 10_000),
    Rsync("rsync", "{count:,} files rsync style: temporary name, rename", 10_000),
    Burst("queue", "kernel queue of 256, burst of {count:,} files", 20_000, SMALL_QUEUE),
)


def clear(*directories: Path) -> None:
    """Empties them with rm, which is the fastest way."""
    for directory in directories:
        subprocess.run(["rm", "-rf", "--", directory], check=True)
        directory.mkdir(parents=True)


def size(workload: Workload, *, quick: bool) -> int:
    """A tenth for `--quick`."""
    return workload.count // 10 if quick else workload.count
