"""Faults put into FSServer and its clients, and those that its forerunner had.

Over real Ice and the real kernel, in this process; FSServer killed is in
test_restart.py.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import random
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import Ice
import pytest
from omero.grid import monitors as slice_

import omero
from omero_fs_plugin import icegrid
from omero_fs_plugin.monitor import server, watcher
from omero_fs_plugin.monitor.kernel import inotify
from omero_fs_plugin.monitor.server import FSServer
from omero_fs_plugin.monitor.telling import outbox
from omero_fs_plugin.monitor.telling.telling import Telling
from omero_fs_plugin.monitor.tracking import arrivals, comparison
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from omero_fs_plugin.monitor.tracking.tracker import Tracker

from .fsserver import (
    PATIENCE,
    Client,
    address_of,
    create,
    initialize,
    serve,
    start,
    state,
    until,
)


class Served:
    """An FSServer in this process, and a client's way to it."""

    def __init__(self, clients: Any, properties: dict[str, str]) -> None:
        self._communicator = initialize(properties)
        self.service = FSServer(self._communicator)
        self.server = slice_.MonitorServerPrx.uncheckedCast(
            clients.stringToProxy(address_of(self.service, "MonitorServer"))
        )
        self.files = slice_.FileServerPrx.uncheckedCast(
            clients.stringToProxy(address_of(self.service, "FileServer"))
        )

    def figure(self, identifier: str, name: str) -> str:
        return self.service.monitors.figures().get(f"monitor.{identifier}.{name}", "")

    def stop(self) -> None:
        self.service.stop()
        self._communicator.destroy()


@pytest.fixture
def running(clients: Any) -> Iterator[Callable[..., Served]]:
    """Begins an FSServer with the properties given."""
    begun: list[Served] = []

    def begin(properties: dict[str, str] | None = None) -> Served:
        begun.append(Served(clients, properties or {}))
        return begun[-1]

    yield begin
    for one in begun:
        one.stop()


@pytest.fixture
def client(clients: Any) -> Client:
    return serve(clients, "client", Client())


# The thread of a monitor


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Python drops what is raised in a finalizer or the callback of a weak reference.

    A collection in a large test run takes long, and whatever thread it falls to runs those
    of everybody: a kill that met it there killed nothing.
    """
    gc.disable()
    yield
    gc.enable()


def _kill(identifier: str) -> None:
    """What ends a thread, in the place of whatever it does next."""
    (thread,) = [one for one in threading.enumerate() if one.name == f"monitor-{identifier[:8]}"]
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
    )


def fails(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, first: Callable[[], Any] = lambda: None
) -> None:
    """A monitor's thread is killed as it calls this, once, after `first`."""
    real, left = getattr(owner, name), [1]

    def fail(*args: Any) -> Any:
        if left and threading.current_thread().name.startswith("monitor-"):
            left.clear()
            first()
            raise SystemExit
        return real(*args)

    monkeypatch.setattr(owner, name, fail)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("kills", [1, 5])
def test_the_thread_is_killed_in_a_burst(
    running: Callable[..., Served],
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kills: int,
) -> None:
    monkeypatch.setattr(watcher, "RESTART", 0.01)
    monkeypatch.setattr(watcher, "LONGEST_RESTART", 0.05)
    served = running()
    for number in range(200):
        (tmp_path / f"old{number}").write_text("old")
    identifier = start(served.server, tmp_path, client)
    for kill in range(kills):
        for number in range(200):
            (tmp_path / f"{kill}-{number}").write_text("new")
            if number == 100:
                _kill(identifier)
            if number % 2:
                (tmp_path / f"{kill}-{number}").unlink()
        (tmp_path / f"old{kill}").unlink()
    there = sorted(one.name for one in tmp_path.iterdir())
    told = {f"old{number}" for number in range(200)}

    def picture() -> list[str]:
        names = set(told)
        for kind, path in client.changes():
            (names.add if kind != "Delete" else names.discard)(Path(path).name)
        return sorted(names)

    until(lambda: picture() == there)
    until(lambda: "restarted" in client.notices())
    assert state(served.server, identifier) == "Started"
    (tmp_path / "after").write_text("x")
    until(lambda: ("Create", f"{tmp_path}/after") in client.changes())


