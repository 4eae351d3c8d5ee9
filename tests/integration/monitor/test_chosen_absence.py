"""A client says for how long it may be away, in the context of its call of createMonitor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import omero_FS_ice  # noqa: F401 - defines omero.grid.monitors
import pytest
from omero.grid import monitors as slice_

import omero
from omero_fs_plugin.monitor.monitors import Monitors
from omero_fs_plugin.monitor.server import FSServer

from .fsserver import PATIENCE, Client, address_of, initialize, serve, until

KEY = "omero.fs.clientTimeout"


class Place:
    """FSServer with a record, and clients that can be killed."""

    def __init__(self, place: Path) -> None:
        self.watched = place / "watched"
        self.watched.mkdir()
        self._properties = {"omero.data.dir": str(place)}
        self._clients: list[Any] = []
        self.start()

    def start(self, **properties: str) -> None:
        properties = {f"omero.fs.{name}": value for name, value in properties.items()}
        self._ice = initialize(self._properties | properties)
        self.service = FSServer(self._ice)

    def stop(self) -> None:
        self.service.stop()
        self._ice.destroy()

    def create(self, *context: dict[str, str]) -> tuple[str, Callable[[], None]]:
        """The id of a new monitor; and what ends its client, as a kill does."""
        communicator = initialize()
        self._clients.append(communicator)
        client = serve(communicator, "client", Client())
        server = slice_.MonitorServerPrx.checkedCast(
            communicator.stringToProxy(address_of(self.service, "MonitorServer"))
        )
        identifier = server.createMonitor(
            slice_.MonitorType.Persistent,
            [slice_.WatchEventType.All],
            slice_.PathMode.Follow,
            str(self.watched),
            [],
            [],
            0.0,
            0,
            True,
            True,
            True,
            client.proxy,
            *context,
        )
        server.startMonitor(identifier)
        return identifier, communicator.destroy

    def close(self) -> None:
        for communicator in self._clients:
            communicator.destroy()
        self.stop()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def test_it_is_given_up_soon_and_another_that_said_nothing_is_not(place: Place) -> None:
    chosen, kill = place.create({KEY: "0.4"})
    other, kill_other = place.create()
    kill()
    kill_other()
    until(lambda: chosen not in place.service.monitors.all())
    assert other in place.service.monitors.all()


def test_also_while_there_are_events_to_tell(place: Place) -> None:
    chosen, kill = place.create({KEY: "1"})
    kill()
    (place.watched / "a.tif").write_text("")
    until(lambda: chosen not in place.service.monitors.all())


def test_one_that_is_there_stays(place: Place) -> None:
    chosen, _ = place.create({KEY: "0.2"})
    gone, kill = place.create({KEY: "0.8"})
    kill()
    until(lambda: gone not in place.service.monitors.all())
    assert chosen in place.service.monitors.all()


def test_it_outlives_fsserver(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = threading.Event()
    give_up = Monitors._give_up

    def later(monitors: Monitors, identifier: str) -> None:
        assert looked.wait(PATIENCE)
        give_up(monitors, identifier)

    monkeypatch.setattr(Monitors, "_give_up", later)
    chosen, kill = place.create({KEY: "0.4"})
    other, kill_other = place.create()
    place.stop()
    kill()
    kill_other()
    place.start()
    assert {chosen, other} <= place.service.monitors.all().keys()
    looked.set()
    until(lambda: chosen not in place.service.monitors.all())
    assert other in place.service.monitors.all()


def test_the_admins_word_is_the_most(place: Place) -> None:
    place.stop()
    place.start(clientTimeout="0.4")
    chosen, kill = place.create({KEY: "100000"})
    kill()
    until(lambda: chosen not in place.service.monitors.all())


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_what_is_no_time_is_refused(place: Place, text: str) -> None:
    with pytest.raises(omero.OmeroFSError, match="must be a time in seconds"):
        place.create({KEY: text})
    assert place.service.monitors.all() == {}
