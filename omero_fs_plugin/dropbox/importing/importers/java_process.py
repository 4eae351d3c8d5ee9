"""One run of the Java importer: it is started, watched, and ended with all its children."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.dropbox.processes.counted import IMPORTING, JAVA
from omero_fs_plugin.dropbox.processes.order import Order, Process
from omero_fs_plugin.dropbox.processes.starter import start
from omero_fs_plugin.scratch import Scratch

from . import DiskAway, Stopped, java_child

_LOOK_S = 0.1  # between two looks at a run
_END_S = 1.0  # how long Java may take to end after SIGTERM
_KILLED_S = 30.0  # and after SIGKILL; a dead disk may hold it longer
# What Java prints if OMERO did not answer it.
_LOST = re.compile(r"\bIce\.(?:Connect|Connection|\w*Timeout|Socket|UnknownLocal)\w*Exception")
_ROOM = 1 << 16  # bytes that its temporary files need at least
_MOST_READ = 4 * 2**20  # so many bytes of what it printed are read, the last ones


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    output: str
    errors: str
    how: str  # in words; empty for exit code 0
    # Java ended by itself, and not because it lost its connection: OMERO is done too.
    answered: bool = True
    short_of: str = ""  # why its temporary files had no room, at its end


def run_java(
    arguments: Sequence[str],
    *,
    host: str,
    port: int,
    key: str,
    limit: float,
    stopping: Callable[[], bool],
) -> Ended:
    """Runs `omero import` with `arguments` in the session `key`, for at most `limit` s.

    Raises Stopped if it was ended because we stop, and DiskAway if it cannot be started now: the
    disk for temporary files is full, or there is no memory for it.
    """
    with ExitStack() as stack:
        try:
            # Only for us: what Java prints names files, and omero-py keeps things in its
            # directories.
            private = stack.enter_context(Scratch("omero-fs-import"))
            output, errors, ours = (private / name for name in ("out", "err", "log"))
            files = ["--file", str(output), "--errs", str(errors)]
            told = {"host": host, "port": port, "key": key, "arguments": [*files, *arguments]}
            process = _started({**told, "private": str(private)}, ours)
        except OSError as error:
            where = tempfile.tempdir  # None: there is no such directory
            raise DiskAway(
                f"the Java importer cannot be started now: {error.strerror or error}"
                + (f"; its temporary files are in {where}" if where else "")
            ) from error
        try:
            in_time = _wait(process, limit, stopping)
        finally:
            code = _end(process)
        if not in_time:
            how = f"took longer than {limit:g} s, and was ended"
        elif code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}" if code else ""
        errs = "\n".join(_last(path) for path in (ours, errors))
        answered = in_time and code >= 0 and not (code and _LOST.search(errs))
        return Ended(_last(output), errs, how, answered, _short_of(private))


def _started(told: Mapping[str, object], log_file: Path) -> Process:
    """The process, which is told this.  Raises OSError."""
    elsewhere = {f"OMERO_{kind}DIR": str(told["private"]) for kind in ("USER", "SESSION", "TMP")}
    # Under IceGrid there may be no locale, and Java would then lose names beyond ASCII.
    environment = {**os.environ, **elsewhere, "LC_ALL": "C.UTF-8"}
    with log_file.open("wb") as log, tempfile.TemporaryFile("w+") as to_tell:
        json.dump(told, to_tell)
        to_tell.flush()
        to_tell.seek(0)
        process = start(
            Order(
                [sys.executable, "-m", java_child.__name__],
                environment,
                os.getcwd(),  # noqa: PTH109 - a text
                stdin=to_tell.fileno(),
                stdout=log.fileno(),
                stderr=log.fileno(),
            )
        )
    JAVA.one(IMPORTING)
    return process


def _short_of(private: Path) -> str:
    """Why its temporary files may have no room; empty if they have."""
    try:
        with tempfile.TemporaryFile(dir=private) as file:
            os.posix_fallocate(file.fileno(), 0, _ROOM)
    except OSError as error:
        return f"{tempfile.gettempdir()}: {error.strerror}"
    return ""


def _wait(process: Process, limit: float, stopping: Callable[[], bool]) -> bool:
    """Whether it ended within `limit` (s).  Raises Stopped."""
    until, late = time.monotonic() + limit, False
    while process.ended() is None:
        if stopping():
            raise Stopped("stopped while the Java importer ran")
        if late:
            return False
        late = time.monotonic() > until  # it may have ended in time: it is looked at once more
        if not late:
            time.sleep(_LOOK_S)
    return True


def _end(process: Process) -> int:
    """Ends the whole group: Java, and what Java may have started.  Returns the exit code."""
    if process.ended() is None:
        process.send(signal.SIGTERM)
        process.wait(_END_S)
    process.send(signal.SIGKILL)
    code = process.wait(_KILLED_S)
    process.close()
    return -signal.SIGKILL if code is None else code


def _last(path: Path) -> str:
    """What was printed to a file; only the end of it if it is long."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _MOST_READ))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
