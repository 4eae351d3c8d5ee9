"""What the starting process runs: it starts processes, and says how each ended.

It serves one socket of packets.  With `{"start": token}` come file descriptors: the first holds the
order, the others are what the order calls 0, 1, 2...

    {"words": [...], "environment": {...}, "at": directory,
     "stdin": number or null, "stdout": ..., "stderr": ..., "pass": [number],
     "does": "module:function" or "", "imports": [module]}

A word may be a number: of a descriptor, whose number in the new process it becomes.  null is
/dev/null.  The environment gets STARTED_BY as well.  With `does` no program is started: a copy of
this process calls the function with the numbers among the words.  This process imports what the
copies need once, which takes longer than all that such a copy does.  The answers:

    {"started": token, "pid": pid}           it runs, in a process group of its own
    {"refused": token, "errno": n}           it cannot be started
    {"ended": pid, "code": n}                negative: the signal

What has ended stays a zombie, so that nothing else gets its number, until {"done": pid} comes.

It ends with whoever started it, even if it is stopped then.  However it ends, what it started ends
with it, for nobody knows of it any more: Java would import what the next DropBox imports again.

It uses the standard library alone, and starts no thread, so that it starts fast, stays small, and
can be copied at any moment.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

PACKET = 1 << 16  # bytes; the orders themselves are in files
MOST_DESCRIPTORS = 64
STARTED_BY = "OMERO_FS_STARTED_BY"  # in the environment of what is started: our number
UNHEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # it ends with DropBox, not before
_PR_SET_PDEATHSIG = 1


def main(connected: int, parent: int) -> None:
    """Serves the socket `connected`, for the process `parent`, which started this one.

    0 as `parent`: another of these programs did, and the kernel kills this one with it.
    """
    os.closerange(3, connected)
    os.closerange(connected + 1, os.sysconf("SC_OPEN_MAX"))
    os.set_inheritable(connected, False)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # signals to the group of DropBox are not for it
    if parent:
        # One that is stopped goes on then, and finds that the other end is closed.
        end_with(parent, signal.SIGCONT)
    # With handlers, because a signal that is ignored would be ignored by what is started, too.
    for number in (*UNHEEDED, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, UNHEEDED)
    _Program(socket.socket(fileno=connected)).serve()


class _Program:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        # None is a copy of this process.
        self._running: dict[int, subprocess.Popen[bytes] | None] = {}
        self._ended: dict[int, subprocess.Popen[bytes] | None] = {}  # zombies
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
                        self._end_all()
                        return
                else:
                    with suppress(BlockingIOError):
                        os.read(awake, PACKET)
            self._look()

    def _take(self) -> bool:
        """Does what the next packet asks for; False when there will be none."""
        data, descriptors, flags, _ = socket.recv_fds(self._connection, PACKET, MOST_DESCRIPTORS)
        if not data:
            return False
        try:
            asked = json.loads(data)
            if "start" in asked:
                self._tell(self._answer(asked["start"], descriptors, flags))
            else:
                self._reap(asked["done"])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _answer(self, token: int, descriptors: list[int], flags: int) -> dict[str, Any]:
        """Whatever hinders one start hinders no other."""
        try:
            if flags & socket.MSG_CTRUNC:  # the kernel has left some out
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            with os.fdopen(os.dup(descriptors[0]), "rb") as file:
                file.seek(0)
                order = json.load(file)
            start = self._copy if order.get("does") else self._start
            return {"started": token, "pid": start(order, descriptors[1:])}
        except OSError as error:
            return {"refused": token, "errno": error.errno or errno.EINVAL}
        except MemoryError:
            return {"refused": token, "errno": errno.ENOMEM}
        except (ImportError, AttributeError, ValueError, subprocess.SubprocessError):
            # There is no such function; a zero byte; it ended before its program.
            return {"refused": token, "errno": errno.EINVAL}

    def _start(self, order: Any, descriptors: list[int]) -> int:
        def stream(name: str) -> int:
            number = order[name]
            return subprocess.DEVNULL if number is None else descriptors[number]

        here = os.getpid()
        process = subprocess.Popen(
            [w if isinstance(w, str) else str(descriptors[w]) for w in order["words"]],
            stdin=stream("stdin"),
            stdout=stream("stdout"),
            stderr=stream("stderr"),
            pass_fds=[descriptors[number] for number in order["pass"]],
            cwd=order["at"],
            env={**order["environment"], STARTED_BY: str(here)},
            # There is one thread, so it is safe to run Python between fork and exec.
            preexec_fn=lambda: _begin(here),
        )
        self._running[process.pid] = process
        return process.pid

    def _copy(self, order: Any, descriptors: list[int]) -> int:
        module, _, name = order["does"].partition(":")
        function = getattr(importlib.import_module(module), name)
        for needed in order["imports"]:
            with suppress(ImportError):  # the function says so, if it needs it
                importlib.import_module(needed)
        gc.freeze()  # what is there now is never looked at again, so that copies share it
        here = os.getpid()
        # Whoever hears of the copy may send its group a signal before the copy has run at all.
        # So its group is made here too, and what could meet our handlers in it waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, UNHEEDED)
        try:
            pid = os.fork()
            if not pid:
                _be_copy(order, descriptors, here, function)
            with suppress(OSError):  # it has ended already
                os.setpgid(pid, pid)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, UNHEEDED)
        self._running[pid] = None
        return pid

    def _end_all(self) -> None:
        """Ends what runs, with what that has started."""
        for pid in self._running:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

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
        elif pid in self._ended:
            self._done.discard(pid)
            process = self._ended.pop(pid)
            if process is None:
                os.waitpid(pid, 0)
            else:
                process.wait()

    def _tell(self, answer: dict[str, Any]) -> None:
        with suppress(OSError):  # the next packet is the end then
            self._connection.send(json.dumps(answer).encode())


def _begin(parent: int) -> None:
    """In a new process, before its program.

    It gets a group of its own, so that it is ended with all that it starts, but no session of its
    own: Linux may give that as much as all of OMERO, whatever its nice value (see ``niceness``).
    """
    os.setpgid(0, 0)
    end_with(parent)


def _be_copy(
    order: Mapping[str, Any],
    descriptors: Sequence[int],
    parent: int,
    function: Callable[..., None],
) -> NoReturn:
    """In a copy of this process: does what a new program finds done, and calls the function.

    Nothing is unwound: the objects of the copied frames have descriptors that are closed here.
    """
    code = 1
    try:
        _begin(parent)
        signal.set_wakeup_fd(-1)
        for caught in (*UNHEEDED, signal.SIGCHLD):
            signal.signal(caught, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, UNHEEDED)
        nothing = os.open(os.devnull, os.O_RDWR)
        streams = [order["stdin"], order["stdout"], order["stderr"]]
        for number, place in enumerate(streams):
            os.dup2(nothing if place is None else descriptors[place], number)
        passed = [descriptors[number] for number in order["pass"]]
        _close_but(passed)
        os.chdir(order["at"])
        os.environ.clear()
        os.environ.update(order["environment"])
        os.environ[STARTED_BY] = str(parent)
        function(*(descriptors[word] for word in order["words"] if not isinstance(word, str)))
        code = 0
    except BaseException:
        with suppress(Exception):
            traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


def _close_but(kept: Sequence[int]) -> None:
    """Closes every descriptor above 2 but these."""
    first = 3
    for descriptor in sorted({*kept}):
        os.closerange(first, descriptor)
        first = max(first, descriptor + 1)
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def end_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Has the kernel signal this process when the thread of `parent` that started it ends."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, by, 0, 0, 0)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def _prctl() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    found: Callable[..., int] = ctypes.CDLL(None).prctl
    return found


_PRCTL = _prctl()  # found before a fork, where nothing should be looked up


def exit_code(pid: int) -> int | None:
    """How this child ended, negative: by which signal; None while it runs.  It is not reaped."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
