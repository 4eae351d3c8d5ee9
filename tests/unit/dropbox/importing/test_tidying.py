"""The threads beside the importers: what they do, and that none of it ends them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing import tidying
from omero_fs_plugin.dropbox.importing.beginning import Beginning
from omero_fs_plugin.dropbox.importing.tidying import Tidying
from omero_fs_plugin.errors import JournalError, ServerAwayError

PATIENCE_S = 20.0


class Fake:
    """OMERO, the sessions and the leftovers.  Each call fails with the next of its errors."""

    def __init__(self, **errors: Iterable[Exception]) -> None:
        self._errors = {name: iter(some) for name, some in errors.items()}
        self._calls: dict[str, int] = {}
        self._changed = threading.Condition()

    def _call(self, name: str) -> None:
        with self._changed:
            self._calls[name] = self._calls.get(name, 0) + 1
            self._changed.notify_all()
        if (error := next(self._errors.get(name, iter(())), None)) is not None:
            raise error

    def until(self, name: str, number: int) -> None:
        """Returns when it was called so often."""
        with self._changed:
            called = self._changed.wait_for(
                lambda: self._calls.get(name, 0) >= number, timeout=PATIENCE_S
            )
        assert called, f"{name}: {self._calls}"

    def ping(self) -> None:
        self._call("ping")

    def tidy(self) -> None:
        self._call("tidy")

    def sweep(self) -> None:
        self._call("sweep")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_PING_S", "_TIDY_S", "SWEEP_S"):
        monkeypatch.setattr(tidying, name, 0.001)


def build(fake: Any, beginning: Beginning, stopping: threading.Event) -> Tidying:
    return Tidying(fake, fake, fake, beginning, stopping)


def until_stopped(threads: Tidying, stopping: threading.Event) -> None:
    stopping.set()
    assert threads.stop(time.monotonic() + PATIENCE_S)


def test_omero_is_asked_until_it_answers_and_looked_at_after_that() -> None:
    fake = Fake(ping=[ServerAwayError("not yet"), ServerAwayError("nor now")])
    beginning, stopping = Beginning(), threading.Event()
    threads = build(fake, beginning, stopping)
    threads.start()
    fake.until("sweep", 1)
    assert beginning.not_up == ""
    fake.until("ping", 3)
    until_stopped(threads, stopping)


def test_while_omero_does_not_answer_it_is_known_why() -> None:
    fake = Fake(ping=repeat(ServerAwayError("not yet")))
    beginning, stopping = Beginning(), threading.Event()
    threads = build(fake, beginning, stopping)
    threads.start()
    fake.until("ping", 2)
    assert beginning.not_up == "not yet"
    until_stopped(threads, stopping)


@pytest.mark.parametrize(
    "error",
    [ServerAwayError("gone"), JournalError("full"), ZeroDivisionError("ours")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_ends_none_of_them(error: Exception) -> None:
    fake, stopping = Fake(tidy=[error], sweep=[error]), threading.Event()
    threads = build(fake, Beginning(), stopping)
    threads.start()
    fake.until("tidy", 2)
    fake.until("sweep", 2)
    until_stopped(threads, stopping)


def test_threads_that_were_never_started_have_ended() -> None:
    assert build(Fake(), Beginning(), threading.Event()).stop(time.monotonic())
