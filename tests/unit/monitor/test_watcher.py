"""The thread of a monitor, turn by turn, with a clock that is given."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor import watcher as module
from omero_fs_plugin.monitor.kernel.polling import Polling
from omero_fs_plugin.monitor.kernel.raw import IN_CLOSE_WRITE, Raw
from omero_fs_plugin.monitor.notices import Notice, Tell
from omero_fs_plugin.monitor.telling.absence import Absence
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from omero_fs_plugin.monitor.tracking.tree import Directory
from omero_fs_plugin.monitor.watcher import Watcher
from tests.requests import request_of

from .clients import Nobody

SEEN = (7, 1, 1)


@pytest.fixture
def watcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    """Its last turn began at 100 s, and told of a file."""
    made = Watcher(
        "monitor",
        request_of(os.fsencode(tmp_path)),
        Nobody(),
        Timing(),
        absence=Absence(0.0),
        forget=lambda: None,
    )
    made._now = 100.0
    made._observer = Polling(b"/", lambda: None)
    monkeypatch.setattr(made, "_due", lambda: math.inf)
    monkeypatch.setattr(made.tracker, "step", lambda now: None)
    directory = Directory(b"/d", None)
    directory.files[b"a"] = SEEN
    made.tracker.racy.add(directory, b"a", SEEN, 100.0)
    yield made
    made._observer.close()
    made._waits.wakener.close()


@pytest.mark.parametrize(
    ("ended", "sure", "certain"),
    [
        (100.01, 100.11, True),
        (100.01, 100.04, False),  # after the read, the thread was off the processor
        (100.5, 100.54, False),  # the file was looked at in a turn that took long
        (100.5, 100.56, True),
    ],
)
def test_a_file_is_noted_when_all_is_read_that_may_have_happened_to_it(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch, ended: float, sure: float, certain: bool
) -> None:
    racy = watcher.tracker.racy
    noted: list[bytes] = []

    def wait(source: object, due: float) -> list[Raw]:
        watcher._waits.begun, watcher._waits.sure = ended, sure
        return [Raw(1, IN_CLOSE_WRITE, 0, b"b")]

    def confirm(now: float) -> None:
        noted.extend(name for _, name, _ in racy.certain(now, all_=False))

    monkeypatch.setattr(watcher._waits, "wait", wait)
    monkeypatch.setattr(watcher.tracker, "confirm", confirm)
    monkeypatch.setattr(module.time, "monotonic", lambda: 200.0)
    watcher._turn()
    assert noted == [b"a"] * certain


def test_a_stop_while_an_answer_is_looked_at_is_not_lost(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread asks for it between the look and what follows from it."""

    def ends(answer: object) -> bool:
        watcher.request_stop()
        return False

    monkeypatch.setattr(watcher._terms, "any", True, raising=False)
    monkeypatch.setattr(watcher._terms, "ends", ends)
    watcher._hear(100.0)
    assert watcher._stop


def test_a_disk_that_answers_just_as_it_is_told_to_hang_is_told_to_answer(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody would say so until something happens there."""

    class Now(float):
        """The thread of the monitor makes a turn while it is compared with the begin."""

        def __sub__(self, since: float) -> float:
            watcher._busy_since = None
            return float(self) - since

    watcher._busy_since = 100.0
    watcher.check_pulse(Now(100.0 + module.HANGS))
    assert watcher.hanging
    woken: list[bool] = []
    monkeypatch.setattr(watcher._telling, "send", lambda now: None)
    monkeypatch.setattr(watcher.tracker, "confirm", lambda now: None)
    wait = watcher._waits.wakener.wait

    def waits(seconds: float | None, source: object) -> bool:
        found = wait(0.0, None)  # a wait without end, if nobody has woken it
        woken.append(watcher._waits.wakener.woken)
        return found

    monkeypatch.setattr(watcher._waits.wakener, "wait", waits)
    watcher._waits.wait(None, math.inf)
    assert woken == [True]
    watcher._turn()
    assert not watcher.hanging
    assert [tell.path.partition(b":")[0] for tell in watcher.outbox.waiting()] == [b"reachable"]


def test_a_disk_that_answers_while_it_is_told_to_hang_is_told_to_answer_last(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the client takes it for away, and nobody ever says anything else."""
    told: list[bytes] = []

    def put(tell: Tell, now: float) -> None:
        told.append(tell.path.partition(b":")[0])

    def notify(identifier: str, tells: list[Tell], done: object) -> None:
        watcher._turn()  # on the thread of the monitor, just before it is sent
        put(tells[0], 0.0)

    monkeypatch.setattr(watcher._waits, "wait", lambda source, due: [])
    monkeypatch.setattr(watcher._telling, "send", lambda now: None)
    monkeypatch.setattr(watcher.tracker, "confirm", lambda now: None)
    monkeypatch.setattr(watcher.outbox, "put", put)
    monkeypatch.setattr(watcher._client, "notify", notify)
    watcher._busy_since = 100.0
    watcher.check_pulse(100.0 + module.HANGS)
    watcher._turn()
    watcher._turn()
    assert told == [b"unreachable", b"reachable"]


def test_whether_a_directory_can_be_reached_is_told_after_a_gap(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No rescan finds out that the client has not heard of it."""
    for tell in (
        Notice.UNREACHABLE.tell(b"/d/a: b", "it hangs"),
        Tell(EventType.CREATE, b"/d/new"),
        Notice.UNREACHABLE.tell(b"/d/zak", "it hangs"),
        Notice.REACHABLE.tell(b"/d/a: b", "it is back"),
        Notice.NAME.tell(b"/d/\xff", "Create"),
    ):
        watcher.outbox.put(tell, 100.0)
    monkeypatch.setattr(watcher, "_interrupt", lambda until: None)
    monkeypatch.setattr(watcher.tracker, "untell", lambda tells, tried: None)
    monkeypatch.setattr(watcher._keeper, "dropped", lambda tells: None)
    watcher._begin_gap(200.0)
    assert [tell.path.rpartition(b": ")[0] for tell in watcher.outbox.waiting()] == [
        b"gap: " + watcher._request.path,
        b"unreachable: /d/zak",
        b"reachable: /d/a: b",
    ]


def test_nothing_is_told_by_one_that_was_abandoned(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk answers in the middle of a turn, long after the stop.

    The client may have started it again, and would hear the same from both.
    """
    sent: list[Tell] = []

    def step(now: float) -> None:  # it has hung in this
        watcher.request_stop()
        watcher.abandon()
        watcher.outbox.put(Tell(EventType.CREATE, b"/d/new"), now)

    def notify(identifier: str, tells: list[Tell], done: object, *, asked: bool = False) -> None:
        sent.extend(tells)

    monkeypatch.setattr(watcher._waits, "wait", lambda source, due: [])
    monkeypatch.setattr(watcher.tracker, "step", step)
    monkeypatch.setattr(watcher.tracker, "confirm", lambda now: None)
    monkeypatch.setattr(watcher._client, "notify", notify)
    watcher._turn()
    assert sent == [] and len(watcher.outbox) == 1
