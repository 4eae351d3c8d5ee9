"""Python's garbage collector, which a start does without."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pausing = 0  # how many do without it now
_was_on = False  # before the first of them


@contextmanager
def paused() -> Iterator[None]:
    """No look at everything in memory until the last of those who are in here leaves.

    A start makes what stays, and nearly nothing else.  The collector would look through all of it
    again and again while it grows, for a fifteenth of the time that a start takes.
    """
    global _pausing, _was_on
    with _lock:
        if not _pausing:
            _was_on = gc.isenabled()
        _pausing += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _pausing -= 1
            if not _pausing and _was_on:
                gc.enable()
