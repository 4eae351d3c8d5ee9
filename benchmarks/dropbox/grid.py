"""A sandbox grid for one scenario: makes it, configures it, runs it, asks it, ends it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import NamedTuple

from benchmarks import measure
from benchmarks.contenders import BenchmarkError

from . import history

COMMAND_LIMIT = 180.0  # s for any one command
PATIENCE = 90.0  # s for a server to run
LOG_LINES = 15
SERVERS = ("DropBox", "FSServer", "Blitz-0", "OMERO.Glacier2")  # as IceGrid calls them

_FOREIGN = ("OMERODIR", "OMERO_HOME", "OMERO_SESSIONDIR", "OMERO_MASTER", "ICE_CONFIG")


class Timed(NamedTuple):
    """What a command took."""

    seconds: float
    cpu: float  # s, of it and of what it started


class Started(NamedTuple):
    """What a start took, since `omero admin start` was done."""

    seconds: float  # until DropBox works
    longest: float  # s that an `omero fs status` took meanwhile; one is asked each half second


class Grid:
    """A sandbox below `scratch`; a context manager that stops it and removes it."""

    def __init__(
        self, scratch: Path, properties: Mapping[str, str], *, users: Collection[str] = ()
    ) -> None:
        """Makes it, not started; with `users` beside amy and zak.  Raises BenchmarkError."""
        self._know(scratch / "sandbox", scratch / "omero")
        more = [word for user in users for word in ("--user", user)]
        self._run("omero", "fs", "sandbox", "create", self.directory, *more)
        self.configure(properties)

    @classmethod
    def there(cls, directory: Path, logins: Path) -> Grid:
        """A sandbox that somebody else has made, and starts, stops and removes."""
        grid = cls.__new__(cls)
        grid._know(directory, logins)
        return grid

    def _know(self, directory: Path, logins: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.journal = self.data / "omero-fs-journal.sqlite"
        self.dropped: list[Path] = []  # in all parts that ran here so far; kept by them
        self._environment = {
            **{k: v for k, v in os.environ.items() if k not in _FOREIGN},
            "OMERO_USERDIR": str(logins),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }

    def __enter__(self) -> Grid:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def home(self, user: str) -> Path:
        """The user's directory in the DropBox."""
        return self.data / "DropBox" / user

    def configure(self, properties: Mapping[str, str]) -> None:
        """Does what `omero config set` does.  The next start reads it."""
        from omero.config import ConfigXml

        config = ConfigXml(str(self.directory / "etc" / "grid" / "config.xml"))
        for key, value in properties.items():
            config[key] = value
        config.close()

    def start_unasked(self) -> None:
        """`omero admin start` alone: nobody asks how far it is.  Raises BenchmarkError."""
        self._run(self.directory / "bin" / "omero", "admin", "start")

    def start(self, asking: Mapping[str, str] | None = None) -> Started:
        """Returns when DropBox works and has its monitor.  Raises BenchmarkError.

        `asking` is added to the environment of the command that asks for its state.
        """
        self.start_unasked()
        began = time.monotonic()
        end = began + PATIENCE
        status = (self.directory / "bin" / "omero", "fs", "status", "--json")
        longest = 0.0
        while True:
            asked = time.monotonic()
            try:
                # What is still being started is no trouble; an earlier commit does not tell it.
                starting = json.loads(self._run(*status, more=asking or {})).get("starting")
                why = "; ".join(starting or ())
            except BenchmarkError as error:
                why = str(error)
            longest = max(longest, time.monotonic() - asked)
            if not why:
                return Started(time.monotonic() - began, longest)
            if time.monotonic() > end:
                raise BenchmarkError(f"{why}\n{self.logs()}")
            time.sleep(0.5)

    def stop(self) -> None:
        """`omero admin stop`, if it runs.  Kills the processes that do not end."""
        pid = self._node()
        if pid is None:
            return
        servers = [found for name in SERVERS if (found := self._find(name)) is not None]
        try:
            self._run(self.directory / "bin" / "omero", "admin", "stop", "--wait", "60")
        except BenchmarkError:
            for one in (pid, *servers):
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            raise

    def pid(self, server: str) -> int:
        """Of a server of the grid.  Raises BenchmarkError when it does not run."""
        found = self._find(server)
        if found is None:
            raise BenchmarkError(f"{server} does not run\n{self.logs()}")
        return found

    def cpu(self) -> dict[str, float]:
        """s of CPU that each server has used so far, its children included."""
        return {name: measure.cpu_seconds(self.pid(name)) for name in SERVERS}

    def peak(self) -> int:
        """Bytes of memory that DropBox had at most."""
        return measure.memory(self.pid("DropBox"), "VmHWM")

    def wait(
        self, what: str, holds: Callable[[dict[str, int]], bool], *, patience: float
    ) -> dict[str, int]:
        """Waits until the journal has these counts of states.  It looks once a second.

        `patience`: s without any change of the counts.  Raises BenchmarkError.
        """
        last: dict[str, int] = {}
        since = time.monotonic()
        while True:
            found = history.counts(self.journal)
            if holds(found):
                return found
            if found != last:
                last, since = found, time.monotonic()
            elif time.monotonic() - since > patience:
                raise BenchmarkError(f"still not {what}: {found}\n{self.logs()}")
            time.sleep(1.0)

    def timed(self, *words: str) -> Timed:
        """What `omero` with these words took.  Raises BenchmarkError."""
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        self._run(self.directory / "bin" / "omero", *words)
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
        return Timed(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    def log(self, server: str) -> list[str]:
        """Its log, line by line."""
        file = self.directory / "var" / "log" / f"{server}.log"
        return file.read_text(encoding="utf-8", errors="replace").splitlines()

    def logs(self) -> str:
        """The last lines of DropBox's log and FSServer's, for an error."""
        text = []
        for server in ("DropBox", "FSServer"):
            with suppress(OSError):
                text += [f"--- {server}.log", *self.log(server)[-LOG_LINES:]]
        return "\n".join(text)

    # ------------------------------------------------------------------------

    def _node(self) -> int | None:
        """The process of IceGrid's node, if it runs; its file may outlive it."""
        file = self.directory / "var" / "master" / "master.pid"
        try:
            pid = int(file.read_text(encoding="ascii"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return None
        return pid if os.fsencode(self.directory) in words or b"icegridnode" in words else None

    def _find(self, server: str) -> int | None:
        """By the configuration file that IceGrid's node gives to each server."""
        mark = f"/servers/{server}/config/config"
        place = os.fsencode(self.directory)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has just ended
            if any(place in word and word.endswith(mark.encode()) for word in words):
                return int(entry.name)
        return None

    def _run(self, *command: str | Path, more: Mapping[str, str] = MappingProxyType({})) -> str:
        words = [str(word) for word in command]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_LIMIT,
                env={**self._environment, **more},
            )
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(
                f"`{' '.join(words)}` took more than {COMMAND_LIMIT:g} s"
            ) from error
        if done.returncode:
            raise BenchmarkError(
                f"`{' '.join(words)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout
