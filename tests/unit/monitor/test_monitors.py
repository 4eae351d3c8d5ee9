"""The life of monitors, where two threads meet in it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.monitor import monitors as module
from omero_fs_plugin.monitor.kernel.observers import POLLING, Observing
from omero_fs_plugin.monitor.monitors import Monitor, MonitorError, Monitors
from omero_fs_plugin.monitor.telling.absence import Absence
from omero_fs_plugin.monitor.watcher import Watcher
from tests.requests import request_of

from .clients import Nobody

PATIENCE = 20.0  # s


def test_a_destruction_just_before_a_start_has_its_thread_ends_that_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large tree may take minutes to be watched, and a server has seconds to end."""
    monitor = Monitor(
        "monitor",
        request_of(os.fsencode(tmp_path)),
        Nobody(),
        absence=Absence(0.0),
        give_up=lambda identifier: None,
        observing=Observing(POLLING),
    )
    stop_asked, asked = threading.Event(), monitor.request_stop
    told: list[bool] = []

    def request_stop(*, orderly: bool = False) -> None:
        asked(orderly=orderly)
        stop_asked.set()

    class Large(Watcher):
        """It is watched when somebody has asked it to end."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            stopping.start()
            assert stop_asked.wait(PATIENCE)  # there was nobody to be asked
            super().__init__(*arguments, **options)

        def await_ready(self) -> None:
            told.append(self._stop)
            super().await_ready()

    monkeypatch.setattr(monitor, "request_stop", request_stop)
    monkeypatch.setattr(module, "Watcher", Large)
    stopping = threading.Thread(target=lambda: monitor.stop(for_good=True))
    monitor.start()
    stopping.join(PATIENCE)
    assert not stopping.is_alive() and not monitor.started
    assert told == [True]


def test_the_end_of_the_server_waits_for_no_thread_that_has_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monitor whose client was away for too long is being destroyed just then."""
    monitors = Monitors(observing=Observing(POLLING))
    identifier = monitors.create(request_of(os.fsencode(tmp_path)), Nobody())
    errors: list[BaseException] = []
    start = threading.Thread.start

    def close() -> None:
        try:
            monitors.close()
        except BaseException as error:
            errors.append(error)

    closing = threading.Thread(target=close)

    def late(thread: threading.Thread) -> None:
        if thread.name.startswith("give-up"):
            start(closing)
            closing.join(0.5)  # one that waits for nothing ends, or fails, in it
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", late)
    monitors._give_up(identifier)
    monkeypatch.undo()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert errors == []
    with pytest.raises(MonitorError):
        monitors.get(identifier)


def test_one_that_cannot_be_given_up_for_want_of_a_thread_hinders_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitors = Monitors(observing=Observing(POLLING))
    identifier = monitors.create(request_of(os.fsencode(tmp_path)), Nobody())

    def none(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none)
        with pytest.raises(RuntimeError):
            monitors._give_up(identifier)
    monitors.close()
