"""A sandbox, amy as its client, and an image of hers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
import tifffile

from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.repository import Repositories
from omero_fs_plugin.sandbox.sessions import Sandbox
from omero_fs_plugin.sandbox.store import Store

from .clients import Client, Clock, Server, communicator


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with OMERO's own users and groups; hashing passwords takes its time."""
    store = Store(tmp_path_factory.mktemp("seeded") / "sandbox.sqlite")
    accounts.seed(store, "omero")
    with store.begin() as db:
        for user in ("amy", "zak"):
            group = accounts.create_group(store, db, f"{user}_group")
            accounts.create_user(store, db, user, user, [accounts.USER_GROUP, group])
    store.close()
    return store.file


@pytest.fixture
def server(tmp_path: Path, seeded: Path) -> Iterator[Server]:
    threads = set(threading.enumerate())
    ice = communicator()
    adapter = ice.createObjectAdapterWithEndpoints("Sandbox", "tcp -h 127.0.0.1")
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(seeded, data)
    store = Store(data / seeded.name)
    clock = Clock()
    made = Server(Sandbox(adapter, store, data, {}, clock), clock)
    made.sandbox.repositories = Repositories(made.sandbox)
    adapter.activate()
    yield made
    for client in made.clients:
        client.destroy()
    ice.destroy()
    made.sandbox.repositories.close()
    store.close()
    assert not {t for t in threading.enumerate() if t.name.startswith("command")} - threads


@pytest.fixture
def amy(server: Server) -> Client:
    return Client(server, "amy")


@pytest.fixture(scope="module")
def tiff(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("images") / "cells.ome.tiff"
    planes = numpy.random.default_rng(3).integers(0, 9, (2, 3, 20, 30)).astype(numpy.uint16)
    tifffile.imwrite(path, planes, ome=True, metadata={"axes": "ZCYX"})
    return path.read_bytes()
