"""FSServer over real Ice, called by another account: what it does for that one, and what not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import omero_FS_ice  # noqa: F401 - defines omero.grid.monitors
import pytest
from omero.grid import monitors as slice_

import omero
from omero_fs_plugin.monitor import access, guests
from omero_fs_plugin.monitor.files import Files
from omero_fs_plugin.monitor.server import FSServer

from .fsserver import PATIENCE, Client, address_of, create, initialize, serve, start, until
from .test_any_acts import exchanged

SOMEBODY = 12345


class World:
    """An FSServer, and a directory each that DropBox watches, that an admin lists, and neither."""

    def __init__(self, place: Path) -> None:
        self.watched, self.listed = place / "DropBox", place / "listed"
        self.shown, self.other = place / "shown", place / "other"
        for directory in (self.watched / "amy", self.listed, self.shown, self.other):
            directory.mkdir(parents=True)
            (directory / "a").write_text(directory.name)
        properties = {
            "omero.fs.watchDir": str(self.watched),
            "omero.fs.monitorRoots": str(self.listed),
            "omero.fs.fileServerRoots": str(self.shown),
        }
        self._ice, self._clients = initialize(properties), initialize()
        self.service = FSServer(self._ice)
        self.server = slice_.MonitorServerPrx.checkedCast(self._proxy("MonitorServer"))
        self.files = slice_.FileServerPrx.checkedCast(self._proxy("FileServer"))
        self.client = serve(self._clients, "client", Client())

    def _proxy(self, name: str) -> Any:
        return self._clients.stringToProxy(address_of(self.service, name))

    def close(self) -> None:
        self._clients.destroy()
        self.service.stop()
        self._ice.destroy()


@pytest.fixture
def whose(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Says whose the connections are."""
    uid: list[int | None] = [SOMEBODY]
    monkeypatch.setattr(access, "account_of_connection", lambda connection: uid[0])
    return lambda now: uid.__setitem__(0, now)


@pytest.fixture
def world(tmp_path: Path, whose: object) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def test_another_account_has_watched_what_was_given(world: World) -> None:
    for directory in (world.watched, world.watched / "amy", world.listed, world.shown):
        identifier = start(world.server, directory, world.client)
        (directory / "new").write_text("")
        until(lambda d=directory: ("Create", str(d / "new")) in world.client.changes())
        world.server.destroyMonitor(identifier)


def test_and_nothing_else(world: World) -> None:
    (world.watched / "amy").chmod(0o777)
    (world.watched / "amy" / "door").symlink_to(world.other)
    missing = world.other / "missing"
    for directory in (world.other, missing, Path("/etc"), world.watched / "amy" / "door"):
        with pytest.raises(omero.OmeroFSError) as told:
            create(world.server, directory, world.client)
        assert "omero.fs.monitorRoots" in told.value.reason
        assert "No such file" not in told.value.reason, "nobody learns what is there"
    with pytest.raises(omero.OmeroFSError, match="No such file"):
        create(world.server, world.watched / "missing", world.client)


def test_a_watched_directory_that_became_a_users_link_shows_nothing(world: World) -> None:
    directory, client = world.watched / "amy", world.client
    (world.other / "secret").write_text("")
    world.watched.chmod(0o777)
    start(world.server, directory, client)
    door = world.watched / "door"
    door.symlink_to(world.other)
    assert exchanged(directory, door)
    told = ("Create", str(directory / "secret"))
    until(lambda: told in client.changes() or "unreachable" in client.notices())
    assert told not in client.changes()
    assert exchanged(directory, door)
    (directory / "new").write_text("")
    until(lambda: ("Create", str(directory / "new")) in client.changes())
    assert told not in client.changes()


def test_it_reads_what_was_given_and_not_what_others_have_watched(
    world: World, whose: Callable[[int | None], None]
) -> None:
    whose(os.geteuid())
    start(world.server, world.other, world.client)
    assert world.files.readBlock(str(world.other / "a"), 0, 10) == b"other"
    whose(SOMEBODY)
    for directory, text in ((world.watched / "amy", b"amy"), (world.shown, b"shown")):
        assert world.files.readBlock(str(directory / "a"), 0, 10) == text
    for call in (world.files.getSHA1, world.files.getStats, world.files.fileExists):
        with pytest.raises(omero.OmeroFSError, match="not in a directory"):
            call(str(world.other / "a"))
    with pytest.raises(omero.OmeroFSError, match="not in a directory"):
        world.files.readBlock(str(world.other / "a"), 0, 10)


