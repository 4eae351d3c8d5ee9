"""DropBox's monitors, of which there may be hundreds."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from omero.grid import monitors

from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.watching.subscription import Subscription
from omero_fs_plugin.dropbox.watching.subscriptions import Subscriptions
from omero_fs_plugin.errors import JournalError


class FSServer:
    """Notes what it is asked, in order."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def ice_invocationTimeout(self, _: int) -> FSServer:
        return self

    def begin_destroyMonitor(self, monitor: str) -> str:
        self.heard.append("asked")
        return monitor

    def end_destroyMonitor(self, answer: str) -> None:
        self.heard.append(f"{answer} has ended")

    def destroyMonitor(self, monitor: str) -> None:
        self.heard += ["asked", f"{monitor} has ended"]


def test_a_stop_asks_for_all_of_them_before_it_waits_for_one() -> None:
    server, nothing = FSServer(), lambda *_: None
    every: list[Any] = []
    for number in range(300):
        rule: Any = SimpleNamespace(user="amy", watch_dir=f"/{number}", node="")
        one = Subscription(
            lambda: server,
            rule,
            None,
            platform_check=True,
            connected=nothing,
            note=nothing,
            noted=lambda: "",
        )
        one.ask_to_stop()
        one.start()
        one.monitor = str(number)
        every.append(one)
    journal: Any = None
    subscriptions = Subscriptions(
        None, nothing, journal, server_id="", connected=nothing, lanes=Lanes()
    )
    subscriptions._all = tuple(every)
    subscriptions.stop()
    assert server.heard[:300] == ["asked"] * 300
    assert server.heard[300:] == [f"{number} has ended" for number in range(300)]


class Passing(threading.Event):
    """Time passes when somebody waits for it, and only then."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []  # s

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        if not self.is_set():
            self.waited.append(timeout)
        return self.is_set()


class Connection:
    """As Ice.Connection: it has one callback, and calls it when it closes."""

    def __init__(self) -> None:
        self.callback: Any = None

    def setCallback(self, callback: Any) -> None:
        self.callback = callback

    def close(self) -> None:
        self.callback.closed(self)


class Answering:
    """An FSServer that has the monitor, and counts what it is asked."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.asked = 0

    def getMonitorState(self, monitor: str) -> Any:
        self.asked += 1
        return monitors.MonitorState.Started

    def ice_getCachedConnection(self) -> Connection:
        return self.connection


def kept(count: int) -> tuple[Answering, list[Subscription], Passing]:
    """Subscriptions that have their monitors, and the time that passes for the first of them."""
    server, passing, nothing = Answering(), Passing(), lambda *_: None
    journal: Any = None
    subscriptions = Subscriptions(
        None, nothing, journal, server_id="", connected=nothing, lanes=Lanes()
    )
    every: list[Subscription] = []
    for number in range(count):
        rule: Any = SimpleNamespace(user="amy", watch_dir=f"/{number}", node="")
        one = subscriptions._make(rule)
        one._server = lambda: server
        one.monitor = str(number)
        every.append(one)
    every[0]._news = every[0]._stopping = passing
    subscriptions._all = tuple(every)
    return server, every, passing


def test_an_fsserver_that_is_connected_is_asked_six_times_a_minute() -> None:
    server, (one,), passing = kept(1)
    while sum(passing.waited) < 60:
        one._look(one._server())
        one._pause()
    assert server.asked <= 6


def test_an_fsserver_whose_connection_closes_is_asked_after_two_seconds() -> None:
    """All subscriptions share the connection, and all of them are told."""
    server, every, _ = kept(3)
    for one in every:
        one._look(one._server())
    server.connection.close()
    for one in every:
        assert one._news.is_set()
    one = every[1]
    passing = one._stopping = Passing()
    one._pause()
    assert passing.waited == [2.0]
    assert not one._news.is_set()


def test_without_a_monitor_it_is_tried_again_after_two_seconds() -> None:
    _, (one,), passing = kept(1)
    one.monitor = ""
    one._pause()
    assert passing.waited == [2.0]


@pytest.mark.parametrize("noted", ["m1", "", JournalError("away")], ids=["noted", "none", "away"])
def test_a_monitor_that_was_made_and_does_not_watch_is_not_forgotten(
    noted: str | Exception,
) -> None:
    """FSServer made it and could not start it, and then its rule goes."""

    def of_the_journal() -> str:
        if isinstance(noted, Exception):
            raise noted
        return noted

    rule: Any = SimpleNamespace(user="amy", watch_dir="/a", node="")
    one = Subscription(
        FSServer,
        rule,
        None,
        platform_check=True,
        connected=lambda *_: None,
        note=lambda monitor: None,
        noted=of_the_journal,
    )
    one.ask_to_stop()
    one.start()
    assert one.stop() is (noted == "")
