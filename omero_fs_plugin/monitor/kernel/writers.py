"""Whether anybody has a file open for writing, as the kernel knows it."""

from __future__ import annotations

import os
import signal

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SET_LEASE = getattr(fcntl, "F_SETLEASE", None)
_SET_SIGNAL = getattr(fcntl, "F_SETSIG", None)
# Of a pipe that came in the file's place nobody waits for the other end.
_OPEN = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


def written(path: bytes) -> tuple[bool | None, os.stat_result | None]:
    """Whether somebody has this file open for writing now; and if nobody has, what it looks like.

    None where that cannot be told.

    Linux gives a read lease only on a file that nobody writes, and only to its owner or to a
    process with CAP_LEASE (fcntl(2), "Leases").  The lease ends when this returns.  Whoever opens
    the file for writing just then waits those microseconds.
    """
    if _SET_LEASE is None or _SET_SIGNAL is None:
        return None, None
    try:
        descriptor = os.open(path, _OPEN)
    except OSError:
        return None, None
    try:
        # Instead of SIGIO, which would end this process.  SIGURG is ignored unless it is handled.
        fcntl.fcntl(descriptor, _SET_SIGNAL, signal.SIGURG)
        fcntl.fcntl(descriptor, _SET_LEASE, fcntl.F_RDLCK)
        return False, os.fstat(descriptor)
    except BlockingIOError:
        return True, None
    except OSError:
        return None, None
    finally:
        os.close(descriptor)
