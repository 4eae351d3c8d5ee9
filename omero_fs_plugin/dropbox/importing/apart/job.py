"""The process of one large fileset, as DropBox sees it: started, answered, ended in every case."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omero_fs_plugin.dropbox.disks.calls import CALLS, LOST_S, Call, RootAway
from omero_fs_plugin.dropbox.importing.importers import DiskAway, Stopped
from omero_fs_plugin.dropbox.importing.importers.disk import disk_errors
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.processes.order import Order, Process
from omero_fs_plugin.dropbox.processes.starter import start
from omero_fs_plugin.errors import FsError

from .wire import error_of, line_of, lines_of_files, told_of, told_of_error

log = logging.getLogger(__name__)

# A process that lives says so every second.  One that has not for so long hangs, and is ended; on a
# machine that swaps, seconds may pass.
SILENT_S = 120.0
STOP_S = 30.0  # a process that was told to stop may take so long
_KILLED_S = 30.0  # and after SIGKILL; a dead disk may hold it longer
_LOOK_MS = 100
_READ = 1 << 16  # bytes at once
# Isolated (-I): our environment and our working directory do not decide which code runs.
_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from omero_fs_plugin.dropbox.importing.apart.child import main; main(int(sys.argv[2]))"
)


class Gone(FsError):
    """The process ended, or was ended because it hung, before it had said how it went."""


@dataclass(frozen=True)
class Job:
    """What is to be done with one fileset: a store, or a set of many files."""

    does: str  # import, hash or remove
    fileset: Fileset
    more: Mapping[str, Any] = field(default_factory=dict)  # what else it needs to know
    # What it may ask -> who answers, with what it gave.
    answers: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    advanced: Callable[[int, int], None] = lambda done, total: None  # bytes, and of all
    # Whether it may be ended when we stop.  Else its end is waited for, as of a call to OMERO.
    may_end: Callable[[], bool] = lambda: True


def run(job: Job, stopping: Callable[[], bool]) -> Any:
    """What the process gives.

    Raises the FsError that it gives instead, Gone, Stopped, and DiskAway if it cannot be started
    now, or if nobody waits for its disk any more.  What an answer raises that is no FsError ends
    the process, and is raised.
    """
    at_disk = CALLS.at(job.fileset.root)
    with _started(job) as talk, disk_errors(job.fileset.path), at_disk as call:
        call.rest()  # until the process says that it waits for the disk
        return _Watch(job, talk, call, stopping).end()


class _Talk:
    """A process, and what it says."""

    def __init__(self, process: Process, reads: int, writes: int) -> None:
        self.process = process
        self._reads, self._writes = reads, writes
        self._rest = b""
        self._poll = select.poll()
        self._poll.register(reads)

    def say(self, said: Mapping[str, Any]) -> None:
        """One line, which the pipe has room for.  If the process is gone, its silence tells."""
        with suppress(BrokenPipeError):
            os.write(self._writes, line_of(said))

    def heard(self) -> list[dict[str, Any]] | None:
        """What it has said by now, after _LOOK_MS at most; None: it says nothing more."""
        if not self._poll.poll(_LOOK_MS):
            return []
        data = os.read(self._reads, _READ)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


class _Watch:
    """Answers one process until it has said how it went."""

    def __init__(self, job: Job, talk: _Talk, call: Call, stopping: Callable[[], bool]) -> None:
        self._job, self._talk, self._call, self._stopping = job, talk, call, stopping
        self._waits = False  # it waits for the disk
        self._told_to_stop: float | None = None  # when (s, monotonic)

    def end(self) -> Any:
        heard = time.monotonic()
        while True:
            began = time.monotonic()
            said = self._talk.heard()
            if said is None:
                raise Gone("the process that imports it has ended in the middle")
            for one in said:
                if "gives" in one:
                    return one["gives"]
                self._take(one)
            now = time.monotonic()
            if said:
                heard = now
            if self._call.lost:  # another thread may have taken over its work
                raise RootAway(self._job.fileset.root, LOST_S)
            self._stop(now)
            # Not `now`: while we had no processor it may have said something.
            if began - heard > SILENT_S:
                raise Gone(f"the process that imports it has not moved for {SILENT_S:.0f} s")

    def _take(self, said: Mapping[str, Any]) -> None:
        if "beat" in said:
            done, total, away = said["beat"]
            self._job.advanced(done, total)
            if away and not self._waits:
                self._call.pulse()
            elif not away:
                self._call.rest()
            self._waits = away
        elif "ask" in said:
            self._talk.say(self._answer(said["ask"], said["of"]))
        elif "log" in said:
            name, level, text = said["log"]
            logging.getLogger(name).log(level, "%s", text)
        elif "error" in said:
            raise error_of(said["error"])
        else:
            raise RuntimeError(f"in the process of {self._job.fileset.path}: {said['failed']}")

    def _answer(self, name: str, of: Any) -> dict[str, Any]:
        self._call.rest()
        try:
            return {"answer": self._job.answers[name](of)}
        except FsError as error:
            return {"error": told_of_error(error)}

    def _stop(self, now: float) -> None:
        if not self._stopping():
            return
        if self._told_to_stop is None:
            self._told_to_stop = now
            self._talk.say({"stop": True})
        if now - self._told_to_stop > STOP_S and self._job.may_end():
            raise Stopped(f"stopped, and the process of {self._job.fileset.path} was ended")


@contextmanager
def _started(job: Job) -> Iterator[_Talk]:
    theirs_in, writes = os.pipe()
    reads, theirs_out = os.pipe()
    try:
        try:
            process = _process(job, theirs_in, theirs_out)
        except OSError as error:
            why = error.strerror or error
            raise DiskAway(f"a process for {job.fileset.path} cannot be started: {why}") from error
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        try:
            yield _Talk(process, reads, writes)
        finally:
            process.send(signal.SIGKILL)
            process.wait(_KILLED_S)
            process.close()
    finally:
        os.close(reads)
        os.close(writes)


def _process(job: Job, stdin: int, stdout: int) -> Process:
    """Raises OSError."""
    level = logging.getLogger("omero_fs_plugin").getEffectiveLevel()
    told = {"do": job.does, "fileset": told_of(job.fileset), "level": level, **job.more}
    paths = json.dumps([str(Path(path).absolute()) for path in sys.path if path])
    # In a file without a name: a session key is never among the arguments of a process.
    with os.fdopen(os.memfd_create("job", os.MFD_CLOEXEC), "wb") as file:
        file.write(line_of(told))
        file.writelines(lines_of_files(job.fileset))
        file.flush()
        words: list[str | int] = [sys.executable, "-I", "-c", _BEGIN, paths, file.fileno()]
        return start(Order(words, os.environ, "/", stdin=stdin, stdout=stdout, stderr=2))
