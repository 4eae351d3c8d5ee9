"""The process behind the mount: ``python -m tests.integration.hanging.server BEHIND POINT``.

Orders come as lines of JSON on the standard input, each is answered by a line on the standard
output; see share.Share for what they do.  It ends when the standard input does, or its test was
killed: then whoever waits for an answer gets an error from the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import fnmatch
import heapq
import itertools
import json
import os
import resource
import select
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from typing import Any

from . import wire
from .passthrough import Passthrough
from .wire import Operation, Request

# /dev/fuse, or another node of the same device that the user of the tests may open.
DEVICE = os.environ.get("OMERO_FS_TEST_FUSE", "/dev/fuse")
TYPE = "fuse.hanging"

_MS_NOSUID, _MS_NODEV, _MNT_DETACH = 2, 4, 2
# Between two looks at whether those who wait for the hung share were killed.
_LOOK = 0.05  # s
_SIGKILL = 1 << 8  # in the masks of /proc/PID/status

_libc = ctypes.CDLL(None, use_errno=True)


def mount(point: bytes) -> int:
    """Mounts it there; the descriptor of the connection.  Raises OSError."""
    descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    flags = _MS_NOSUID | _MS_NODEV
    if _libc.mount(b"hanging", point, TYPE.encode(), flags, options.encode()):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fsdecode(point))
    return descriptor


def unmount(point: bytes) -> None:
    """Also while it is in use, or hangs; nothing when it is not mounted."""
    _libc.umount2(point, _MNT_DETACH)


@dataclass(frozen=True)
class Mood:
    """What becomes of requests."""

    does: str = "answer"  # or "hang", or "fail"
    operations: frozenset[Operation] = frozenset()  # empty: every one
    pattern: str = "*"  # of paths from the top, as a shell has them
    after: int = 0  # so many are answered first
    beyond: int = 0  # bytes; of reads only those that begin there, or later
    code: int = 0  # the errno of "fail"
    killable: bool = True  # SIGKILL ends the wait of "hang"

    def concerns(self, request: Request, path: bytes) -> bool:
        """Whether this request is meant."""
        operation = request.operation
        if operation in wire.HOUSEKEEPING or (self.operations and operation not in self.operations):
            return False
        if operation is Operation.READ and wire.offset_of(request) < self.beyond:
            return False
        return fnmatch.fnmatchcase(os.fsdecode(path), self.pattern)


class Server:
    """One thread does everything.  Rule: requests that wait are answered in the order they came."""

    def __init__(self, files: Passthrough, descriptor: int) -> None:
        self._files = files
        self._descriptor = descriptor
        self._mood = Mood()
        self._met = 0  # requests that the mood concerned
        self._slow = 0.0  # s, for each answer
        self._parked: list[Request] = []
        self._late: list[tuple[float, int, Request]] = []  # answered when that time has come
        self._number = itertools.count()
        self._counts: Counter[str] = Counter()
        self._orders = b""
        self._test = os.getppid()

    def serve(self) -> None:
        """Until the orders end, or it is unmounted."""
        poll = select.poll()
        for descriptor in (self._descriptor, 0):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll(self._patience())]
            if 0 in ready and not self._obey():
                return
            if self._descriptor in ready and not self._take():
                return
            while self._late and self._late[0][0] <= time.monotonic():
                self._answer(heapq.heappop(self._late)[2])
            if self._parked:
                if _killed(self._test):
                    return  # its orders do not end as long as a thread of it waits for us
                self._let_killed_go()

    def _patience(self) -> float | None:
        """Ms until there is something to do of itself."""
        if self._late:
            return max(0.0, self._late[0][0] - time.monotonic()) * 1000 + 1
        return _LOOK * 1000 if self._parked else None

    # The kernel's requests --------------------------------------------------

    def _take(self) -> bool:
        """One request; False when there will be no more."""
        try:
            buffer = os.read(self._descriptor, wire.BUFFER)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOENT, errno.EINTR):
                return True  # who asked is gone
            if error.errno == errno.ENODEV:
                return False
            raise
        request = wire.parse(buffer)
        self._counts[request.operation.name.lower()] += 1
        if self._mood.does != "answer" and self._meets(request):
            if self._mood.does == "hang":
                self._parked.append(request)
            else:
                self._write(wire.answer(request.unique, error=self._mood.code))
        elif self._slow and request.operation not in wire.HOUSEKEEPING:
            due = time.monotonic() + self._slow
            heapq.heappush(self._late, (due, next(self._number), request))
        else:
            self._answer(request)
        return True

    def _meets(self, request: Request) -> bool:
        if not self._mood.concerns(request, self._files.path_of(request)):
            return False
        self._met += 1
        return self._met > self._mood.after

    def _answer(self, request: Request) -> None:
        body, code = b"", 0
        try:
            body = self._files.act(request)
        except OSError as error:
            code = error.errno or errno.EIO
        if request.operation not in wire.UNANSWERED:
            self._write(wire.answer(request.unique, b"" if code else body, code))

    def _write(self, buffer: bytes) -> None:
        try:
            os.write(self._descriptor, buffer)
        except OSError as error:
            if error.errno != errno.ENOENT:  # who asked no longer waits
                raise

    def _let_killed_go(self) -> None:
        """SIGKILL ends what waits, as on a hard NFS mount; no other signal does."""
        if not self._mood.killable:
            return
        for request in [one for one in self._parked if _killed(one.pid)]:
            self._parked.remove(request)
            self._write(wire.answer(request.unique, error=errno.EINTR))

    # The test's orders ------------------------------------------------------

    def _obey(self) -> bool:
        """What has come of the orders; False at their end."""
        part = os.read(0, 1 << 16)
        self._orders += part
        *lines, self._orders = self._orders.split(b"\n")
        for line in lines:
            order = json.loads(line)
            tell(getattr(self, "_do_" + order.pop("do"))(**order))
        return bool(part)

    def _do_mood(self, operations: list[str], **given: Any) -> None:
        chosen = frozenset(Operation[one.upper()] for one in operations)
        self._mood, self._met = Mood(operations=chosen, **given), 0

    def _do_answer(self) -> int:
        """All as ever; how many waited."""
        self._mood = Mood()
        parked, self._parked = self._parked, []
        for request in parked:
            self._answer(request)
        return len(parked)

    def _do_let_go(self, code: int) -> int:
        parked, self._parked = self._parked, []
        for request in parked:
            self._write(wire.answer(request.unique, error=code))
        return len(parked)

    def _do_slow(self, seconds: float) -> None:
        self._slow = seconds

    def _do_waiting(self) -> list[tuple[str, str, int]]:
        return [
            (one.operation.name.lower(), os.fsdecode(self._files.path_of(one)), one.pid)
            for one in self._parked
        ]

    def _do_counts(self) -> dict[str, int]:
        return dict(self._counts)


def _killed(thread: int) -> bool:
    """Whether a thread has SIGKILL before it, or has ended; 0 is nobody's."""
    if not thread:
        return False
    try:
        with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123
            lines = [line.partition(":") for line in status]
    except (FileNotFoundError, ProcessLookupError):
        return True
    told = {name: value.strip() for name, _, value in lines}
    pending = int(told["SigPnd"], 16) | int(told["ShdPnd"], 16)
    return told["State"].startswith(("Z", "X")) or bool(pending & _SIGKILL)


def tell(what: Any) -> None:
    """One line for the test."""
    os.write(1, json.dumps(what).encode() + b"\n")


def main() -> int:
    """The exit code."""
    behind, point, direct = map(os.fsencode, sys.argv[1:4])
    os.umask(0)  # the kernel has applied that of who makes a file
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    files = Passthrough(behind, direct=direct == b"direct")
    try:
        descriptor = mount(point)
    except OSError as error:
        tell([error.errno, f"{error.filename or DEVICE}: {error.strerror}"])
        return 1
    tell([0, ""])
    code = 0
    try:
        Server(files, descriptor).serve()
    except Exception:
        traceback.print_exc()  # before the callers learn of it, whose test then kills us
        code = 1
    os.close(descriptor)  # first: the callers are let go, and nothing waits for them
    unmount(point)
    return code


if __name__ == "__main__":
    sys.exit(main())
