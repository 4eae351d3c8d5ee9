"""What a benchmark is at, told while it runs: the table of a part comes at the end of that part."""

from __future__ import annotations

import sys
import time

MARK = "at: "  # how a line of ours begins, so that who runs us can pass it on
_BEGUN = time.monotonic()


def say(text: str) -> None:
    """One line on stderr, with the seconds since this process began."""
    sys.stderr.write(f"{MARK}{time.monotonic() - _BEGUN:7.1f} s  {text}\n")
    sys.stderr.flush()
