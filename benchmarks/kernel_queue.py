"""The kernel's limit of queued events.  Only root may change it.

The kernel reads the limit when it makes a queue (inotify(7)).  So we lower it
only for the moment in which a contender begins to watch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
# We write to tools/queue.sh, which root runs, on this descriptor; see there.
HELPER = "OMERO_FS_BENCH_QUEUE"
PATIENCE = 5.0  # s


def cannot() -> str | None:
    """Why the limit cannot be lowered here, or None."""
    if HELPER in os.environ:
        return None
    return f"only root can lower {LIMIT}: run make bench as root"


@contextmanager
def lowered(events: int | None) -> Iterator[None]:
    """Inside, the limit is `events`; afterwards it is as before.  None: nothing changes.

    If this process ends suddenly, the helper restores the limit.
    Raises TimeoutError when the helper does not answer.
    """
    if events is None:
        yield
        return
    before = _now()
    helper = int(os.environ[HELPER])
    os.write(helper, f"{events}\n".encode())
    try:
        _wait_for(events)
        yield
    finally:
        os.write(helper, b"restore\n")
        _wait_for(before)


def _now() -> int:
    return int(LIMIT.read_text(encoding="ascii"))


def _wait_for(events: int) -> None:
    end = time.monotonic() + PATIENCE
    while _now() != events:
        if time.monotonic() > end:
            raise TimeoutError(f"{LIMIT} is {_now()}, not {events}: tools/queue.sh does not answer")
        time.sleep(0.01)
