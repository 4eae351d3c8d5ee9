"""One child: starts it, asks it, and ends it in every case.

The files that it reads cannot hold up or hurt the caller: each answer has a time limit, memory
has a limit, and a process that does not answer is killed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.processes.order import Order
from omero_fs_plugin.dropbox.processes.starter import start
from omero_fs_plugin.scratch import Scratch

from .bounds import Bounds
from .frames import Frame, decode, encode
from .pulse import Pulse

START_S = 60.0  # a start takes one second; on a machine that swaps, many
_REAP_S = 5.0  # wait so long for a killed process, which a dead file system may hold
_LOOK_S = 0.5  # how often we look at a process while we wait for it
_TAIL = 4096  # bytes of its last output that are kept
# From our environment: where programs and libraries are, and the time zone.  The child gets nothing
# else, because an environment may hold keys and passwords.
_PASSED = ("PATH", "LD_LIBRARY_PATH", "TZ", "JAVA_HOME")
_SCRATCH = "omero-fs-scratch"
# Isolated (-I): our environment and our working directory do not decide which code runs.
_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from omero_fs_plugin.dropbox.grouping.child.main import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]))"
)
# The same.  Java is started in a new process: it takes a second, and has its own environment.
_DOES = "omero_fs_plugin.dropbox.grouping.child.main:main"


class ChildDied(Exception):
    """The process ended, or was ended because it gave no answer.  Its text says why.

    `reading`: the file that it was reading then, as its pulse says; empty: none.  `idle`: it only
    waited for something, such as a disk.
    """

    def __init__(self, text: str, *, reading: str = "", idle: bool = False) -> None:
        super().__init__(text)
        self.reading = reading
        self.idle = idle


class Child:
    """A running child.  Only `kill` is thread-safe."""

    def __init__(
        self,
        serve: str,
        bounds: Bounds,
        given: Frame,
        *,
        scratch: bool = False,
        explain: Callable[[int, bytes], str] = lambda code, said: "",
    ) -> None:
        """Starts it, and waits until it is ready.

        `serve` is the module, see `main`, and `given` its argument.  `scratch`: whether it gets a
        directory to write to, which is removed at its end.  `explain` says what an exit code and
        the last output mean; empty: nothing special.  Raises ChildDied, and OSError if it cannot
        be started: there is no room for its directory, say.
        """
        self._explain = explain
        self._scratch = Scratch(_SCRATCH) if scratch else None
        place = str(self._scratch.path) if self._scratch else ""
        asked = (*bounds.roots, *bounds.more)
        away = tuple(path for path in asked if not CALLS.answers(path))
        bounds = replace(bounds, scratch=place, away=away)
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        page = Pulse.memory()
        self._pulse = Pulse(page)
        try:
            with theirs, os.fdopen(writing, "wb") as output:
                paths = json.dumps([str(Path(path).absolute()) for path in sys.path if path])
                told = [theirs.fileno(), page]
                self._child = start(
                    Order(
                        [sys.executable, "-I", "-c", _BEGIN, paths, *told],
                        _environment(place),
                        "/",
                        stdout=output.fileno(),
                        stderr=output.fileno(),
                        does="" if scratch else _DOES,
                        imports=[serve],
                    )
                )
        except BaseException:
            ours.close()
            os.close(reading)
            self._pulse.close()
            self._remove_scratch()
            raise
        finally:
            os.close(page)
        self._connection = ours
        self._output = reading
        self._received = bytearray()
        self._said = bytearray()  # the end of all that it has printed
        self._printed = self._printed_before = 0  # bytes: in all, and before the last request
        self._selector = selectors.DefaultSelector()
        self._selector.register(ours, selectors.EVENT_READ, self._take_answer)
        self._selector.register(reading, selectors.EVENT_READ, self._take_output)
        try:
            ready = self.ask({"serve": serve, "bounds": bounds.frame(), "with": given}, START_S)
        except ChildDied as died:
            raise ChildDied(f"could not be started: {died}") from died
        if "failed" in ready:
            self.close()
            raise ChildDied(f"could not be started: {ready['failed']}")
        self.ready: Mapping[str, object] = ready
        self.asked_roots = asked
        # The directories it may read -> device and inode, without shares that did not answer.
        self.roots: dict[str, tuple[int, int]] = {
            path: (int(device), int(inode))
            for path, (device, inode) in ready["bound"]["roots"].items()
        }

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def ask(
        self,
        request: Frame,
        limit: float,
        *,
        idle: float = math.inf,
        given_up: Callable[[], bool] = lambda: False,
    ) -> Frame:
        """The answer to `request`.

        `limit`: seconds, counted anew at each beat of the pulse.  `idle`: the same for the time in
        which it uses no processor.  `given_up` is asked twice a second; True: nobody wants the
        answer any more.  Raises ChildDied if the process ends before it answers, is too late or
        is given up.  The process has then ended.
        """
        waiting = _Waiting(self.pid, self._pulse, limit, idle)
        if self.alive():  # else what it printed says why it has ended
            with contextlib.suppress(KeyError):  # it has closed its output
                self._take_output()
            self._printed_before = self._printed
        try:
            self._connection.settimeout(limit)
            self._connection.sendall(encode(request))
            self._connection.setblocking(False)
            while (answer := decode(self._received)) is None:
                ready = self._selector.select(min(_LOOK_S, limit))
                # What it prints is no answer: one that prints without end is looked at too.
                looks = not self._answers(ready) and (not ready or waiting.looks)
                if looks and (waiting.is_over() or given_up()):
                    ready = self._selector.select(0)  # since then we may have had no processor
                    if not self._answers(ready):
                        raise TimeoutError
                for key, _ in ready:
                    take: Callable[[], None] = key.data
                    take()
        except TimeoutError:
            at, idles = self._pulse.path, waiting.idles  # before its end, which takes a processor
            self.close()
            text = f"no answer within {waiting.limit:g} s"
            raise ChildDied(text, reading=at, idle=idles) from None
        except (OSError, EOFError, ValueError) as error:
            at = self._pulse.path
            raise ChildDied(self._end(error), reading=at) from error
        return answer

    def _answers(self, ready: Sequence[tuple[selectors.SelectorKey, int]]) -> bool:
        return any(key.fileobj is self._connection for key, _ in ready)

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
            self._printed += len(data)
            del self._said[:-_TAIL]

    def _end(self, error: Exception) -> str:
        """One line that says why it ended."""
        if isinstance(error, ValueError):
            self.kill()  # it runs, but what it says makes no sense
        code = self._child.wait(_REAP_S)
        with contextlib.suppress(OSError, ValueError, KeyError):
            self._take_output()
        said = bytes(self._said)
        self.close()
        if code is None or isinstance(error, ValueError):
            return f"{error}"
        # What it printed before has nothing to do with this request: notices of its libraries.
        news = said[max(0, len(said) - (self._printed - self._printed_before)) :]
        last = news.decode(errors="replace").strip().rpartition("\n")[2]
        return self._explain(code, said) or _code(code) + (f": {last}" if last else "")

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.ended() is None

    def kill(self) -> None:
        """Ends the process, from any thread.  A thread that waits for an answer gets ChildDied."""
        self._child.send(signal.SIGKILL)

    def close(self) -> None:
        """Ends the process and frees everything it had.  May be called again."""
        if self._output < 0:
            return
        self.kill()
        self._child.wait(_REAP_S)
        self._child.close()
        self._selector.close()
        self._connection.close()
        os.close(self._output)
        self._output = -1
        self._pulse.close()
        self._remove_scratch()

    def _remove_scratch(self) -> None:
        if self._scratch:
            self._scratch.remove()


class _Waiting:
    """How long we wait for an answer."""

    def __init__(self, pid: int, pulse: Pulse, limit: float, idle: float) -> None:
        self._pid, self._pulse = pid, pulse
        self.limit, self._idle = limit, idle
        self._beats, self._cpu = pulse.beats, _cpu(pid)
        self._since = self._idle_since = self._looked = time.monotonic()

    @property
    def looks(self) -> bool:
        """Whether the last look was so long ago that there is another one."""
        return time.monotonic() - self._looked >= _LOOK_S

    @property
    def idles(self) -> bool:
        """Whether the process itself has waited for half of the time, or more.

        This thread may have been held up since its last look, and the process at work.
        """
        waits = time.monotonic() - self._idle_since > min(self._idle, self.limit / 2)
        return waits and _cpu(self._pid) == self._cpu

    def is_over(self) -> bool:
        """Whether the answer has taken too long."""
        now, beats, cpu = time.monotonic(), self._pulse.beats, _cpu(self._pid)
        self._looked = now
        if beats != self._beats:
            self._since = now
        if (beats, cpu) != (self._beats, self._cpu):
            self._idle_since = now
        self._beats, self._cpu = beats, cpu
        return now - self._since >= self.limit or now - self._idle_since >= self._idle


def _cpu(pid: int) -> int:
    """Ticks of a processor that the process has used; 0 if that is not known."""
    try:
        # For each question, so without a Path, which takes longer than the kernel.
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            fields = os.read(file, 1024).rpartition(b")")[2].split()
        finally:
            os.close(file)
        return int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return 0


def _environment(scratch: str) -> dict[str, str]:
    """The environment.  Java decodes names by the locale, so it is UTF-8, as in Python here."""
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return kept | {"LC_ALL": "C.UTF-8", "HOME": scratch or "/", "TMPDIR": scratch or "/"}


def _code(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    names: Sequence[str] = [s.name for s in signal.Signals if s == -code]
    return f"was ended by {names[0] if names else f'signal {-code}'}"
