"""`omero fs watch` against an FSServer in this process; the grid is stood in for."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import Ice
import pytest
from omero_ext import argparse

from omero_fs_plugin import site as site_module
from omero_fs_plugin.cli import watch
from omero_fs_plugin.errors import ConfigurationError, FsError, GridError
from omero_fs_plugin.filesystems import Mount
from omero_fs_plugin.monitor.kernel.inotify import Inotify
from omero_fs_plugin.monitor.monitors import Monitor
from omero_fs_plugin.monitor.server import ADAPTER, FSServer
from omero_fs_plugin.starts import Condition, Life, condition
from tests.integration.monitor.fsserver import PATIENCE, free_endpoint, until


def _communicator(endpoints: str = "tcp -h 127.0.0.1") -> Any:
    data = Ice.InitializationData()
    data.properties = Ice.createProperties()
    for key, value in {
        "omero.data.dir": "/nonexistent",  # so nothing outlives the server
        "Ice.Override.ConnectTimeout": "2000",
        "Ice.Warn.Connections": "0",
        f"{ADAPTER}.Endpoints": endpoints,
    }.items():
        data.properties.setProperty(key, value)
    return Ice.initialize(data)


class Servers:
    """An FSServer that can be started again at the same place."""

    def __init__(self) -> None:
        self.endpoints = free_endpoint()
        self.start()

    def start(self) -> None:
        self._communicator = _communicator(self.endpoints)
        self.service = FSServer(self._communicator)
        self.proxy = str(
            self.service.adapter.createProxy(self._communicator.stringToIdentity("MonitorServer"))
        )

    def stop(self) -> None:
        self.service.stop()
        self._communicator.destroy()


class Registered:
    """A communicator whose locator knows where `MonitorServer` is."""

    def __init__(self, real: Any, proxy: str) -> None:
        self._real = real
        self._proxy = proxy

    def stringToProxy(self, text: str) -> Any:
        assert text == "MonitorServer"
        return self._real.stringToProxy(self._proxy)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Context:
    """What omero-py's Context is for a command: a place for its words."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.at_line: Callable[[], None] = lambda: None

    def emit(self, text: str) -> None:
        self.lines.append(text)
        self.at_line()

    def err(self, text: str) -> None:
        self.errors.append(text)


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.stop()


@pytest.fixture(autouse=True)
def grid(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    class Grid:
        def __init__(self, communicator: Any) -> None:
            self.communicator = Registered(communicator, servers.proxy)

        def states(self) -> dict[str, str]:
            return {"FSServer": "inactive"}

        def condition(self, server: str, state: str) -> Condition:
            return condition(server, state, Life(), answers=False)

        def figures(self, server: str) -> dict[str, str]:
            return servers.service.monitors.figures()

        def properties(self, server: str) -> dict[str, str]:
            return {"omero.fs.serverIdString": ""}

    class Site:
        @contextmanager
        def grid(self) -> Iterator[Grid]:
            communicator = _communicator()
            try:
                yield Grid(communicator)
            finally:
                communicator.destroy()

    monkeypatch.setattr(site_module, "site", lambda ctx: Site())


@pytest.fixture
def ctx(monkeypatch: pytest.MonkeyPatch) -> Context:
    context = Context()
    monkeypatch.setattr(watch, "emit", context.emit)
    return context


def run(ctx: Context, *arguments: str, act: Callable[[], None] | None = None) -> None:
    """The command; `act` is done by another thread once it watches."""
    parser = argparse.ArgumentParser()
    watch.configure(parser.add_subparsers())
    args = parser.parse_args(["watch", *arguments])
    failed: list[BaseException] = []

    def acting() -> None:
        try:
            until(lambda: ctx.errors)
            assert act is not None
            act()
        except BaseException as error:
            failed.append(error)

    other = threading.Thread(target=acting)
    if act is not None:
        other.start()
    try:
        watch.run(ctx, args)
    finally:
        if act is not None:
            other.join()
    assert not failed


class Since:
    """Time as the command sees it: it passes while something holds."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._holds = holds
        self._passed = 0.0  # s
        self._last: float | None = None
        self.sleep = time.sleep

    def monotonic(self) -> float:
        now = time.monotonic()
        if not self._holds():
            self._last = None
            return self._passed
        self._passed += now - (now if self._last is None else self._last)
        self._last = now
        return self._passed


@pytest.fixture
def timed(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its start takes, --timeout is not over before the command watches."""
    monkeypatch.setattr(watch, "time", Since(lambda: bool(ctx.errors)))


def monitors(servers: Servers) -> str:
    return servers.service.monitors.figures()["monitors"]


def test_lines_and_count(ctx: Context, servers: Servers, tmp_path: Path) -> None:
    def act() -> None:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "\x1b[31mred\n").write_text("x")
        until(lambda: ctx.lines)
        (tmp_path / "sub" / "\x1b[31mred\n").unlink()

    run(ctx, str(tmp_path), "--count", "2", "--timeout", "20", act=act)
    assert [line.split(" ", 1)[1] for line in ctx.lines] == [
        f"Create {tmp_path}/sub/\\x1b[31mred\\n",
        f"Delete {tmp_path}/sub/\\x1b[31mred\\n",
    ]
    assert monitors(servers) == "0"


