"""Starts processes without holding anybody up, whatever hangs; see the package.

A server calls `ready` before it opens a file of a user.  Without that, as in the command line, a
process is started in the ordinary way.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from .order import Order, Process, Unanswered, send
from .own import Own
from .program import PACKET, UNHEEDED

log = logging.getLogger(__name__)

_ANSWER_S = 30  # the starting process answers in milliseconds; on a machine that swaps, later
_AGAIN_S = 5.0  # so long nobody else tries, when another one could not be made
# Isolated (-I), as the processes that read users' files: nothing in the environment decides which
# code runs.
_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from omero_fs_plugin.dropbox.processes.program import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]))"
)


def start(order: Order) -> Process:
    """Starts it.  Raises OSError, and of these Unanswered if it may have run for a moment."""
    found = _STARTER.found
    if found is None or found.owner != os.getpid():
        return Own(order)

    def kept() -> Starter:
        if not order.does:
            return ready()
        return _NURSERY.ready(lambda: Starter(lambda theirs: _nursery(theirs, order.environment)))

    return _started_by(kept, order)


def _started_by(kept: Callable[[], Starter], order: Order) -> Process:
    """By a starting process, or by the next one if nobody knew yet that it had ended."""
    try:
        return kept().start(order)
    except (BrokenPipeError, ConnectionResetError):
        return kept().start(order)  # it had ended, and did not get the order


def ready() -> Starter:
    """The process that starts others, which is made if there is none.  Raises OSError."""
    return _STARTER.ready(lambda: Starter(_child))


_NONE = "the process that starts others cannot be started"


class _Kept:
    """A starting process, which is made anew when it has ended."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: Starter | None = None
        self.not_before = 0.0  # s, monotonic: until then no other one is made

    def ready(self, make: Callable[[], Starter]) -> Starter:
        """It, made if there is none.  Raises OSError."""
        with self.lock:
            if self.found is not None and self.found.owner == os.getpid():
                if not self.found.gone:
                    return self.found
                if time.monotonic() < self.not_before:
                    raise OSError(errno.EAGAIN, _NONE)
                log.warning("the process that starts others has ended, and is started again")
            try:
                self.found = make()
            except OSError:
                self.not_before = time.monotonic() + _AGAIN_S  # others have waited meanwhile
                raise
            return self.found


# Those of this process.  The one that copies itself never gets an order with keys or passwords: its
# copies read users' files.
_STARTER, _NURSERY = _Kept(), _Kept()


@dataclass(eq=False)
class _Started:
    """A child of the starting process."""

    starter: Starter
    pid: int
    code: int | None = None
    over: threading.Event = field(default_factory=threading.Event)
    closed: bool = False
    # While a signal is sent nobody gives the number away.
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ended(self) -> int | None:
        return self.code

    def wait(self, limit: float) -> int | None:
        self.over.wait(limit)
        return self.code

    def send(self, number: int) -> None:
        # It is no number of another process: until `close` it stays a zombie, if it has ended.
        with self.lock:
            if not self.closed and not self.starter.gone:
                send(self.pid, number)

    def close(self) -> None:
        with self.lock:
            if self.closed:
                return
            self.closed = True
        self.starter.done(self)

    def end(self, code: int) -> None:
        """It has ended."""
        self.code = code
        self.over.set()


class _Running(Protocol):
    """A starting process, for its client."""

    @property
    def pid(self) -> int: ...
    def kill(self) -> None: ...
    def wait(self) -> int | None: ...


def _words(theirs: str | int, parent: int) -> list[str | int]:
    paths = json.dumps([str(Path(path).absolute()) for path in sys.path if path])
    return [sys.executable, "-I", "-c", _BEGIN, paths, theirs, str(parent)]


