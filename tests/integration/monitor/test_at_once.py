"""After silence a client hears of a file as soon as it is closed, whatever waits a busy one has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel.observers import INOTIFY, Observing
from omero_fs_plugin.monitor.monitors import Monitors
from omero_fs_plugin.monitor.telling import gathering
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from tests.requests import request_of

from .fsserver import until
from .test_contract import Client

# So long that whoever waits for one of them does not hear in time.
LONG = Timing(hold=600.0, silence=600.0, burst_gap=600.0, burst_longest=600.0)


@pytest.fixture
def monitors() -> Iterator[Monitors]:
    found = Monitors(LONG, observing=Observing(INOTIFY))
    yield found
    found.close()


@pytest.fixture
def client(tmp_path: Path, monitors: Monitors) -> Client:
    (tmp_path / "known.tif").write_text("known")
    found = Client(tmp_path)
    found.identifier = monitors.create(request_of(os.fsencode(tmp_path)), found)
    monitors.get(found.identifier).start()
    return found


def test_a_new_file(client: Client) -> None:
    (client.root / "a.tif").write_text("one")
    until(lambda: client.changes() == [("Create", "a.tif")])


def test_a_rewrite(client: Client) -> None:
    (client.root / "known.tif").write_text("other")
    until(lambda: client.changes() == [("Modify", "known.tif")])


def test_a_file_that_is_written_for_a_while(client: Client) -> None:
    with (client.root / "known.tif").open("r+b", buffering=0) as stream:
        for _ in range(20_000):
            stream.write(b"-")
        assert client.changes() == []
    until(lambda: client.changes() == [("Modify", "known.tif")])


def test_one_of_two_files_that_are_written_is_told_when_it_is_closed(
    client: Client, monitors: Monitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "WRITES", 600.0)
    (client.root / "other.tif").write_text("other")
    until(lambda: client.changes() == [("Create", "other.tif")])
    watcher = monitors.get(client.identifier)._watcher
    assert watcher is not None
    found = watcher._waits.gathering
    with (
        (client.root / "other.tif").open("r+b", buffering=0) as other,
        (client.root / "known.tif").open("r+b", buffering=0) as known,
    ):
        for _ in range(1000):
            found.only_writes = 600.0  # as after very many looks at nothing but writes
            other.write(b"-")
            known.write(b"-")
        known.close()

        def told() -> bool:
            other.write(b"-")
            return client.changes()[1:] == [("Modify", "known.tif")]

        until(told)


def test_a_temporary_name_waits_for_its_rename(client: Client) -> None:
    (client.root / "a.tif.new").write_text("one")
    (client.root / "b.tif").write_text("one")  # and what comes later is not told earlier
    (client.root / "known.tif").unlink()
    until(lambda: client.changes() == [("Delete", "known.tif")])
