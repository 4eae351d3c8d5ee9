"""FSServers on several nodes: each has its paths, its monitors and its troubles."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import Ice
import pytest
from omero.grid import monitors

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.watching.fsserver import FsServer
from omero_fs_plugin.dropbox.watching.subscription import Subscription
from omero_fs_plugin.dropbox.watching.subscriptions import Subscriptions
from tests.rules import settings_of
from tests.steps import before_each

PATH_MAP = "files1:/data=/export,/data=/srv,/data/zak=/zak"


def fsserver(node: str) -> FsServer:
    made = FsServer(
        None,
        node,
        server_id="MonitorServer",
        file_server_id="FileServer",
        lanes=Lanes(),
        closed=lambda one: None,
    )
    made.apply(rules().rules, rules().path_map)
    return made


def rules(**properties: str) -> Any:
    return settings_of(
        importUsers="default;amy;zak;eve",
        watchDir="/data;/data/amy;/data/zak;/data/zak/eve",
        node=";files1;files1;files2",
        pathMap=PATH_MAP,
        **properties,
    )


@pytest.mark.parametrize(
    ("node", "path", "there"),
    [
        ("", "/data/amy/a.tif", "/data/amy/a.tif"),
        ("files1", "/data/amy/a.tif", "/export/amy/a.tif"),
        ("files1", "/data/zak/a.tif", "/zak/a.tif"),
        ("files2", "/data/zak/eve/a.tif", "/zak/eve/a.tif"),
    ],
)
def test_a_path_there_is_a_path_here_again(node: str, path: str, there: str) -> None:
    made = fsserver(node)
    assert made.there(path) == there
    assert made.here(there) == path


def test_a_path_that_no_rule_has_stays_as_it_is() -> None:
    assert fsserver("files1").here("/export/amyx/a.tif") == "/export/amyx/a.tif"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            Ice.NotRegisteredException("object", "MonitorServer-files1"),
            "the grid has no FSServer-files1: list FSServerNode for files1",
        ),
        (Ice.NoEndpointException("x"), "FSServer-files1 is not running, or the node files1"),
        (Ice.ConnectTimeoutException(), "the machine does not answer"),
    ],
)
def test_why_it_does_not_answer(error: Any, words: str) -> None:
    class Away:
        def ice_getCachedConnection(self) -> None:
            return None

    why = fsserver("files1").why(Away(), error)
    assert words in why and "\n" not in why


def test_a_connection_with_an_overdue_answer_is_given_up() -> None:
    closed: list[bool] = []

    class Cut:
        def ice_getCachedConnection(self) -> Cut:
            return self

        def close(self, force: bool) -> None:
            closed.append(force)

    fsserver("files1").why(Cut(), Ice.InvocationTimeoutException())
    assert closed == [True]


class Answering:
    """An FSServer; while it is `held`, no call of it ends."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.made: dict[str, str] = {}  # id -> path
        self.asked_to_destroy: list[str] = []

    def ice_invocationTimeout(self, _: int) -> Answering:
        return self

    def ice_getCachedConnection(self) -> None:
        return None

    def createMonitor(self, *arguments: Any) -> str:
        self.go_on.wait()
        identifier = f"m{len(self.made)}"
        self.made[identifier] = arguments[3]
        return identifier

    def startMonitor(self, monitor: str) -> None:
        """It watches."""

    def getMonitorState(self, monitor: str) -> Any:
        self.go_on.wait()
        return monitors.MonitorState.Started

    def destroyMonitor(self, monitor: str) -> None:
        self.asked_to_destroy.append(monitor)

    def begin_destroyMonitor(self, monitor: str) -> str:
        return monitor

    def end_destroyMonitor(self, monitor: str) -> None:
        self.destroyMonitor(monitor)


