"""One process of `worker`: starts it, asks it, and ends it in every case.

A reader cannot hold up or hurt the caller: each answer has a time limit, memory has a
limit, and the process is killed when it does not answer.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from . import worker as bioformats_worker
from .jars import Installation
from .worker import Frame

START_S = 60.0  # a start takes one second, but many on a machine that swaps
_REAP_S = 5.0  # how long we wait for a killed process: a dead file system may hold it
_TAIL = 4096  # so many bytes of its last words are kept
_OUT_OF_MEMORY = 3  # exit code of -XX:+ExitOnOutOfMemoryError
# The JVM reads these variables and says so on stderr.  They are not for our JVM.
_NOT_PASSED = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")


class WorkerDied(Exception):
    """The process ended, or was ended because it gave no answer.  Its text says why."""


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
        "-Djava.awt.headless=true",
    ]


class Process:
    """A running worker.  Not thread-safe, except for `kill`."""

    def __init__(self, installation: Installation, *, memory: int) -> None:
        """Starts it, which takes about a second.

        `memory`: MiB of Java heap.  Raises WorkerDied.
        """
        self._memory = memory
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        with theirs, os.fdopen(writing, "wb") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", bioformats_worker.__name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,  # so that Ctrl-C in a shell does not reach it
            )
        self._connection = ours
        self._output = reading
        self._received = bytearray()
        self._said = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(ours, selectors.EVENT_READ, self._take_answer)
        self._selector.register(reading, selectors.EVENT_READ, self._take_output)
        first = {
            "jvm": installation.jvm,
            "jars": list(installation.jars),
            "options": jvm_options(memory),
        }
        try:
            answer = self.ask(first, START_S)
        except WorkerDied as died:
            raise WorkerDied(f"could not be started: {died}") from died
        if "failed" in answer:
            self.close()
            raise WorkerDied(f"could not be started: {answer['failed']}")
        self.version = str(answer["ready"])  # of Bio-Formats

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._child.pid

    def ask(self, request: Frame, limit: float) -> Frame:
        """The answer to `request`.

        `limit`: seconds.  Raises WorkerDied if the process ends before it answers, or
        answers too late.  In either case it is gone then.
        """
        deadline = time.monotonic() + limit
        try:
            self._connection.settimeout(limit)
            self._connection.sendall(bioformats_worker.encode(request))
            self._connection.setblocking(False)
            while (answer := bioformats_worker.decode(self._received)) is None:
                ready = self._selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    take: Callable[[], None] = key.data
                    take()
        except TimeoutError:
            self.close()
            raise WorkerDied(f"no answer within {limit:g} s") from None
        except (OSError, EOFError, ValueError) as error:
            raise WorkerDied(self._end(error)) from error
        return answer

    def _take_answer(self) -> None:
        data = self._connection.recv(1 << 16)
        if not data:
            raise EOFError("its end of the connection is closed")
        self._received += data

    def _take_output(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._output, 1 << 16)
            if not data:
                self._selector.unregister(self._output)
            self._said += data
            del self._said[:-_TAIL]

    def _end(self, error: Exception) -> str:
        """Why it ended, in one line."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_REAP_S)
        code = self._child.poll()
        with contextlib.suppress(OSError, ValueError, KeyError):
            self._take_output()
        self.close()
        if code is None:
            return f"{error}"
        if code == _OUT_OF_MEMORY and b"OutOfMemoryError" in self._said:
            return f"needs more than {self._memory} MiB of memory"
        last = self._said.decode(errors="replace").strip().rpartition("\n")[2]
        return _code(code) + (f": {last}" if last else "")

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.poll() is None

    def kill(self) -> None:
        """Ends the process, from any thread.  A thread that waits for an answer gets WorkerDied."""
        self._child.kill()

    def close(self) -> None:
        """Ends the process and closes everything.  A second call does nothing."""
        if self._output < 0:
            return
        self._child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_REAP_S)
        self._selector.close()
        self._connection.close()
        os.close(self._output)
        self._output = -1


def _environment() -> dict[str, str]:
    """Java decodes file names by the locale: make it UTF-8, as Python does here."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
    return kept | {"LC_ALL": "C.UTF-8"}


def _code(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    names: Sequence[str] = [s.name for s in signal.Signals if s == -code]
    return f"was ended by {names[0] if names else f'signal {-code}'}"
