"""How much memory grows with a number of files, counted in bytes and not by the clock."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable


def peak_of(act: Callable[[], object]) -> int:
    """Bytes that `act` had at most, with what it gives."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = act()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del kept
    return most


def for_each(act: Callable[[int], object], few: int, many: int) -> float:
    """Bytes for each of the files by which `many` are more than `few`.

    `act` is called once before, so that what is made once does not count.
    """
    act(few)
    return (peak_of(lambda: act(many)) - peak_of(lambda: act(few))) / (many - few)