class Line:
    """Raises, in the thread of a monitor, at the so-manieth line of FSServer's that it comes to."""

    def __init__(self, number: int, run: Callable[[watcher.Watcher], None]) -> None:
        self._left = number
        self.raised_at = ""
        self._run = run

    def run(self, one: watcher.Watcher) -> None:
        """In the place of Watcher._run."""
        sys.settrace(self._enter)
        try:
            self._run(one)
        finally:
            sys.settrace(None)

    def _enter(self, frame: Any, event: str, argument: Any) -> Any:
        return self._line if "/monitor/" in frame.f_code.co_filename else None

    def _line(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "line" and not self.raised_at and begun.is_set():
            self._left -= 1
            if not self._left:
                self.raised_at = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise SystemExit
        return self._line


begun = threading.Event()  # the burst


def test_the_thread_is_ended_at_any_line(
    running: Callable[..., Served],
    clients: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a few lines of each run; none of the 1,500 is an end."""
    monkeypatch.setattr(watcher, "RESTART", 0.01)
    run = watcher.Watcher._run
    for number in random.sample(range(1, 1500), 8):
        line = Line(number, run)
        monkeypatch.setattr(watcher.Watcher, "_run", lambda self, line=line: line.run(self))
        begun.clear()
        root = tmp_path / str(number)
        root.mkdir()
        (root / "old").write_text("old")
        client = serve(clients, f"client{number}", Client())
        start(running().server, root, client)
        begun.set()
        for name in "abcdef":
            (root / name).write_text("new")
            time.sleep(0.01)
            if name in "bdf":
                (root / name).unlink()
        (root / "old").unlink()
        until(lambda: client.known(root) == {"a", "c", "e"}, line.raised_at)  # noqa: B023
        (root / "after").write_text("x")
        until(lambda: "after" in client.known(root), line.raised_at)  # noqa: B023


def test_the_thread_is_killed_again_while_it_stops_watching(
    running: Callable[..., Served],
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watcher, "RESTART", 0.01)
    served = running()
    start(served.server, tmp_path, client)
    fails(monkeypatch, inotify.Inotify, "drain", lambda: (tmp_path / "b").write_text("b"))
    fails(monkeypatch, Tracker, "close", lambda: (tmp_path / "c").write_text("c"))
    (tmp_path / "a").write_text("a")
    until(lambda: client.files(tmp_path) == ["a", "b", "c"])
    until(lambda: client.notices() == ["restarted", "rescanned"])


def test_the_thread_is_killed_again_before_it_can_recover(
    running: Callable[..., Served],
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it rests, after an error in its recovery."""
    monkeypatch.setattr(watcher, "RESTART", 0.01)
    served = running()
    identifier = start(served.server, tmp_path, client)
    fails(monkeypatch, inotify.Inotify, "drain")
    fails(monkeypatch, Telling, "recover")
    fails(monkeypatch, watcher.time, "sleep")
    (tmp_path / "a").write_text("a")
    until(lambda: client.files(tmp_path) == ["a"])
    assert state(served.server, identifier) == "Started"


def test_an_error_that_comes_again_and_again_is_told_once(
    running: Callable[..., Served],
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watcher, "RESTART", 0.01)
    served = running()
    start(served.server, tmp_path, client)
    left = [6]

    def drain(self: Any, real: Any = inotify.Inotify.drain) -> None:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("a defect")
        real(self)

    monkeypatch.setattr(inotify.Inotify, "drain", drain)
    (tmp_path / "a").write_text("a")
    until(lambda: client.files(tmp_path) == ["a"])
    until(lambda: client.notices() == ["restarted", "rescanned"])
    waits = [one.args[1] for one in caplog.records if "met an error" in one.msg and one.args]
    assert waits == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32]


# Clients that are away


@pytest.mark.parametrize("events", [True, False], ids=["told of files", "told of nothing"])
def test_a_client_that_is_gone_for_good_is_given_up(
    running: Callable[..., Served],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    events: bool,
) -> None:
    monkeypatch.setattr(outbox, "LONGEST_RETRY", 0.2)
    monkeypatch.setattr(outbox, "FIRST_RETRY", 0.1)
    data, root = tmp_path / "data", tmp_path / "root"
    data.mkdir()
    root.mkdir()
    properties = {"omero.data.dir": str(data), "omero.fs.clientTimeout": "1"}
    served = running(properties)
    gone = initialize()
    identifier = start(served.server, root, serve(gone, "gone", Client()))
    gone.destroy()
    if events:
        (root / "a").write_text("a")
    until(lambda: served.service.monitors.figures() == {"monitors": "0"})
    with pytest.raises(omero.OmeroFSError) as raised:
        state(served.server, identifier)
    assert "there is no such monitor" in raised.value.reason
    (line,) = [one.getMessage() for one in caplog.records if "has been away for" in one.msg]
    assert identifier in line and str(root) in line and "it is destroyed" in line
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("give-up")])
    served.service.stop()
    again = running(properties)
    assert again.service.monitors.figures() == {"monitors": "0"}


