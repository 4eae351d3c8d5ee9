"""One child with Bio-Formats in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from omero_fs_plugin.dropbox.grouping.child.bounds import Bounds
from omero_fs_plugin.dropbox.grouping.child.process import Child, ChildDied
from omero_fs_plugin.dropbox.processes.counted import GROUPING, JAVA

from . import worker
from .jars import Installation

_OUT_OF_MEMORY = 3  # exit code of -XX:+ExitOnOutOfMemoryError
# MiB beside the heap, and what lies outside it: Java's own code, threads and compiler.
_BESIDE = 1024
_HOUSEKEEPING_MS = 60_000
# What a JVM looks at, beside its own directory, to know the machine that it runs on.
_OF_MACHINE = (
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
)


def jvm_options(memory: int) -> list[str]:
    """The options of a JVM with `memory` MiB of heap, which ends if these are not enough."""
    return [
        f"-Xmx{memory}m",
        f"-XX:MaxDirectMemorySize={memory}m",
        "-XX:+UseSerialGC",
        # Compile once, quickly, and after a tenth of the usual number of runs: a reader's code
        # is large, and each part of it runs seldom, so most of it would only be interpreted.
        "-XX:TieredStopAtLevel=1",
        "-XX:CompileThresholdScaling=0.1",
        "-XX:+ExitOnOutOfMemoryError",
        # No files of its own: neither statistics in /tmp nor a report of a crash.
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={os.devnull}",
        "-XX:-CreateCoredumpOnCrash",
        # Java looks at its locks four times a second, and stops its threads once a second, also
        # while nothing happens.  Once a minute is enough for us.  A JVM that does not know one
        # of these options goes without.
        "-XX:+IgnoreUnrecognizedVMOptions",
        "-XX:+UnlockDiagnosticVMOptions",
        f"-XX:GuaranteedSafepointInterval={_HOUSEKEEPING_MS}",
        f"-XX:AsyncDeflationInterval={_HOUSEKEEPING_MS}",
        "-Djava.awt.headless=true",
    ]


def start(
    installation: Installation,
    roots: tuple[str, ...],
    more: tuple[str, ...],
    *,
    memory: int,
    time_limit: float,
) -> Child:
    """Starts it, which takes about a second.

    `roots`, `more`: the directories that it may read, as Bounds has them; `memory`: MiB of Java
    heap; `time_limit`: s of one answer.  Raises ChildDied, and OSError if none can be started.
    """
    bounds = Bounds(
        roots,
        more,
        reads=tuple(_reads(installation)),
        memory=2 * memory + _BESIDE,
        cpu=(int(time_limit) + 60) * (os.cpu_count() or 1),
        threads=True,
    )
    given = {
        "jvm": installation.jvm,
        "jars": list(installation.jars),
        "options": jvm_options(memory),
    }
    try:
        child = Child(worker.__name__, bounds, given, scratch=True, explain=_explainer(memory))
    except ChildDied:
        JAVA.one(GROUPING)  # it was started, and was not ready
        raise
    JAVA.one(GROUPING)
    return child


def _explainer(memory: int) -> Callable[[int, bytes], str]:
    def explain(code: int, said: bytes) -> str:
        if code == _OUT_OF_MEMORY and b"OutOfMemoryError" in said:
            return f"needs more than {memory} MiB of memory"
        return ""

    return explain


def _reads(installation: Installation) -> Iterable[str]:
    """Java, wherever its parts are linked to, and the jars."""
    jvm = Path(installation.jvm).resolve()
    home = next((above for above in jvm.parents if above.name == "lib"), jvm).parent
    yield str(home)
    # Debian keeps what may be configured elsewhere, and links to each such file.
    yield from {str(link.resolve()) for link in home.rglob("*") if link.is_symlink()}
    yield from installation.jars
    yield from _OF_MACHINE
