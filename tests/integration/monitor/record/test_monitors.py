"""The record: monitors over it that go on after a start."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.monitor.monitors import Monitors
from omero_fs_plugin.monitor.record.record import Record
from omero_fs_plugin.monitor.requests import MonitorType

from .records import _execute, begun, loaded, request


class Nobody:
    """A client that is never told anything."""

    def __init__(self, address: str) -> None:
        self.address = address

    def notify(
        self,
        identifier: str,
        tells: list[Any],
        done: Callable[[bool], None],
        *,
        asked: bool = False,
    ) -> None:
        done(True)

    def probe(self, done: Callable[[bool], None]) -> None:
        done(True)


def test_one_monitor_that_makes_no_sense_keeps_no_other_from_going_on(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = Record(file)
    for name in ("good", "bad"):
        first.create(name, request(os.fsencode(tmp_path)), name)
    first.close()

    def client(address: str) -> Nobody:
        if address == "bad":
            raise ValueError("no such endpoint")
        return Nobody(address)

    record = Record(file)
    monitors = Monitors(record=record)
    monitors.restore(client)
    assert list(monitors.all()) == ["good"]
    assert "no such endpoint" in caplog.text
    monitors.close()
    record.close()
    after = Record(file)
    assert [saved.identifier for saved in after.saved()] == ["good"]
    after.close()


@pytest.mark.parametrize("kind", [*MonitorType], ids=lambda kind: kind.value)
def test_only_persistent_monitors_are_kept(file: Path, tmp_path: Path, kind: MonitorType) -> None:
    record = Record(file)
    monitors = Monitors(record=record)
    asked = request(os.fsencode(tmp_path), type=kind)
    identifier = monitors.create(asked, Nobody("somebody"))
    monitors.get(identifier).start()
    monitors.close()
    record.close()
    after = Record(file)
    kept = [(saved.identifier, saved.started) for saved in after.saved()]
    assert kept == ([(identifier, True)] if kind is MonitorType.PERSISTENT else [])
    after.close()


def test_a_start_that_fails_leaves_it_stopped(file: Path, tmp_path: Path) -> None:
    record = Record(file)
    monitors = Monitors(record=record)
    (tmp_path / "root").mkdir()
    monitor = monitors.get(
        monitors.create(request(os.fsencode(tmp_path / "root")), Nobody("somebody"))
    )
    monitor.start()
    monitor.stop()
    (tmp_path / "root").rmdir()
    with pytest.raises(Exception, match=r"root.*cannot be watched: No such file"):
        monitor.start()
    assert not monitor.started
    assert [saved.started for saved in record.saved()] == [False]
    monitors.close()
    record.close()


def test_start_stop_and_destroy_from_many_threads(file: Path, tmp_path: Path) -> None:
    record = Record(file)
    monitors = Monitors(record=record)
    (tmp_path / "root").mkdir()
    identifiers = [
        monitors.create(request(os.fsencode(tmp_path / "root")), Nobody("somebody"))
        for _ in range(4)
    ]
    end = time.monotonic() + 1.0

    def at_random(number: int) -> None:
        for turn in range(10**6):
            if time.monotonic() > end:
                return
            monitor = monitors.get(identifiers[(number + turn) % 4])
            (monitor.start if (number * 7 + turn) % 3 else monitor.stop)()

    threads = [threading.Thread(target=at_random, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    for identifier in identifiers:
        monitors.get(identifier).start()
    for identifier in identifiers[:2]:
        monitors.get(identifier).stop()
    monitors.destroy(identifiers[3])
    monitors.close()
    record.close()
    after = Record(file)
    assert [(saved.identifier, saved.started) for saved in after.saved()] == [
        (identifiers[0], False),
        (identifiers[1], False),
        (identifiers[2], True),
    ]
    after.close()


@pytest.mark.parametrize("version", [2, 3])
def test_a_record_of_a_version_before_is_brought_up(file: Path, version: int) -> None:
    record = Record(file)
    picture = begun(record, "one", {})
    picture.write({b"/data/d/": "D", b"/data/d/e/": "d?", b"/data/d/f": (1, 2, 3)})
    record.close()
    _execute(file, "DROP TABLE page")
    if version == 2:
        _execute(file, "UPDATE known SET path = CAST(rtrim(CAST(path AS TEXT), '/') AS BLOB)")
    _execute(file, f"PRAGMA user_version = {version}")
    record = Record(file)
    assert loaded(record, "one") == {b"/data/d/": "D", b"/data/d/e/": "d?", b"/data/d/f": (1, 2, 3)}
    record.close()
