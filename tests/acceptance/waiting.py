"""Waiting for something to become true, for a bounded time, with evidence when it does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

_Result = TypeVar("_Result")

# s; how long anything may take that is to happen: DropBox waits two minutes for a call that
# OMERO may still carry out, after a kill.  It is never waited for in
# full but where a test fails, so slow servers want more and fast ones lose nothing.
PATIENCE = float(os.environ.get("OMERO_FS_ACCEPTANCE_PATIENCE", "240"))


def until(
    what: str,
    look: Callable[[], _Result],
    *,
    evidence: Callable[[], str],
    patience: float = PATIENCE,
    pause: float = 0.25,
) -> _Result:
    """What `look` returned as soon as that was true.

    Fails the test after `patience` seconds, naming `what` was waited for, what
    `look` last returned, and the evidence.
    """
    deadline = time.monotonic() + patience
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            pytest.fail(
                f"after {patience:g} s still not: {what}\nlast seen: {seen!r}\n{evidence()}",
                pytrace=False,
            )
        time.sleep(pause)