class Notes:
    """The journal's."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def note(self, key: str, value: str) -> None:
        self.kept[key] = value

    def unnote(self, key: str, said: str) -> None:
        if self.kept.get(key) == said:
            self.kept[key] = ""

    def noted(self, key: str) -> str:
        return self.kept.get(key, "")

    def notes(self, prefix: str) -> dict[str, str]:
        return {key: v for key, v in self.kept.items() if key.startswith(prefix) and v}


class World:
    """Three FSServers, and the subscriptions on them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.servers = {node: Answering() for node in ("", "files1", "files2")}
        monkeypatch.setattr(FsServer, "server", lambda one: self.servers[one.node])
        self.notes = Notes()
        self.connected: list[tuple[str, bool]] = []
        journal: Any = self.notes
        self.subscriptions = Subscriptions(
            None,
            lambda one: one.node,
            journal,
            server_id="",
            connected=lambda rule, first: self.connected.append((rule.node, first)),
            lanes=Lanes(),
        )

    def apply(self, settings: Any) -> None:
        self.subscriptions.apply(settings.rules, platform_check=True, path_map=settings.path_map)

    def until(self, look: Callable[[], object]) -> None:
        end = time.monotonic() + 20
        while not look():
            assert time.monotonic() < end, self.subscriptions.figures()
            time.sleep(0.01)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_each_rule_is_watched_by_its_own_under_its_path_there(world: World) -> None:
    world.apply(rules())
    world.until(lambda: not world.subscriptions.problem)
    made = {node: sorted(server.made.values()) for node, server in world.servers.items()}
    assert made == {
        "": ["/data"],
        "files1": ["/export/amy", "/zak"],
        "files2": ["/zak/eve"],
    }
    assert sorted(world.connected) == [
        ("", True),
        ("files1", True),
        ("files1", True),
        ("files2", True),
    ]
    world.subscriptions.stop()


def test_one_that_hangs_is_named_and_keeps_no_other_from_its_monitors(world: World) -> None:
    hanging = world.servers["files1"]
    hanging.go_on.clear()
    world.apply(rules())
    world.until(
        lambda: world.subscriptions.connections() == {"": True, "files1": False, "files2": True}
    )
    assert set(world.subscriptions.problems()) == {"FSServer-files1"}
    # Nor does it when the rules change.
    world.apply(rules(blacklist=";;;x.tif"))
    world.until(lambda: len(world.servers["files2"].made) == 2)
    hanging.go_on.set()
    world.until(lambda: not world.subscriptions.problem)
    world.subscriptions.stop()


def test_when_a_rule_moves_its_monitor_ends_on_the_former_node(world: World) -> None:
    world.apply(rules())
    world.until(lambda: not world.subscriptions.problem)
    moved: tuple[Rule, ...] = settings_of(
        importUsers="default;amy", watchDir="/data;/data/amy", node=";files2"
    ).rules
    world.subscriptions.apply(moved, platform_check=True)
    world.until(lambda: not world.subscriptions.problem)
    assert len(world.servers["files1"].asked_to_destroy) == 2
    assert "/data/amy" in world.servers["files2"].made.values()
    assert sorted(key for key, value in world.notes.kept.items() if value) == [
        "monitor:default:/data",
        "monitor@files2:amy:/data/amy",
    ]
    world.subscriptions.stop()


def test_what_a_killed_dropbox_left_is_destroyed_on_its_node(world: World) -> None:
    world.notes.kept = {
        "monitor:gone:/x": "a",
        "monitor@files1:gone:/y": "b",
        "monitor@files2:gone:/z": "c",
    }
    world.apply(rules())
    world.until(lambda: not any("gone" in k for k, v in world.notes.kept.items() if v))
    asked = {node: server.asked_to_destroy for node, server in world.servers.items()}
    assert asked == {"": ["a"], "files1": ["b"], "files2": ["c"]}
    world.subscriptions.stop()


@pytest.mark.parametrize("noted", ["before", "between"], ids=["before the look", "in the middle"])
def test_the_monitor_of_a_new_rule_is_none_that_was_left(
    world: World, monkeypatch: pytest.MonkeyPatch, noted: str
) -> None:
    """Those that are left are looked for while a new rule gets its monitor."""
    server = world.servers[""]
    (rule,) = settings_of(watchDir="/new").rules
    made: list[Subscription] = []

    def start(one: Subscription) -> None:
        """Its thread takes its first step, and another one tidies up just then."""
        made.append(one)
        if noted == "before":
            one._look(server)
            world.subscriptions._destroy_left()
            return
        with before_each([(world.notes, "notes")], lambda: one._look(server)):
            world.subscriptions._destroy_left()

    monkeypatch.setattr(Subscription, "start", start)
    world.subscriptions.apply([rule], platform_check=True)
    assert server.asked_to_destroy == []
    assert world.notes.notes("monitor") == {"monitor:default:/new": made[0].monitor}
    world.subscriptions._stopping.set()
    world.subscriptions._left.set()
