"""The contenders: FSServer, omero-dropbox, watchdog alone, a bare inotify loop.

The two servers run as in OMERO's grid, but with explicit endpoints instead of
IceGrid.  An Ice client, in a process of its own, receives their events.
omero-dropbox is a black box: its released descriptor says how to start it, and
we speak to it over the Slice interface.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from .ending import in_one_go
from .listener import Heard

PATIENCE = 60.0  # s for a process to be ready, or to end
LONGEST_CALL = 600.0  # s for the slowest contender to watch the largest tree

# Properties `Basics`, `PythonServer` and `MultiThreaded` of OMERO.server's templates.xml.
_GRID_PROPERTIES = {
    "Ice.MessageSizeMax": "250000",
    "Ice.CacheMessageBuffers": "0",
    "Ice.Override.ConnectTimeout": "5000",
    "Ice.ImplicitContext": "Shared",
    "Ice.ThreadPool.Client.Size": "2",
    "Ice.ThreadPool.Client.SizeMax": "50",
    "Ice.ThreadPool.Server.Size": "10",
    "Ice.ThreadPool.Server.SizeMax": "100",
    "Ice.Admin.Endpoints": "tcp -h 127.0.0.1",
    "Ice.Admin.InstanceName": "benchmark",
    "omero.logging.level": "20",
}


class BenchmarkError(Exception):
    """A contender does not do what it must.  The text says which one, and what."""


@dataclass(frozen=True)
class Contender:
    """How one is started."""

    name: str
    listener: str  # argument of benchmarks.listener
    server: tuple[str, ...] = ()  # command; empty: the listener itself watches
    adapter: str = ""  # of the server
    properties: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()  # the workloads that it is for; empty: all there is


FSSERVER = Contender(
    "FSServer",
    "ice",
    (sys.executable, "-m", "omero_fs_plugin.monitor.server"),
    "omerofs.FSServer",
    {"Ice.Admin.ServerId": "FSServer"},
)
BEFORE = "FSServer before"
# Workloads in which a file is to cost hardly more CPU than before
AS_BEFORE = ("one-by-one", "seldom", "burst", "tar", "rewrites", "rsync")
LEAST = replace(
    FSSERVER,
    name="least over Ice",
    server=(sys.executable, "-m", "benchmarks.least"),
    only=("one-by-one", "seldom"),
)
WATCHDOG = Contender("watchdog", "watchdog")
INOTIFY = Contender("inotify", "inotify")


def omero_dropbox(python: str) -> Contender:
    """The released server, in the virtual environment of `python`."""
    return Contender(
        "omero-dropbox",
        "ice",
        (python, "-m", "fsServerMS"),
        "omerofs.MonitorServer",
        {
            "Ice.Admin.ServerId": "MonitorServer",
            "omero.fs.monitorServerIdString": "MonitorServer",
            "omero.fs.monitorServerAdapterName": "omerofs.MonitorServer",
        },
    )


def before(tree: str) -> Contender:
    """FSServer of an earlier commit, whose files are in `tree`."""
    command = ("env", "-C", tree, sys.executable, "-m", "omero_fs_plugin.monitor.server")
    return replace(FSSERVER, name=BEFORE, server=command, only=AS_BEFORE)


class Running:
    """A contender at work, in processes of its own.  A context manager, which ends them."""

    def __init__(self, contender: Contender, scratch: Path) -> None:
        """Returns when it is ready to watch.  Raises BenchmarkError."""
        self.contender = contender
        self._scratch = scratch
        self._log = scratch / f"{contender.name}.out"
        self._server: subprocess.Popen[bytes] | None = None
        self._listener: subprocess.Popen[bytes] | None = None
        self._answers = b""
        try:
            arguments = [contender.listener]
            if contender.server:
                arguments.append(self._start_server())
            with in_one_go():
                self._listener = self._start(
                    [sys.executable, "-m", "benchmarks.listener", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            self._answer()
        except BaseException:
            self.close()
            raise
        self.pid = (self._server or self._listener).pid  # the process that is measured

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def watch(self, root: Path) -> float:
        """Begins to watch.  Returns how long (s) this took."""
        return float(self._ask(f"watch {root}")["seconds"])

    def cycle(self, times: int, root: Path) -> float:
        """Makes, starts, stops and destroys this many monitors; returns the time (s)."""
        return float(self._ask(f"cycle {times} {root}")["seconds"])

    def count(self) -> tuple[int, int]:
        """Events heard so far, and when the last one came (ns)."""
        answer = self._ask("count")
        return answer["count"], answer["last"]

    def heard(self) -> list[Heard]:
        """All of them."""
        file = self._scratch / "heard.json"
        self._ask(f"dump {file}")
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
        file.unlink()
        return [(now, kind, path) for now, kind, path in json.loads(text)]

    def close(self) -> None:
        """Ends its processes.  The listener is the first, so monitors end before their server."""
        if self._listener is not None:
            if self._listener.stdin is not None:
                self._listener.stdin.close()
            _end(self._listener, politely=True)
            if self._listener.stdout is not None:
                self._listener.stdout.close()
        if self._server is not None:
            self._server.terminate()
            _end(self._server, politely=True)

    # ------------------------------------------------------------------------

    def _start(self, command: list[str], **pipes: int) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, **pipes}
            # A group of its own: only this process handles an interrupt.
            return subprocess.Popen(
                command, stderr=log, start_new_session=True, env=_environment(), **streams
            )

    def _start_server(self) -> str:
        """The proxy of its MonitorServer."""
        contender = self.contender
        data = self._scratch / f"{contender.name}.data"
        data.mkdir(exist_ok=True)
        port = _free_port()
        endpoint = f"tcp -h 127.0.0.1 -p {port}"
        properties = {
            **_GRID_PROPERTIES,
            **contender.properties,
            f"{contender.adapter}.Endpoints": endpoint,
            "omero.logging.directory": str(self._scratch),
            "omero.data.dir": str(data),
        }
        config = self._scratch / f"{contender.name}.config"
        lines = [f"{key}={value}\n" for key, value in properties.items()]
        config.write_text("".join(lines), encoding="utf-8")
        with in_one_go():
            self._server = server = self._start([*contender.server, f"--Ice.Config={config}"])
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return f"MonitorServer -t:{endpoint}"
            except OSError as error:
                if server.poll() is not None or time.monotonic() > end:
                    raise BenchmarkError(
                        f"{contender.name} does not start{self._words()}"
                    ) from error
                time.sleep(0.05)

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._listener is not None and self._listener.stdin is not None
        try:
            self._listener.stdin.write(os.fsencode(line) + b"\n")
            self._listener.stdin.flush()
        except BrokenPipeError as error:
            raise BenchmarkError(f"{self.contender.name} has ended{self._words()}") from error
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._listener is not None and self._listener.stdout is not None
        descriptor = self._listener.stdout.fileno()
        end = time.monotonic() + LONGEST_CALL
        while b"\n" not in self._answers:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            given = os.read(descriptor, 65536) if ready else b""
            if not given:
                raise BenchmarkError(f"{self.contender.name} does not answer{self._words()}")
            self._answers += given
        line, _, self._answers = self._answers.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _words(self) -> str:
        """What it wrote last, for an error."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        return "; it said:\n" + "\n".join(lines) if lines else ""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _end(process: subprocess.Popen[bytes], *, politely: bool) -> None:
    try:
        process.wait(PATIENCE if politely else None)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
