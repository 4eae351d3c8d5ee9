"""FSServer over real Ice and real inotify, in this process."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import Ice
import omero_FS_ice  # noqa: F401 - defines omero.grid.monitors
import pytest
from omero.grid import monitors as slice_

import omero
from omero_fs_plugin import icegrid
from omero_fs_plugin.monitor import server as server_module
from omero_fs_plugin.monitor import watcher
from omero_fs_plugin.monitor.files import LARGEST_BLOCK
from omero_fs_plugin.monitor.kernel import inotify, raw
from omero_fs_plugin.monitor.server import FSServer
from omero_fs_plugin.monitor.telling import outbox
from omero_fs_plugin.monitor.tracking.arrivals import Timing

from .fsserver import (
    PATIENCE,
    Client,
    address_of,
    create,
    free_endpoint,
    initialize,
    serve,
    start,
    state,
    until,
)


def _threads() -> set[threading.Thread]:
    """Threads of Python; those of Ice are its own affair."""
    return {one for one in threading.enumerate() if not isinstance(one, threading._DummyThread)}


def _descriptors() -> set[tuple[str, str]]:
    """What FSServer opens for a monitor: numbers, and what they are of."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        mounts = target.endswith("/mountinfo")
        if mounts or target in ("anon_inode:inotify", "anon_inode:[eventfd]"):
            found.add((link.name, target))
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """What tests before have left here may end meanwhile."""
    threads, descriptors = _threads(), _descriptors()
    yield
    assert not _threads() - threads
    assert not _descriptors() - descriptors


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FSServer]:
    # A writer that stands still, as on a busy machine, does not look like one that is done.
    monkeypatch.setattr(
        server_module,
        "Timing",
        partial(Timing, silence=600.0, burst_gap=600.0, burst_longest=600.0),
    )
    communicator = initialize()
    server = FSServer(communicator)
    yield server
    server.stop()
    communicator.destroy()


@pytest.fixture
def server(service: FSServer, clients: Any) -> Any:
    return slice_.MonitorServerPrx.checkedCast(
        clients.stringToProxy(address_of(service, "MonitorServer"))
    )


@pytest.fixture
def files(service: FSServer, clients: Any) -> Any:
    return slice_.FileServerPrx.checkedCast(
        clients.stringToProxy(address_of(service, "FileServer"))
    )


@pytest.fixture
def client(clients: Any) -> Client:
    return serve(clients, "client", Client())


# The life of a monitor


def test_start_stop_and_destroy_in_any_order_and_twice(
    server: Any, client: Client, tmp_path: Path
) -> None:
    identifier = create(server, tmp_path, client)
    assert state(server, identifier) == "Stopped"
    server.stopMonitor(identifier)
    for _ in range(2):
        server.startMonitor(identifier)
        server.startMonitor(identifier)
        assert state(server, identifier) == "Started"
        (tmp_path / "a").write_text("a")
        until(lambda: client.changes() == [("Create", f"{tmp_path}/a")])
        server.stopMonitor(identifier)
        server.stopMonitor(identifier)
        assert state(server, identifier) == "Stopped"
        (tmp_path / "a").unlink()
        client.heard.clear()
    server.startMonitor(identifier)
    server.destroyMonitor(identifier)
    for call in (
        server.startMonitor,
        server.stopMonitor,
        server.destroyMonitor,
        server.getMonitorState,
    ):
        with pytest.raises(omero.OmeroFSError) as raised:
            call(identifier)
        assert identifier in raised.value.reason


def test_nothing_is_left_after_many_lives(
    server: Any, client: Client, service: FSServer, tmp_path: Path
) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    for _ in range(200):
        identifier = start(server, tmp_path, client)
        server.stopMonitor(identifier)
        server.destroyMonitor(identifier)
    assert service.monitors.figures() == {"monitors": "0"}
    assert not [one for one in _threads() if one.name.startswith("monitor-")]