def _child(theirs: socket.socket) -> _Running:
    """One that is a child of this process.  Raises OSError."""
    os.set_inheritable(theirs.fileno(), True)
    # It unblocks them when it has handlers for them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, UNHEEDED)
    try:
        return subprocess.Popen(
            [str(word) for word in _words(theirs.fileno(), os.getpid())],
            stdin=subprocess.DEVNULL,
            # The kernel closes our files there when the program begins.  If that waits for a
            # share, this thread waits too; a close before that would hold up all threads.
            close_fds=False,
            cwd="/",
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nursery(theirs: socket.socket, environment: Mapping[str, str]) -> _Running:
    """One that another started, so that it has no file of ours.  Raises OSError.

    It has the environment of its copies from the start: Python reads the locale then.
    """
    words = _words(theirs.fileno(), 0)
    return _Nursery(_started_by(ready, Order(words, environment, "/", stdout=2, stderr=2)))


@dataclass(frozen=True)
class _Nursery:
    process: Process

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.send(signal.SIGKILL)

    def wait(self) -> int | None:
        """Its end is known: its socket is closed."""
        self.process.close()
        return self.process.ended()


class Starter:
    """The process that starts others, as its only client sees it."""

    def __init__(self, begin: Callable[[socket.socket], _Running]) -> None:
        """Starts it, by `begin` with its socket.  Raises OSError."""
        self.owner = os.getpid()
        self._begin = begin
        self.gone = False
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        limit = struct.pack("@ll", _ANSWER_S, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._lock = threading.Lock()
        self._sending = threading.Lock()  # nobody closes the socket while another sends
        self._starting: dict[int, SimpleQueue[_Started | OSError]] = {}
        self._started: dict[int, _Started] = {}
        self._tokens = 0
        made: SimpleQueue[_Running | OSError] = SimpleQueue()
        lives = threading.Thread(
            target=self._live, args=[theirs, made], name="starter", daemon=True
        )
        try:
            lives.start()
        except RuntimeError as error:  # too many threads, or too little memory
            self._connection.close()
            theirs.close()
            raise OSError(errno.EAGAIN, _NONE) from error
        try:
            process = made.get(timeout=_ANSWER_S)
        except Empty:
            self.gone = True  # its thread ends it, as soon as it can
            self._hang_up()  # ... also if it has just begun to listen
            raise OSError(errno.ETIMEDOUT, _NONE) from None
        if isinstance(process, OSError):
            self.gone = True
            raise process
        self._process = process
        self.pid = process.pid

    def _live(self, theirs: socket.socket, made: SimpleQueue[_Running | OSError]) -> None:
        """From start to end, in one thread: the process ends with the thread that started it."""
        try:
            with theirs:
                process = self._begin(theirs)
        except Exception as error:  # whatever it is: others wait for an answer
            self._connection.close()
            told = error if isinstance(error, OSError) else OSError(errno.EAGAIN, str(error))
            made.put(told)
            return
        made.put(process)
        if not self.gone:
            self._listen()
        self._over(process)

    def start(self, order: Order) -> Process:
        """Raises OSError; Unanswered if no answer comes.  Another one gets the next order then."""
        descriptors: list[int] = []

        def passed(descriptor: int | None) -> int | None:
            if descriptor is None:
                return None
            descriptors.append(descriptor)
            return len(descriptors) - 1

        words = [word if isinstance(word, str) else passed(word) for word in order.words]
        request = {
            "words": words,
            "pass": [word for word in words if isinstance(word, int)],
            "environment": dict(order.environment),
            "at": order.at,
            "stdin": passed(order.stdin),
            "stdout": passed(order.stdout),
            "stderr": passed(order.stderr),
            "does": order.does,
            "imports": list(order.imports),
        }
        answers: SimpleQueue[_Started | OSError] = SimpleQueue()
        with self._lock:
            self._tokens += 1
            token = self._tokens
            self._starting[token] = answers
        try:
            self._order(token, request, descriptors)
            answer = answers.get(timeout=_ANSWER_S)
        except (BrokenPipeError, ConnectionResetError):
            self.kill()
            raise
        except (BlockingIOError, Empty) as error:
            self.kill()
            what = "the process that starts others is away"
            raise Unanswered(errno.ETIMEDOUT, what) from error
        finally:
            with self._lock:
                self._starting.pop(token, None)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def done(self, process: _Started) -> None:
        """Nobody needs this one any more."""
        with self._lock:
            self._started.pop(process.pid, None)
        with suppress(OSError):  # it is away; whoever gives the next order finds that out
            self._send({"done": process.pid}, [])

    def kill(self) -> None:
        """Ends it at once, and with it whoever waits for it."""
        self.gone = True
        self._process.kill()

    def _hang_up(self) -> None:
        """Ends the conversation, for whoever listens at either end."""
        with self._sending, suppress(OSError):  # it is closed, or the other end is
            self._connection.shutdown(socket.SHUT_RDWR)

    def _order(self, token: int, order: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        held = os.memfd_create("order", os.MFD_CLOEXEC)
        with os.fdopen(held, "wb") as file:
            file.write(json.dumps(order).encode())
            file.flush()
            self._send({"start": token}, [file.fileno(), *descriptors])

    def _send(self, packet: Mapping[str, int], descriptors: Sequence[int]) -> None:
        with self._sending:
            if self._connection.fileno() < 0:  # closed meanwhile
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            socket.send_fds(self._connection, [json.dumps(packet).encode()], descriptors)

    def _listen(self) -> None:
        with suppress(OSError):
            while data := self._connection.recv(PACKET):
                self._take(json.loads(data))

    def _take(self, answer: Mapping[str, Any]) -> None:
        with self._lock:
            if "ended" in answer:
                process = self._started.get(answer["ended"])
                if process is not None:
                    process.end(answer["code"])
                return
            asked = self._starting.get(answer.get("started", answer.get("refused")))
            if "refused" in answer:
                number = int(answer["errno"])
                told: _Started | OSError = OSError(number, os.strerror(number))
            else:
                told = self._started[answer["pid"]] = _Started(self, answer["pid"])
        if asked is not None:
            asked.put(told)

    def _over(self, process: _Running) -> None:
        """It has ended, so that nobody says any more how the others do: they end with it."""
        self.gone = True
        with self._lock:
            left, self._started = list(self._started.values()), {}
            waiting, self._starting = list(self._starting.values()), {}
        for one in left:
            if one.code is None:
                send(one.pid, signal.SIGKILL)
                one.end(-signal.SIGKILL)
        ended = Unanswered(errno.ECHILD, "the process that starts others has ended")
        for asked in waiting:
            asked.put(ended)
        with self._sending:
            self._connection.close()
        with suppress(OSError):
            process.wait()
