"""One run of a module in a process of its own, so that its memory and its failures are its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.contenders import BenchmarkError


def told_by(module: str, *words: str, limit: float, before: Sequence[str] = ()) -> dict[str, Any]:
    """What it prints as its last line, which is JSON.  `limit`: s.

    `before`: the words before its command, such as those that run it on another machine.  Raises
    BenchmarkError.
    """
    done = subprocess.run(
        [*before, sys.executable, "-m", f"{__package__}.{module}", *words],
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "ICE_CONFIG"},
    )
    if done.returncode:
        what = f"{module} {words[0]}"
        raise BenchmarkError(f"{what} ended with {done.returncode}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
