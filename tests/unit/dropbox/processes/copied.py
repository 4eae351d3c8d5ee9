"""What a copy of a starting process does in tests."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path


def report(connected: int) -> None:
    """Tells by the socket `connected` all that a process has from whoever started it."""
    listed = sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())
    told = {
        "descriptors": [number for number in listed if _is_open(number)],
        "streams": [str(Path(f"/proc/self/fd/{number}").readlink()) for number in (0, 1, 2)],
        "environment": dict(os.environ),
        "at": str(Path.cwd()),
        "leads its group": os.getpgrp() == os.getpid(),
        "signals": {
            s.name: str(signal.getsignal(s)) for s in signal.valid_signals() if s in _NAMED
        },
        "blocked": sorted(map(str, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "umask": (Path("/proc/self/status").read_text().split("Umask:")[1].split()[0]),
        "cpu": resource.getrlimit(resource.RLIMIT_CPU),
        "threads": threading.active_count(),
        "names": sys.getfilesystemencoding(),
    }
    socket.socket(fileno=connected).sendall(json.dumps(told).encode())


_NAMED = tuple(signal.Signals)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def fail(connected: int) -> None:
    """Ends as a program that has a defect."""
    sys.stdout.write("before ")
    raise LookupError("nothing is there")


def wait(connected: int) -> None:
    """Serves until the other end is closed."""
    socket.socket(fileno=connected).recv(1)
