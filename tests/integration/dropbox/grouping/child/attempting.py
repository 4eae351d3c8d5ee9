"""Served in a child: it tries what a test asks for, and says what the kernel allowed."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omero_fs_plugin.dropbox.grouping.child.pulse import Pulse

DONE = "done"
Frame = dict[str, Any]


def _read(path: str) -> None:
    Path(path).read_bytes()


def _write(path: str) -> None:
    Path(path).write_bytes(b"x")


def _append(path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(b"x")


def _rename(path: str) -> None:
    Path(path).rename(f"{path}.renamed")


def _link_in(path: str) -> None:
    Path(path).hardlink_to("/etc/hostname")


def _connect(port: str) -> None:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5):
        pass


def _bind(_: str) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))


def _send_udp(port: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("127.0.0.1", int(port)))


def _unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)


def _execute(path: str) -> None:
    os.execv(path, [path])


def _trace(pid: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, int(pid), None, None) != 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")


def _fill(mebibytes: str) -> None:
    bytearray(int(mebibytes) << 20)


def _chatter(_: str) -> None:
    while True:
        print("x" * 1000, flush=True)  # noqa: T201


def _fork(_: str) -> None:
    if os.fork() == 0:
        os._exit(0)


ATTEMPTS: dict[str, Callable[[str], None]] = {
    "read": _read,
    "list": lambda path: print(os.listdir(path)),  # noqa: PTH208, T201
    "write": _write,
    "append": _append,
    "truncate": lambda path: os.truncate(path, 0),
    "remove": lambda path: Path(path).unlink(),
    "rename": _rename,
    "make a directory": lambda path: Path(path).mkdir(),
    "make a link": lambda path: Path(path).symlink_to("/etc/passwd"),
    "link in": _link_in,
    "make a FIFO": lambda path: os.mkfifo(path),
    "change the mode": lambda path: Path(path).chmod(0o777),
    "change the time": lambda path: os.utime(path, (0, 0)),
    "set an attribute": lambda path: os.setxattr(path, "user.x", b"x"),
    "connect": _connect,
    "bind": _bind,
    "send over UDP": _send_udp,
    "connect to a socket": _unix,
    "execute": _execute,
    "trace": _trace,
    "signal": lambda pid: os.kill(int(pid), signal.SIGCONT),
    "fill": _fill,
    "fork": _fork,
    "print": lambda text: print(text, flush=True),  # noqa: T201
    "print without end": _chatter,
    "exit": lambda text: (print(text, end="", flush=True), os._exit(3)),  # noqa: T201
}


def _where(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return ""  # that of the listing


def prepare(given: Frame) -> None:
    """Nothing."""


def begin(given: Frame, pulse: Pulse) -> tuple[Callable[[Frame], Frame], Frame]:
    """As child.main has it."""

    def answer(request: Frame) -> Frame:
        if request["what"] == "show":
            held = [_where(one) for one in os.listdir("/proc/self/fd")]  # noqa: PTH208
            return {"environment": dict(os.environ), "held": held}
        try:
            ATTEMPTS[request["what"]](request["with"])
        except OSError as error:
            return {"errno": error.errno}
        except MemoryError:
            return {"errno": "memory"}
        return {"errno": 0}

    return answer, {}
