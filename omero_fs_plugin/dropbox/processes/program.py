"""What the starting process runs: it starts processes, and says how each ended.

It serves one socket of packets, and ends when the other end is closed.  With a packet to it come
file descriptors: the first holds the request, the others are what the request calls 0, 1, 2...

    {"start": token, "words": [...], "environment": {...}, "at": directory,
     "stdin": number or null, "stdout": ..., "stderr": ..., "pass": [number]}

A word may be a number: of a descriptor, whose number in the new process it becomes.  null is
/dev/null.  The environment gets STARTED_BY as well.  The answers:

    {"started": token, "pid": pid}           it runs, in a session of its own
    {"refused": token, "errno": n}           it cannot be started
    {"ended": pid, "code": n}                negative: the signal

What has ended stays a zombie, so that nothing else gets its number, until {"done": pid} comes.

It uses the standard library alone, and starts no thread, so that it starts fast and stays small.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import signal
import socket
import subprocess
from contextlib import suppress
from typing import Any

PACKET = 1 << 16  # bytes; the requests themselves are in files
MOST_DESCRIPTORS = 64
STARTED_BY = "OMERO_FS_STARTED_BY"  # in the environment of what is started: our number
UNHEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # it ends with DropBox, not before


def main(connected: int) -> None:
    """Serves the socket `connected`."""
    # With handlers, because a signal that is ignored would be ignored by what is started, too.
    for number in (*UNHEEDED, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, UNHEEDED)
    _Program(socket.socket(fileno=connected)).serve()


class _Program:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._ended: dict[int, subprocess.Popen[bytes]] = {}  # zombies
        self._done: set[int] = set()  # nobody wants to know how they end

    def serve(self) -> None:
        awake, wake = os.pipe()
        for end in (awake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        selector = selectors.DefaultSelector()
        selector.register(self._connection, selectors.EVENT_READ)
        selector.register(awake, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._connection:
                    if not self._take():
                        return
                else:
                    with suppress(BlockingIOError):
                        os.read(awake, PACKET)
            self._look()

    def _take(self) -> bool:
        """Does what the next packet asks for; False when there will be none."""
        data, descriptors, _, _ = socket.recv_fds(self._connection, PACKET, MOST_DESCRIPTORS)
        if not data:
            return False
        try:
            with os.fdopen(descriptors[0], "rb") as file:
                file.seek(0)
                request = json.load(file)
            if "start" in request:
                self._tell(self._start(request, descriptors[1:]))
            else:
                self._reap(request["done"])
        finally:
            for descriptor in descriptors[1:]:
                os.close(descriptor)
        return True

    def _start(self, request: Any, descriptors: list[int]) -> dict[str, Any]:
        def stream(name: str) -> int:
            number = request[name]
            return subprocess.DEVNULL if number is None else descriptors[number]

        words = [w if isinstance(w, str) else str(descriptors[w]) for w in request["words"]]
        try:
            process = subprocess.Popen(
                words,
                stdin=stream("stdin"),
                stdout=stream("stdout"),
                stderr=stream("stderr"),
                pass_fds=[descriptors[number] for number in request["pass"]],
                cwd=request["at"],
                env={**request["environment"], STARTED_BY: str(os.getpid())},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            number = error.errno if isinstance(error, OSError) else None
            return {"refused": request["start"], "errno": number or errno.EINVAL}
        self._running[process.pid] = process
        return {"started": request["start"], "pid": process.pid}

    def _look(self) -> None:
        """Tells of those that have ended."""
        for pid in list(self._running):
            if (code := exit_code(pid)) is None:
                continue
            self._ended[pid] = self._running.pop(pid)
            if pid in self._done:
                self._reap(pid)
            else:
                self._tell({"ended": pid, "code": code})

    def _reap(self, pid: int) -> None:
        if pid in self._running:
            self._done.add(pid)
        elif (process := self._ended.pop(pid, None)) is not None:
            self._done.discard(pid)
            process.wait()

    def _tell(self, answer: dict[str, Any]) -> None:
        with suppress(OSError):  # the next packet is the end then
            self._connection.send(json.dumps(answer).encode())


def exit_code(pid: int) -> int | None:
    """How this child ended, negative: by which signal; None while it runs.  It is not reaped."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