def test_json(ctx: Context, tmp_path: Path) -> None:
    name = "ä\n.tif"
    run(ctx, str(tmp_path), "--json", "--count", "1", act=lambda: (tmp_path / name).touch() or None)
    (line,) = ctx.lines
    event = json.loads(line)
    assert sorted(event) == ["path", "time", "type"]
    assert (event["type"], event["path"]) == ("Create", f"{tmp_path}/{name}")


def test_a_system_event_is_text_and_does_not_count(ctx: Context, tmp_path: Path) -> None:
    def act() -> None:
        (tmp_path / os.fsdecode(b"\xff")).touch()
        until(lambda: ctx.lines)
        (tmp_path / "even").touch()

    run(ctx, str(tmp_path), "--json", "--count", "1", act=act)
    first, second = map(json.loads, ctx.lines)
    assert (first["type"], first["path"]) == ("System", None)
    assert first["text"].startswith(f"name: {tmp_path}/\\xff: ")
    assert second["path"] == f"{tmp_path}/even"


def test_a_relative_path(ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(ctx, ".", "--count", "1", act=(tmp_path / "a").touch)
    assert ctx.lines[0].endswith(f"{tmp_path}/a")


@pytest.mark.usefixtures("timed")
def test_time_passes(ctx: Context, servers: Servers, tmp_path: Path) -> None:
    run(ctx, str(tmp_path), "--timeout", "0.3")
    ctx.errors.clear()
    with pytest.raises(FsError, match=r"0 of 3 events came within 0\.3 s") as raised:
        run(ctx, str(tmp_path), "--count", "3", "--timeout", "0.3")
    assert raised.value.exit_code == 1
    assert monitors(servers) == "0"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_takes_its_monitor_along(
    ctx: Context, servers: Servers, tmp_path: Path, number: signal.Signals
) -> None:
    # As in a terminal: what runs in the background of a shell ignores SIGINT.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(number)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(ctx, str(tmp_path), act=lambda: os.kill(os.getpid(), number))
        assert monitors(servers) == "0"
        assert signal.getsignal(number) is before
    finally:
        signal.signal(signal.SIGINT, inherited)


def test_a_reader_that_goes_away(ctx: Context, servers: Servers, tmp_path: Path) -> None:
    def broken() -> None:
        raise BrokenPipeError

    ctx.at_line = broken
    with pytest.raises(BrokenPipeError):
        run(ctx, str(tmp_path), act=(tmp_path / "a").touch)
    assert monitors(servers) == "0"


def test_a_directory_that_cannot_be_watched(ctx: Context, servers: Servers, tmp_path: Path) -> None:
    told = f"FSServer: .*{tmp_path}/none.*No such file"
    with pytest.raises(ConfigurationError, match=told) as raised:
        run(ctx, f"{tmp_path}/none")
    assert raised.value.exit_code == 2
    assert monitors(servers) == "0"


@pytest.mark.usefixtures("timed")
def test_what_is_polled_is_said(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    monkeypatch.setattr(Inotify, "share", lambda self, path: "nfs4")
    # FSServer asks only where a share is mounted at all.
    monkeypatch.setattr(Mount, "shared", property(lambda self: True))
    run(ctx, str(tmp_path), "--timeout", "0.3")
    assert ctx.errors == [
        f"watching {tmp_path}",
        "2 of 2 directories are looked at every 10 s: on a network share (nfs4)",
    ]


def test_no_server(ctx: Context, servers: Servers, tmp_path: Path) -> None:
    servers.stop()
    with pytest.raises(GridError, match="FSServer is inactive: start it with `omero") as raised:
        run(ctx, str(tmp_path))
    assert raised.value.exit_code == 3
    servers.start()


def test_the_time_is_over_before_all_is_watched(
    ctx: Context, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a large tree: the end of the command does not wait for it, either."""
    monkeypatch.setattr(watch, "DESTROY", 0.1)
    started, go_on, waited = threading.Event(), threading.Event(), threading.Event()
    start = Monitor.start

    def slow(monitor: Monitor) -> None:
        started.set()
        if not go_on.wait(PATIENCE):
            waited.set()
        start(monitor)

    monkeypatch.setattr(Monitor, "start", slow)
    monkeypatch.setattr(watch, "time", Since(started.is_set))
    try:
        with pytest.raises(FsError, match=r"not all directories below .* were watched") as raised:
            run(ctx, str(tmp_path), "--timeout", "0.5")
        assert not waited.is_set(), "the command has waited for it"
    finally:
        go_on.set()
    assert raised.value.exit_code == 1


def test_a_restart_of_fsserver(
    ctx: Context, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CHECK", 0.1)

    def act() -> None:
        servers.stop()
        servers.start()
        until(lambda: ctx.lines)
        (tmp_path / "a").touch()

    run(ctx, str(tmp_path), "--count", "1", act=act)
    assert "System FSServer was restarted" in ctx.lines[0]
    assert ctx.lines[1].endswith(f"Create {tmp_path}/a")
    assert monitors(servers) == "0"


@pytest.mark.parametrize("option", [("--count", "0"), ("--count", "x"), ("--timeout", "-1")])
def test_impossible_options(ctx: Context, tmp_path: Path, option: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        run(ctx, str(tmp_path), *option)


def test_a_line_that_the_terminal_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    watch.emit("ä")
    assert buffer.getvalue() == b"\\xe4\n"
