"""One input for one parser, with its limits."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from .targets import Target

CPU_S = 10.0  # of one input, which has at most a few hundred KB


def try_one(target: Target, given: Any) -> None:
    """Fails for an exception that the parser does not say it raises, and for one that takes long.

    MemoryError is such an exception: `make fuzz` gives the process little memory.
    """
    begun = time.process_time()
    with suppress(*target.raises):
        target.parse(given)
    took = time.process_time() - begun
    assert took < CPU_S, f"{took:.1f} s of a processor"
