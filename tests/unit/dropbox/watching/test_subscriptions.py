"""DropBox's monitors, of which there may be hundreds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from omero_fs_plugin.dropbox.watching.subscription import Subscription
from omero_fs_plugin.dropbox.watching.subscriptions import Subscriptions


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
        rule: Any = SimpleNamespace(user="amy", watch_dir=f"/{number}")
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
    subscriptions = Subscriptions(None, None, journal, server_id="", connected=nothing)
    subscriptions._all = tuple(every)
    subscriptions.stop()
    assert server.heard[:300] == ["asked"] * 300
    assert server.heard[300:] == [f"{number} has ended" for number in range(300)]
