"""Python's garbage collector, which a start does without, and which runs seldom afterwards."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# It looks at what is new after so many objects more.  Python has 700, and what is on its way of a
# burst is more than that, so it was looked at many times, for a fifth of the time of a burst.  What
# lies in a circle until then takes some MiB at most.
SELDOM = 10_000

_lock = threading.Lock()
_pausing = 0  # how many do without it now
_was_on = False  # before the first of them


def seldom() -> None:
    """From now on it runs seldom, and does not look at what is there already: it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(SELDOM, *gc.get_threshold()[1:])


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