def test_a_client_may_destroy_from_inside_its_notification(
    server: Any, client: Client, tmp_path: Path
) -> None:
    identifier = start(server, tmp_path, client)
    client.before = lambda: server.destroyMonitor(identifier)
    (tmp_path / "a").write_text("a")
    until(lambda: client.changes())
    with pytest.raises(omero.OmeroFSError):
        server.getMonitorState(identifier)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"pathString": "/no/such/directory"}, "/no/such/directory"),
        ({"pathString": "/etc/passwd"}, "not a directory"),
        ({"pathString": "relative"}, "not absolute"),
        ({"pathString": ""}, "pathString"),
        ({"eTypes": []}, "eTypes"),
        ({"timeout": -1.0}, "timeout"),
        ({"blockSize": -1}, "blockSize"),
        ({"mType": slice_.MonitorType.Inactivity}, "timeout"),
        ({"proxy": None}, "proxy"),
    ],
)
def test_impossible_arguments_are_named(
    server: Any, client: Client, tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(omero.OmeroFSError) as raised:
        create(server, tmp_path, client, **changed)
    assert reason in raised.value.reason


def test_a_platform_that_is_not_tested_is_refused_when_asked(
    service: FSServer, clients: Any, client: Client, tmp_path: Path
) -> None:
    from omero_fs_plugin.monitor.access import Access
    from omero_fs_plugin.monitor.servants import MonitorServer

    identity = clients.stringToIdentity("elsewhere")
    service.adapter.add(MonitorServer(service.monitors, "darwin", Access(list)), identity)
    elsewhere = slice_.MonitorServerPrx.uncheckedCast(
        clients.stringToProxy(address_of(service, "elsewhere"))
    )
    with pytest.raises(omero.OmeroFSError) as raised:
        create(elsewhere, tmp_path, client)
    assert "darwin" in raised.value.reason
    assert create(elsewhere, tmp_path, client, platformCheck=False)


# What is told


def test_the_acts_of_a_day(server: Any, client: Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    (outside / "tree" / "deep").mkdir(parents=True)
    (outside / "tree" / "deep" / "c").write_text("c")
    (outside / "b").write_text("b")
    root.mkdir()
    (root / "old").write_text("old")
    start(server, root, client)
    (root / "a").write_text("a")
    (root / "a.part").write_text("temporary")
    (root / "a.part").rename(root / "renamed")
    (outside / "b").rename(root / "b")
    os.link(root / "old", root / "hard")
    (root / "soft").symlink_to(outside)
    (root / "new" / "deep").mkdir(parents=True)
    (root / "new" / "deep" / "x").write_text("x")
    (outside / "tree").rename(root / "tree")
    expected = ["a", "b", "hard", "new/deep/x", "renamed", "soft", "tree/deep/c"]
    until(lambda: client.files(root) == expected)
    with (root / "old").open("a") as file:
        for _ in range(100):
            file.write("more")
            file.flush()
    until(lambda: ("Modify", f"{root}/old") in client.changes())
    shutil.rmtree(root / "tree")
    (root / "a").unlink()
    (root / "b").rename(outside / "b")
    until(lambda: client.files(root) == ["hard", "new/deep/x", "renamed", "soft"])
    assert client.changes().count(("Modify", f"{root}/old")) == 1
    assert client.notices() == []


def test_only_the_events_that_were_asked_for(server: Any, client: Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    types = slice_.WatchEventType
    start(server, tmp_path, client, eTypes=[types.Modification, types.Deletion])
    (tmp_path / "b").write_text("b")
    (tmp_path / "a").write_text("again")
    until(lambda: client.changes() == [("Modify", f"{tmp_path}/a")])
    (tmp_path / "b").unlink()
    until(lambda: client.changes()[1:] == [("Delete", f"{tmp_path}/b")])


def test_lists_and_system_files(server: Any, clients: Any, tmp_path: Path) -> None:
    listed, every = serve(clients, "listed", Client()), serve(clients, "every", Client())
    start(server, tmp_path, listed, whitelist=[".TIF"], blacklist=["bad.tif", "scratch"])
    start(server, tmp_path, every, ignoreSysFiles=False, ignoreDirEvents=False)
    (tmp_path / "scratch").mkdir()
    names = ["a.tif", "a.jpg", "BAD.tif", ".hidden.tif", "scratch/b.tif"]
    for name in names:
        (tmp_path / name).write_text(name)
    until(lambda: every.files(tmp_path) == sorted([*names, "scratch"]))
    # Each monitor has a thread of its own: what one has told, another may still have to tell.
    (tmp_path / "last.tif").symlink_to("anywhere")
    until(lambda: "last.tif" in listed.files(tmp_path))
    assert listed.files(tmp_path) == ["a.tif", "last.tif"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("Flat", ["a"]), ("Recurse", ["a", "old/a"]), ("Follow", ["a", "new/a", "old/a"])],
)
def test_path_modes(
    server: Any, client: Client, tmp_path: Path, mode: str, expected: list[str]
) -> None:
    (tmp_path / "old").mkdir()
    start(server, tmp_path, client, pMode=getattr(slice_.PathMode, mode))
    (tmp_path / "new").mkdir()
    for name in ("new/a", "old/a", "a"):
        (tmp_path / name).write_text(name)
    until(lambda: client.files(tmp_path) == expected)


@pytest.mark.parametrize(("size", "largest"), [(0, 100), (7, 7)])
def test_block_size(
    server: Any, client: Client, service: FSServer, tmp_path: Path, size: int, largest: int
) -> None:
    held = threading.Event()
    client.before = lambda: held.wait(PATIENCE) and None  # type: ignore[func-returns-value]
    identifier = start(server, tmp_path, client, blockSize=size)
    (tmp_path / "first").write_text("x")
    waiting = f"monitor.{identifier}.waiting"
    until(lambda: service.monitors.figures()[waiting] == "1")
    for number in range(100):
        (tmp_path / str(number)).write_text("x")
    until(lambda: service.monitors.figures()[waiting] == "101")
    held.set()
    until(lambda: len(client.files(tmp_path)) == 101)
    assert max(client.sizes) == largest


@pytest.mark.parametrize(
    "name",
    ["with space", "new\nline", "😀 äöü", "n" * 255, "-rf", "a'\"b"],
    ids=["space", "newline", "emoji", "long", "dash", "quotes"],
)
def test_names(server: Any, client: Client, tmp_path: Path, name: str) -> None:
    start(server, tmp_path, client)
    (tmp_path / name).write_text("x")
    until(lambda: client.files(tmp_path) == [name])


def test_a_path_of_4000_bytes(server: Any, client: Client, tmp_path: Path) -> None:
    start(server, tmp_path, client)
    path = tmp_path
    while len(str(path)) < 3700:
        path = path / ("d" * 250)
    path.mkdir(parents=True)
    (path / "a").write_text("a")
    until(lambda: client.changes() == [("Create", f"{path}/a")])


def test_a_name_that_is_not_utf8_hurts_nothing_else(
    server: Any, client: Client, service: FSServer, tmp_path: Path
) -> None:
    identifier = start(server, tmp_path, client)
    (tmp_path / os.fsdecode(b"odd\xff.tif")).write_text("x")
    (tmp_path / "even.tif").write_text("x")
    until(lambda: client.files(tmp_path) == ["even.tif"] and client.notices() == ["name"])
    told = next(text for kind, text in client.heard if kind == "System")
    assert told == f"name: {tmp_path}/odd\\xff.tif: Create of a name that is not UTF-8"
    assert service.monitors.figures()[f"monitor.{identifier}.unspeakable"] == "1"


def test_monitors_on_the_same_and_an_overlapping_tree(
    server: Any, clients: Any, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    whole, same, part = (serve(clients, name, Client()) for name in ("whole", "same", "part"))
    for client, path in ((whole, tmp_path), (same, tmp_path), (part, tmp_path / "sub")):
        start(server, path, client)
    (tmp_path / "sub" / "new").mkdir()
    (tmp_path / "sub" / "new" / "a").write_text("a")
    for client in (whole, same):
        until(lambda client=client: client.files(tmp_path) == ["sub/new/a"])
    until(lambda: part.files(tmp_path) == ["sub/new/a"])


def test_a_root_behind_a_symbolic_link(server: Any, client: Client, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    start(server, tmp_path / "link", client)
    (tmp_path / "real" / "a").write_text("a")
    until(lambda: client.changes() == [("Create", f"{tmp_path}/link/a")])


# Nothing is lost


def test_a_burst(server: Any, client: Client, tmp_path: Path) -> None:
    start(server, tmp_path, client)
    many = 20_000
    for number in range(many):
        with (tmp_path / str(number)).open("wb", buffering=0) as file:
            file.write(b"x")
    until(lambda: len(client.heard) >= many)
    told = [(kind, os.path.relpath(path, tmp_path)) for kind, path in client.heard]
    assert sorted(told) == sorted(("Create", str(number)) for number in range(many))


def test_directories_filled_at_once(server: Any, client: Client, tmp_path: Path) -> None:
    start(server, tmp_path, client)
    for number in range(500):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a").write_text("a")
    until(lambda: client.files(tmp_path) == sorted(f"{number}/a" for number in range(500)))


class SmallQueue(inotify.Inotify):
    """A kernel whose queue holds little: what does not fit is dropped, and it says so."""

    def events(self) -> list[raw.Raw]:
        found = super().events()
        if len(found) <= 3:
            return found
        return [*found[:3], raw.OVERFLOW]


def test_an_overflow_of_the_kernels_queue(
    server: Any, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify, "Inotify", SmallQueue)
    (tmp_path / "old").write_text("old")
    start(server, tmp_path, client)
    expected = []
    for number in range(300):
        (tmp_path / f"d{number}").mkdir()
        for name in ("a", "b"):
            (tmp_path / f"d{number}" / name).write_text(name)
            expected.append(f"d{number}/{name}")
    (tmp_path / "old").write_text("new")
    # A rescan may have ended before the last of it was done.
    until(lambda: client.files(tmp_path) == sorted(expected))
    until(lambda: ("Modify", f"{tmp_path}/old") in client.changes())
    until(lambda: client.notices()[-1:] == ["rescanned"])
    assert client.notices()[0] == "overflow"


def test_an_overflow_for_real(server: Any, client: Client, tmp_path: Path) -> None:
    limit = Path("/proc/sys/fs/inotify/max_queued_events")
    if not os.access(limit, os.W_OK):
        pytest.skip("only root may lower fs.inotify.max_queued_events")
    before = limit.read_text()
    try:
        limit.write_text("16")
        start(server, tmp_path, client)
    except OSError:
        pytest.skip("fs.inotify.max_queued_events cannot be lowered here")
    finally:
        limit.write_text(before)
    many = 5000
    for number in range(many):
        (tmp_path / str(number)).write_text("x")
    until(lambda: client.files(tmp_path) == sorted(str(number) for number in range(many)))
    until(lambda: client.notices()[-1:] == ["rescanned"])


def test_the_root_is_chmodded_removed_and_made_again(
    server: Any, client: Client, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    start(server, root, client)
    root.chmod(0o700)
    (root / "a").write_text("a")
    until(lambda: client.files(root) == ["a"])
    shutil.rmtree(root)
    until(lambda: client.notices() == ["unreachable"])
    root.mkdir()
    (root / "b").write_text("b")
    until(lambda: client.files(root) == ["b"])
    assert client.notices()[:2] == ["unreachable", "reachable"]


def test_a_monitor_whose_thread_meets_an_error_begins_anew(
    server: Any, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "RESTART", 0.1)
    start(server, tmp_path, client)
    broken = [RuntimeError("bug")]

    def drain(self: Any, real: Any = inotify.Inotify.drain) -> None:
        if broken:
            raise broken.pop()
        real(self)

    monkeypatch.setattr(inotify.Inotify, "drain", drain)
    (tmp_path / "a").write_text("a")
    until(lambda: client.files(tmp_path) == ["a"])
    (tmp_path / "b").write_text("b")
    until(lambda: client.files(tmp_path) == ["a", "b"])


# Clients that do not keep up


def test_a_slow_client_is_no_others_delay(server: Any, clients: Any, tmp_path: Path) -> None:
    slow_communicator = initialize()
    slow = serve(slow_communicator, "slow", Client())
    quick = serve(clients, "quick", Client())
    held = threading.Event()
    slow.before = lambda: held.wait(PATIENCE) and None  # type: ignore[func-returns-value]
    start(server, tmp_path, slow)
    start(server, tmp_path, quick)
    for number in range(20):
        (tmp_path / str(number)).write_text("x")
        until(lambda number=number: len(quick.changes()) == number + 1)
    held.set()
    until(lambda: len(slow.changes()) == 20)
    slow_communicator.destroy()


def test_a_client_that_raises_is_told_what_follows(
    server: Any, client: Client, tmp_path: Path
) -> None:
    def broken() -> None:
        client.before = lambda: None
        raise RuntimeError("a bug of the client's")

    client.before = broken
    start(server, tmp_path, client)
    (tmp_path / "a").write_text("a")
    until(lambda: client.before is not broken)
    (tmp_path / "b").write_text("b")
    until(lambda: client.files(tmp_path) == ["b"])


def test_a_client_that_comes_back_under_its_identity_misses_nothing(
    server: Any, tmp_path: Path
) -> None:
    endpoints = free_endpoint()
    first = initialize()
    client = serve(first, "fixed", Client(), endpoints)
    identifier = start(server, tmp_path, client)
    (tmp_path / "a").write_text("a")
    until(lambda: client.files(tmp_path) == ["a"])
    first.destroy()
    (tmp_path / "b").write_text("b")
    (tmp_path / "a").unlink()
    time.sleep(1)
    second = initialize()
    client = serve(second, "fixed", Client(), endpoints)
    until(lambda: len(client.changes()) == 2)
    assert sorted(client.changes()) == [
        ("Create", f"{tmp_path}/b"),
        ("Delete", f"{tmp_path}/a"),
    ]
    server.destroyMonitor(identifier)
    second.destroy()


def test_a_gap_is_recorded_and_filled_when_the_client_is_back(
    server: Any, service: FSServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"block_size": 0, "capacity": 50})
    monkeypatch.setattr(outbox, "PATIENCE", 0.2)
    monkeypatch.setattr(outbox, "LONGEST_RETRY", 0.5)
    (tmp_path / "old").write_text("old")
    (tmp_path / "gone").write_text("gone")
    endpoints = free_endpoint()
    first = initialize()
    client = serve(first, "fixed", Client(), endpoints)
    identifier = start(server, tmp_path, client)
    first.destroy()
    for number in range(200):
        (tmp_path / str(number)).write_text("x")
    (tmp_path / "old").write_text("changed")
    (tmp_path / "gone").unlink()
    figures = service.monitors.figures
    state_of = f"monitor.{identifier}."
    until(
        lambda: (figures()[state_of + "watches"], figures()[state_of + "waiting"]) == ("0", "1"),
        "no gap",
    )
    (tmp_path / "during").write_text("the gap")
    second = initialize()
    client = serve(second, "fixed", Client(), endpoints)
    until(lambda: len(client.changes()) >= 203)
    changes = client.changes()
    assert client.notices()[0] == "gap"
    assert sorted(path for kind, path in changes if kind == "Create") == sorted(
        f"{tmp_path}/{name}" for name in ["during", *map(str, range(200))]
    )
    assert ("Delete", f"{tmp_path}/gone") in changes
    assert ("Modify", f"{tmp_path}/old") in changes
    server.destroyMonitor(identifier)
    second.destroy()


# One-shot and inactivity monitors


def test_a_one_shot_monitor_ends_after_its_first_notification(
    server: Any, client: Client, tmp_path: Path
) -> None:
    identifier = start(server, tmp_path, client, mType=slice_.MonitorType.OneShot)
    (tmp_path / "a").write_text("a")
    until(lambda: state(server, identifier) == "Stopped")
    (tmp_path / "b").write_text("b")
    assert client.changes() == [("Create", f"{tmp_path}/a")]
    server.startMonitor(identifier)
    (tmp_path / "c").write_text("c")
    until(lambda: state(server, identifier) == "Stopped")
    assert client.changes()[1:] == [("Create", f"{tmp_path}/c")]


def test_a_one_shot_monitor_ends_after_its_time(
    server: Any, client: Client, tmp_path: Path
) -> None:
    identifier = start(server, tmp_path, client, mType=slice_.MonitorType.OneShot, timeout=0.3)
    until(lambda: state(server, identifier) == "Stopped")
    assert client.notices() == ["timeout"]
    assert client.changes() == []


def test_an_inactivity_monitor_tells_of_each_end_of_activity(
    server: Any, client: Client, tmp_path: Path
) -> None:
    kind = slice_.MonitorType.Inactivity
    identifier = start(server, tmp_path, client, mType=kind, timeout=0.4)
    until(lambda: client.notices() == ["inactive"])
    (tmp_path / "a").symlink_to("anywhere")  # one event, however slow this machine is
    until(lambda: client.notices() == ["inactive", "inactive"])
    assert client.changes() == []
    assert state(server, identifier) == "Started"


# FileServer, and the figures of FSServer itself


def test_file_server(server: Any, files: Any, client: Client, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "a.tif").write_bytes(b"0123456789")
    path = f"{root}/a.tif"
    identifier = create(server, root, client)
    with pytest.raises(omero.OmeroFSError):
        files.getSize(path)  # not being watched yet
    server.startMonitor(identifier)
    assert files.getDirectory(str(root), "") == ["a.tif", "d"]
    assert files.getDirectory(str(root), "*.tif") == ["a.tif"]
    assert [one.baseName for one in files.getBulkDirectory(str(root), "*")] == ["a.tif", "d"]
    assert files.fileExists(path)
    assert not files.fileExists(path + "x")
    assert files.getBaseName(path) == "a.tif"
    stats = files.getStats(path)
    assert (stats.size, str(stats.type)) == (10, "File")
    assert files.getSize(path) == 10
    assert files.getOwner(path) == (root / "a.tif").owner() == stats.owner
    found = (root / "a.tif").stat()
    for told, real in (
        (files.getCTime(path), found.st_ctime),
        (files.getMTime(path), found.st_mtime),
        (files.getATime(path), found.st_atime),
    ):
        assert told == pytest.approx(real, abs=130)  # a Slice float
    assert files.isFile(path)
    assert not files.isDir(path)
    assert files.isDir(f"{root}/d")
    assert files.getSHA1(path) == hashlib.sha1(b"0123456789").hexdigest()
    assert files.readBlock(path, 3, 4) == b"3456"
    for call, arguments in (
        (files.getSize, (f"{root}/../root/a.tif",)),
        (files.getSHA1, ("/etc/passwd",)),
        (files.getDirectory, ("/", "")),
        (files.readBlock, (path, 0, LARGEST_BLOCK + 1)),
        (files.getStats, (f"{root}/none",)),
    ):
        with pytest.raises(omero.OmeroFSError) as raised:
            call(*arguments)
        assert raised.value.reason
    server.stopMonitor(identifier)
    with pytest.raises(omero.OmeroFSError):
        files.fileExists(path)


def test_directories_that_an_admin_lists_for_the_file_server(clients: Any, tmp_path: Path) -> None:
    for name in ("one", "two", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    communicator = initialize({"omero.fs.fileServerRoots": f"{tmp_path}/one, {tmp_path}/two/"})
    service = FSServer(communicator)
    try:
        files = slice_.FileServerPrx.checkedCast(
            clients.stringToProxy(address_of(service, "FileServer"))
        )
        for name in ("one", "two"):
            assert files.readBlock(f"{tmp_path}/{name}/a", 0, 10) == name.encode()
        with pytest.raises(omero.OmeroFSError, match="not in a directory"):
            files.readBlock(f"{tmp_path}/other/a", 0, 10)
    finally:
        service.stop()
        communicator.destroy()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("observer", "fsevents", "auto or inotify or polling"),
        ("pollInterval", "0", "seconds from 0.1"),
        ("pollInterval", "soon", "seconds from 0.1"),
        ("fileServerRoots", "data", "absolute paths"),
        ("fileServerRoots", "/data,/data/../etc", "absolute paths"),
    ],
)
def test_properties_that_cannot_be_honoured(key: str, value: str, told: str) -> None:
    """Nobody's monitors end for a mistake: the default holds, and status says so."""
    communicator = initialize({f"omero.fs.{key}": value, "Ice.Admin.Enabled": "1"})
    try:
        service = FSServer(communicator)
        try:
            facet = communicator.findAdminFacet(icegrid.STATUS_FACET)
            problem = facet.getProperty("problem.1")
        finally:
            service.stop()
    finally:
        communicator.destroy()
    assert re.match(f"omero.fs.{key} = .*{told}", problem)


def test_polling_by_choice(clients: Any, tmp_path: Path) -> None:
    given = {"omero.fs.observer": "polling", "omero.fs.pollInterval": "0.1"}
    communicator = initialize(given)
    service = FSServer(communicator)
    try:
        server = slice_.MonitorServerPrx.checkedCast(
            clients.stringToProxy(address_of(service, "MonitorServer"))
        )
        client = serve(clients, "client", Client())
        identifier = start(server, tmp_path, client)
        (tmp_path / "link").symlink_to("anywhere")  # complete at once
        until(lambda: client.files(tmp_path) == ["link"])
        figures = service.monitors.figures()
        assert figures[f"monitor.{identifier}.watches"] == "0"
        assert figures[f"monitor.{identifier}.polledWhy"] == "omero.fs.observer = polling"
    finally:
        service.stop()
        communicator.destroy()


def test_status_facet(server: Any, service: FSServer, clients: Any, tmp_path: Path) -> None:
    client = serve(clients, "client", Client())
    (tmp_path / "d").mkdir()
    identifier = start(server, tmp_path, client)
    (tmp_path / "a").write_text("a")
    until(client.changes)
    admin = service.adapter.getCommunicator().getAdmin()
    facet = Ice.PropertiesAdminPrx.checkedCast(
        clients.stringToProxy(str(admin)), icegrid.STATUS_FACET
    )
    until(lambda: facet.getProperty(f"monitor.{identifier}.events") == "1")
    figures = facet.getPropertiesForPrefix("")
    assert figures["monitors"] == "1"
    assert figures[f"monitor.{identifier}.path"] == str(tmp_path)
    assert figures[f"monitor.{identifier}.state"] == "started"
    assert figures[f"monitor.{identifier}.watches"] == "2"
    server.stopMonitor(identifier)
    assert facet.getProperty(f"monitor.{identifier}.state") == "stopped"
    assert facet.getProperty(f"monitor.{identifier}.events") == "1"


def test_it_stops_with_monitors_that_run(clients: Any, tmp_path: Path) -> None:
    communicator = initialize()
    service = FSServer(communicator)
    server = slice_.MonitorServerPrx.checkedCast(
        clients.stringToProxy(address_of(service, "MonitorServer"))
    )
    client = serve(clients, "client", Client())
    for _ in range(5):
        start(server, tmp_path, client)
    service.stop()
    communicator.destroy()
