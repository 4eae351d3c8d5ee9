"""The kernel's limit of queued events, which only root may change.

A queue's length is settled when it is made (inotify(7)), so it is enough to
lower the limit for the moment in which a contender begins to watch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
# The descriptor on which tools/queue.sh, run by root, is told; see there.
HELPER = "OMERO_FS_BENCH_QUEUE"
PATIENCE = 5.0  # s


def cannot() -> str | None:
    """Why the limit cannot be lowered here, or None."""
    if HELPER in os.environ:
        return None
    return f"only root can lower {LIMIT}: run make bench as root"


@contextmanager
def lowered(events: int | None) -> Iterator[None]:
    """The limit is `events` inside, and what it was afterwards; None: nothing changes.

    Should this process end without another word, the helper restores it.
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
