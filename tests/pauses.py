"""A plugin of pytest that takes threads off the processor where another one may act.

A busy machine does that too, at any moment, and seldom at the one that matters.  Here a thread
pauses at random when it has begun, has begun another, has woken others or was woken, and before it
takes a lock or begins a transaction: what it has looked at may be over by then.

``pytest -p tests.pauses``; OMERO_FS_PAUSES is the seed.  With the same seed each thread has the
same pauses, as far as it has the same name and does the same.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from omero_fs_plugin.dropbox.journal.database import Database
from omero_fs_plugin.dropbox.settling.fair import FairLock

SEED = "OMERO_FS_PAUSES"
_OFTEN = 0.1  # of the moments are pauses
_PAUSES_S = (0.001, 0.01, 0.01, 0.05, 0.3)

_seed = os.environ.get(SEED) or str(random.randrange(10**6))
_sleep = time.sleep  # tests replace it
_own = threading.local()


def pytest_report_header() -> str:
    """Says which seed gives the same pauses."""
    return f"pauses: {SEED}={_seed}"


def pytest_configure() -> None:
    """From now on.  Processes of xdist have the plugin too."""
    os.environ[SEED] = _seed
    _begin("main")
    _after(threading.Thread, "start")
    _after(threading.Event, "set", "wait")
    _after(threading.Condition, "notify", "notify_all", "wait")
    _after(FairLock, "release")
    _before(FairLock, "acquire")
    _before(Database, "writing")
    run = threading.Thread.run

    def later(thread: threading.Thread) -> None:
        _begin(thread.name)
        _pause()
        run(thread)

    threading.Thread.run = later


def _before(owner: Any, *names: str) -> None:
    for name in names:
        setattr(owner, name, _with(getattr(owner, name), before=True))


def _after(owner: Any, *names: str) -> None:
    for name in names:
        setattr(owner, name, _with(getattr(owner, name), before=False))


def _with(real: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        if before:
            _pause()
            return real(*args, **options)
        found = real(*args, **options)
        _pause()
        return found

    return call


def _begin(name: str) -> None:
    _own.chance = random.Random(f"{_seed} {name}")


def _pause() -> None:
    chance: random.Random | None = getattr(_own, "chance", None)
    # Without: a thread that has just begun, and does not know itself yet, or one of Ice.
    if chance is not None and chance.random() < _OFTEN:
        _sleep(chance.choice(_PAUSES_S))
