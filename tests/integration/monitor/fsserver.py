"""What tests of FSServer share: a client that listens, and the calls it makes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import Ice
import omero_FS_ice  # noqa: F401 - defines omero.grid.monitors
from omero.grid import monitors as slice_

from omero_fs_plugin.monitor.server import ADAPTER, FSServer

LOCAL = "tcp -h 127.0.0.1"
PATIENCE = 60.0  # s; a test that waits longer has failed
# Of this process alone.  What listens there may end and come back: on 127.0.0.1 the kernel may give
# its port to any other program in between, and in a run of all tests there are thousands.
HOST = "127.{}.{}.{}".format(*(1 + os.getpid()).to_bytes(3, "big"))


def initialize(given: Mapping[str, str] | None = None) -> Any:
    """A communicator for a server or a client.

    Without an `omero.data.dir` among the properties `given`, nothing outlives the server.
    """
    data = Ice.InitializationData()
    data.properties = Ice.createProperties()
    for key, value in {
        "omero.data.dir": "/nonexistent",
        "Ice.Override.ConnectTimeout": "2000",
        "Ice.Warn.Connections": "0",
        "Ice.Warn.Dispatch": "0",
        "Ice.Admin.Endpoints": "tcp -h 127.0.0.1",
        "Ice.Admin.InstanceName": "admin",
        "Ice.Admin.DelayCreation": "1",
        f"{ADAPTER}.Endpoints": "tcp -h 127.0.0.1",
        **(given or {}),
    }.items():
        data.properties.setProperty(key, value)
    return Ice.initialize(data)


def address_of(service: FSServer, name: str) -> str:
    communicator = service.adapter.getCommunicator()
    return str(service.adapter.createProxy(communicator.stringToIdentity(name)))


class Client(slice_.MonitorClient):
    """A client that keeps what it hears, and may be made slow or broken."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.sizes: list[int] = []
        self.identifiers: set[str] = set()
        self.before: Callable[[], None] = lambda: None
        self.proxy: Any = None

    def fsEventHappened(self, id: str, el: list[Any], current: Any = None) -> None:
        self.before()
        self.identifiers.add(id)
        self.sizes.append(len(el))
        self.heard.extend((str(one.type), one.fileId) for one in el)

    def changes(self) -> list[tuple[str, str]]:
        return [one for one in list(self.heard) if one[0] != "System"]

    def notices(self) -> list[str]:
        return [text.split(":")[0] for kind, text in list(self.heard) if kind == "System"]

    def known(self, root: Path) -> set[str]:
        """The same without repetitions: what is told twice is told."""
        there: set[str] = set()
        for kind, path in self.changes():
            (there.discard if kind == "Delete" else there.add)(os.path.relpath(path, root))
        return there

    def files(self, root: Path) -> list[str]:
        """The client's picture: what was created and not deleted, sorted, with repetitions."""
        there: list[str] = []
        for kind, path in self.changes():
            if kind == "Create":
                there.append(os.path.relpath(path, root))
            elif kind == "Delete":
                there.remove(os.path.relpath(path, root))
        return sorted(there)


def until(what: Callable[[], Any], why: str = "") -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, why or "it did not come about"
        time.sleep(0.02)


Kind = TypeVar("Kind", bound=Client)


def serve(communicator: Any, name: str, client: Kind, endpoints: str = LOCAL) -> Kind:
    """`client`, which can be told."""
    adapter = communicator.createObjectAdapterWithEndpoints(name, endpoints)
    client.proxy = slice_.MonitorClientPrx.uncheckedCast(
        adapter.add(client, communicator.stringToIdentity(name))
    )
    adapter.activate()
    return client


def create(server: Any, path: Path, client: Client | None, **changed: Any) -> str:
    arguments: dict[str, Any] = {
        "mType": slice_.MonitorType.Persistent,
        "eTypes": [slice_.WatchEventType.All],
        "pMode": slice_.PathMode.Follow,
        "pathString": str(path),
        "whitelist": [],
        "blacklist": [],
        "timeout": 0.0,
        "blockSize": 0,
        "ignoreSysFiles": True,
        "ignoreDirEvents": True,
        "platformCheck": True,
        "proxy": client.proxy if client else None,
    }
    return str(server.createMonitor(*{**arguments, **changed}.values()))


def start(server: Any, path: Path, client: Client, **changed: Any) -> str:
    identifier = create(server, path, client, **changed)
    server.startMonitor(identifier)
    return identifier


def state(server: Any, identifier: str) -> str:
    return str(server.getMonitorState(identifier))


def free_endpoint() -> str:
    """Where somebody can listen again and again, and nobody else does meanwhile."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        return f"tcp -h {HOST} -p {one.getsockname()[1]}"