def test_a_client_that_is_back_in_time_is_not_given_up(
    running: Callable[..., Served], clients: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LONGEST_RETRY", 0.1)
    served = running({"omero.fs.clientTimeout": "3600"})
    client = serve(clients, "client", Client())
    identifier = start(served.server, tmp_path, client)
    refusals = [3]

    def away() -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise Ice.ObjectNotExistException()

    client.before = away
    (tmp_path / "a").write_text("a")
    until(lambda: client.files(tmp_path) == ["a"])
    assert refusals == [0]
    until(lambda: served.figure(identifier, "away") == "0")


@pytest.fixture
def small_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is full with 20 events, and no scan tells more at once, as of the real one."""
    monkeypatch.setattr(outbox, "PATIENCE", 0.1)
    monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"block_size": 0, "capacity": 20})
    for module in (arrivals, comparison):
        monkeypatch.setattr(module, "AT_ONCE", 10)


def test_an_answer_that_came_too_late_and_a_file_that_is_gone_since(
    small_outbox: None,
    running: Callable[..., Served],
    clients: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It heard of the file, and was believed away: what is gone is told to be gone."""
    from omero_fs_plugin.monitor import servants

    monkeypatch.setattr(servants, "NOTIFY_TIMEOUT_MS", 300)
    monkeypatch.setattr(outbox, "LONGEST_RETRY", 0.2)
    served = running()
    client = serve(clients, "client", Client())
    held = threading.Event()
    client.before = lambda: held.wait(PATIENCE) and None  # type: ignore[func-returns-value]
    identifier = start(served.server, tmp_path, client)
    (tmp_path / "first").write_text("heard, and not answered in time")
    until(lambda: served.figure(identifier, "waiting") == "1")
    for number in range(100):
        (tmp_path / str(number)).write_text("x")
    until(lambda: served.figure(identifier, "watches") == "0", "no gap")
    (tmp_path / "first").unlink()
    held.set()
    until(lambda: "gap" in client.notices())
    there = {str(number) for number in range(100)}
    known: set[str] = set()

    def picture() -> set[str]:
        known.clear()
        for kind, path in client.changes():
            (known.discard if kind == "Delete" else known.add)(Path(path).name)
        return known

    until(lambda: picture() == there)
    assert ("Delete", f"{tmp_path}/first") in client.changes()


def test_the_thread_is_killed_as_it_gives_up_to_tell(
    small_outbox: None,
    running: Callable[..., Served],
    clients: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waited is not lost: it is told, or the rescan tells it."""
    monkeypatch.setattr(watcher, "RESTART", 0.01)
    served = running()
    client = serve(clients, "client", Client())
    held = threading.Event()
    client.before = lambda: held.wait(PATIENCE) and None  # type: ignore[func-returns-value]
    identifier = start(served.server, tmp_path, client)
    (tmp_path / "first").write_text("x")
    until(lambda: served.figure(identifier, "waiting") == "1")
    fails(monkeypatch, Tracker, "untell", held.set)
    for number in range(100):
        (tmp_path / str(number)).write_text("x")
    until(held.is_set)
    there = {str(tmp_path / str(number)) for number in range(100)}
    until(lambda: there <= {path for _, path in client.changes()})


def test_many_clients_are_away_and_none_is_anothers_delay(
    running: Callable[..., Served], clients: Any, tmp_path: Path
) -> None:
    served = running()
    gone = initialize()
    away = [
        start(served.server, tmp_path, serve(gone, f"gone{number}", Client()))
        for number in range(10)
    ]
    gone.destroy()
    client = serve(clients, "client", Client())
    start(served.server, tmp_path, client)
    for number in range(20):
        (tmp_path / str(number)).write_text("x")
        until(lambda number=number: len(client.changes()) == number + 1)
    for identifier in away:
        assert served.figure(identifier, "waiting") != "0"
        served.server.destroyMonitor(identifier)


# What its forerunner did not do


def test_a_tree_that_is_written_while_it_is_first_looked_at(
    running: Callable[..., Served], client: Client, tmp_path: Path
) -> None:
    """Nothing overflows, and nothing that comes after the start is missed or told twice."""
    for number in range(4000):
        (tmp_path / f"d{number % 400}").mkdir(exist_ok=True)
        (tmp_path / f"d{number % 400}" / f"old{number}").write_text("x")
    served = running()
    identifier = create(served.server, tmp_path, client)
    begun = threading.Event()
    started = threading.Event()
    before, after = [], []

    def write() -> None:
        for number in range(100_000):
            path = tmp_path / f"d{number % 400}" / f"new{number}"
            written = after if started.is_set() else before
            path.write_text("x")
            written.append(str(path))
            begun.set()
            if len(after) == 500:
                return

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    served.server.startMonitor(identifier)
    started.set()
    writer.join()
    until(lambda: set(after) <= {path for _, path in client.changes()})
    creates = Counter(path for kind, path in client.changes() if kind == "Create")
    assert set(creates.values()) == {1}
    assert set(creates) <= set(before) | set(after)
    assert client.notices() == []


def test_a_subdirectory_removed_and_made_again(
    running: Callable[..., Served], client: Client, tmp_path: Path
) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    served = running()
    start(served.server, tmp_path, client)
    for turn in range(3):
        shutil.rmtree(tmp_path / "d")
        (tmp_path / "d" / "e").mkdir(parents=True)
        (tmp_path / "d" / "e" / f"{turn}").write_text("x")
        until(lambda turn=turn: client.files(tmp_path) == [f"d/e/{turn}"])


def test_a_subdirectory_made_unreadable_and_readable(
    running: Callable[..., Served], client: Client, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    served = running()
    start(served.server, tmp_path, client)
    (tmp_path / "d").chmod(0)
    (tmp_path / "a").write_text("a")
    until(lambda: client.files(tmp_path) == ["a"])
    (tmp_path / "d").chmod(0o755)
    (tmp_path / "d" / "b").write_text("b")
    until(lambda: client.files(tmp_path) == ["a", "d/b"])


def test_ten_thousand_files_moved_in_at_once(
    running: Callable[..., Served], client: Client, tmp_path: Path
) -> None:
    root, tree = tmp_path / "root", tmp_path / "tree"
    root.mkdir()
    for number in range(100):
        (tree / f"d{number}").mkdir(parents=True)
        for name in range(100):
            (tree / f"d{number}" / str(name)).touch()
    served = running()
    start(served.server, root, client)
    tree.rename(root / "tree")
    until(lambda: len(client.heard) >= 10_000)
    assert len(client.heard) == len(set(client.heard)) == 10_000
    assert {kind for kind, _ in client.heard} == {"Create"}


def test_a_file_rewritten_in_many_pieces_is_one_modify(
    running: Callable[..., Served],
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However long this process stands still between two of them.
    timing = partial(Timing, burst_gap=600.0, burst_longest=600.0)
    monkeypatch.setattr(server, "Timing", timing)
    (tmp_path / "large").write_bytes(b"old")
    served = running()
    start(served.server, tmp_path, client)
    with (tmp_path / "large").open("wb", buffering=0) as file:
        for _ in range(2048):
            file.write(b"x" * 4096)
    (tmp_path / "last").write_text("x")
    until(lambda: len(client.changes()) >= 2)
    until(lambda: ("Modify", f"{tmp_path}/large") in client.changes())
    assert sorted(client.changes()) == [
        ("Create", f"{tmp_path}/last"),
        ("Modify", f"{tmp_path}/large"),
    ]


def test_every_operation_answers(
    running: Callable[..., Served], clients: Any, client: Client, tmp_path: Path
) -> None:
    """IcePy never answers a call whose method is missing: its caller would hang."""
    served = running()
    (tmp_path / "a").write_text("a")
    identifier = start(served.server, tmp_path, client)
    path = str(tmp_path / "a")
    arguments: dict[str, tuple[Any, ...]] = {
        "getDirectory": (str(tmp_path), "*"),
        "getBulkDirectory": (str(tmp_path), "*"),
        "readBlock": (path, 0, 1),
    }
    called = set()
    for proxy, default in ((served.server, identifier), (served.files, path)):
        quick = proxy.ice_invocationTimeout(10_000)
        served.server.startMonitor(identifier)  # stopMonitor may have been called
        for name in _operations(type(proxy)):
            called.add(name)
            if name == "createMonitor":
                assert create(quick, tmp_path, client)
            elif name != "destroyMonitor":
                getattr(quick, name)(*arguments.get(name, (default,)))
    served.server.destroyMonitor(identifier)
    assert {"createMonitor", "getMonitorState", "readBlock", "getSHA1"} <= called
    assert len(called) == 19
    admin = served.service.adapter.getCommunicator().getAdmin()
    facet = Ice.PropertiesAdminPrx.checkedCast(
        clients.stringToProxy(str(admin)), icegrid.STATUS_FACET
    ).ice_invocationTimeout(10_000)
    facet.setProperties({"monitors": "7"})  # figures are read, not set
    assert facet.getProperty("monitors") == "1"
    assert facet.getPropertiesForPrefix("monitors") == {"monitors": "1"}


def _operations(kind: type) -> set[str]:
    """What the Slice interface of a proxy has."""
    return {name.removeprefix("begin_") for name in vars(kind) if name.startswith("begin_")}


def test_it_listens_on_this_machine_only(running: Callable[..., Served]) -> None:
    served = running({"omerofs.FSServer.Endpoints": ""})
    hosts = {one.getInfo().host for one in served.service.adapter.getPublishedEndpoints()}
    assert hosts == {"127.0.0.1"}


def test_what_a_name_does_to_the_log(
    running: Callable[..., Served],
    client: Client,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    served = running()
    odd = tmp_path / os.fsdecode(b"a\nERROR forged \x1b[31m\xff")
    odd.mkdir()
    with pytest.raises(omero.OmeroFSError):
        create(served.server, odd / "none", client)
    (tmp_path / os.fsdecode(b"b\n\xff")).write_text("x")
    start(served.server, tmp_path, client)
    (odd / "c").write_text("x")
    until(lambda: client.notices())
    assert not [one for one in caplog.records if "\n" in one.getMessage()]