def test_a_root_that_became_a_users_link_is_not_read(tmp_path: Path, world: World) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    (home / "myData").symlink_to(world.other)
    world._ice.getProperties().setProperty("omero.fs.importUsers", "amy")
    world._ice.getProperties().setProperty("omero.fs.watchDir", str(home / "myData"))
    world.service._changed(world._ice)
    with pytest.raises(omero.OmeroFSError, match="is a symbolic link"):
        world.files.readBlock(str(home / "myData" / "a"), 0, 10)


def test_what_dropbox_watches_may_change(tmp_path: Path, world: World) -> None:
    with pytest.raises(omero.OmeroFSError):
        world.files.readBlock(str(world.other / "a"), 0, 10)
    world._ice.getProperties().setProperty("omero.fs.watchDir", str(world.other))
    world.service._changed(world._ice)
    assert world.files.readBlock(str(world.other / "a"), 0, 10) == b"other"
    with pytest.raises(omero.OmeroFSError):
        world.files.readBlock(str(world.watched / "amy" / "a"), 0, 10)


def test_our_own_account_has_anything_watched(world: World, whose: Callable[..., None]) -> None:
    for uid in (0, os.geteuid()):
        whose(uid)
        create(world.server, world.other, world.client)
    whose(None)
    with pytest.raises(omero.OmeroFSError):
        create(world.server, world.other, world.client)


def test_another_account_cannot_have_all_monitors(
    world: World, whose: Callable[[int | None], None]
) -> None:
    world.service.monitors._guests = guests.Counted("monitors", guests.MOST_MONITORS, 64)
    with pytest.raises(omero.OmeroFSError, match="32 monitors already"):
        for _ in range(guests.MOST_MONITORS + 1):
            create(world.server, world.watched, world.client)
    assert len(world.service.monitors.all()) == guests.MOST_MONITORS
    whose(os.geteuid())
    start(world.server, world.watched, world.client)


def test_another_account_cannot_have_all_threads(
    world: World, whose: Callable[[int | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, goes_on = threading.Semaphore(0), threading.Event()

    def hangs(files: Files, path: str) -> str:
        hanging.release()
        goes_on.wait(PATIENCE)
        return path

    monkeypatch.setattr(Files, "sha1", hangs)
    try:
        path = str(world.watched / "amy" / "a")
        calls = [world.files.begin_getSHA1(path) for _ in range(guests.MOST_CALLS)]
        for _ in calls:
            assert hanging.acquire(timeout=PATIENCE)
        for call in (world.files.getSHA1, world.files.fileExists):
            with pytest.raises(omero.OmeroFSError, match="has 8 calls under way already"):
                call(path)
        whose(os.geteuid())
        assert world.files.fileExists(path)
    finally:
        goes_on.set()
    assert [world.files.end_getSHA1(call) for call in calls] == [path] * len(calls)
    whose(SOMEBODY)
    assert world.files.fileExists(path)


_READS = """
import os, sys
os.setgid(65534); os.setuid(65534)
import Ice, omero, omero_FS_ice
from omero.grid import monitors
communicator = Ice.initialize()
files = monitors.FileServerPrx.checkedCast(communicator.stringToProxy(sys.argv[1]))
for path in sys.argv[2:]:
    try:
        print(files.readBlock(path, 0, 10).decode())
    except omero.OmeroFSError as error:
        print("refused")
communicator.destroy()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_a_real_other_account(tmp_path: Path) -> None:
    world = World(tmp_path)
    try:
        start(world.server, world.other, world.client)
        paths = [str(world.shown / "a"), str(world.other / "a")]
        assert world.files.readBlock(paths[1], 0, 10) == b"other"
        done = subprocess.run(
            [sys.executable, "-c", _READS, address_of(world.service, "FileServer"), *paths],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["shown", "refused"]
    finally:
        world.close()
