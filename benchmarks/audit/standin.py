"""A sandbox server in this process with very many filesets, their files and their images."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import Glacier2
import Ice
import omero.all
import sqlalchemy as sa

import omero
from benchmarks.dropbox import known
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.verdicts import Step, server_errors
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import JOURNAL_FILE, Settings
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.server import build
from omero_fs_plugin.sandbox.store import FILE, TABLES, Store

_AT_ONCE = 10_000  # rows
_EMPTY = hashlib.sha1(b"", usedforsecurity=False).hexdigest()
_ICE = {
    "Ice.MessageSizeMax": "250000",
    "Ice.ImplicitContext": "Shared",
    "Ice.ThreadPool.Server.Size": "4",
    "Ice.Override.Timeout": "60000",
}


class Standin(Omero):
    """Omero whose sessions come from the sandbox itself, without a router."""

    address = ""

    def _connect(self) -> Any:
        with self._lock:
            if self._services is None:
                proxy = self._communicator.stringToProxy(self.address)
                manager = Glacier2.SessionManagerPrx.uncheckedCast(proxy)
                with server_errors("logging in", Step.LOGIN):
                    session = manager.create("root", None, {})
                self._services = omero.api.ServiceFactoryPrx.uncheckedCast(session)
            return self._services


@contextmanager
def site(data: Path, filesets: int) -> Iterator[tuple[Settings, Omero]]:
    """A site with so many imported filesets of one file each, in directories of their own."""
    home = data / "DropBox" / "amy"
    home.mkdir(parents=True)
    known.make(data / JOURNAL_FILE, home, filesets)
    properties = {"omero.data.dir": str(data), "omero.fs.bioformatsJars": "none"}
    settings = read(properties)
    store = Store(data / FILE)
    accounts.seed(store, "omero")
    with store.begin() as db:
        group = accounts.create_group(store, db, "amy_group")
        user = accounts.create_user(store, db, "amy", "amy", [accounts.USER_GROUP, group])
    store.close()
    ice = _communicator()
    adapter = ice.createObjectAdapterWithEndpoints("Blitz", "tcp -h 127.0.0.1")
    sandbox = build(adapter, data, {}, time.monotonic)
    try:
        _fill(sandbox.store, sandbox.repositories, filesets, owner_id=user, group_id=group)
        adapter.activate()
        manager = adapter.createDirectProxy(Ice.stringToIdentity("BlitzManager"))
        entrance = type("Entrance", (Standin,), {"address": str(manager)})
        here = _communicator()
        try:
            asked: Omero = entrance.of(here, settings)
            yield settings, asked
            asked.close()
        finally:
            here.destroy()
    finally:
        sandbox.pace.stop()
        ice.destroy()
        sandbox.repositories.close()
        sandbox.store.close()


def _communicator() -> Any:
    initialization = Ice.InitializationData()
    initialization.properties = Ice.createProperties()
    for key, value in _ICE.items():
        initialization.properties.setProperty(key, value)
    made = Ice.initialize(initialization)
    made.getImplicitContext().put(omero.constants.CLIENTUUID, "a-benchmark")
    return made


def _fill(store: Store, repositories: Any, filesets: int, **mine: int) -> None:
    """OMERO's side of what `known.make` wrote into the journal."""
    mine["creation"] = int((time.time() - 86400) * 1000)
    with store.begin() as db:
        sha1 = store.enum(db, "ChecksumAlgorithm", "SHA1-160")
        first = 1 + (db.execute(sa.select(sa.func.max(TABLES["OriginalFile"].c.id))).scalar() or 0)
        for start in range(1, filesets + 1, _AT_ONCE):
            some = range(start, min(start + _AT_ONCE, filesets + 1))
            rows: dict[str, list[dict[str, Any]]] = {
                "Fileset": [{"id": one, **mine} for one in some],
                "OriginalFile": [
                    {
                        **{"id": first + one, "path": _path(one), "name": "a.tif", "size": 0},
                        **{"hash": _EMPTY, "hasher": sha1, "repo": repositories.uuid, **mine},
                    }
                    for one in some
                ],
                "FilesetEntry": [
                    {
                        **{"id": one, "fileset": one, "originalFile": first + one},
                        **{"clientPath": f"in/{one}.tif", **mine},
                    }
                    for one in some
                ],
                "Image": [{"id": one, "fileset": one, **mine} for one in some],
            }
            for entity, values in rows.items():
                db.execute(TABLES[entity].insert(), values)
            for one in some:
                place = repositories.root / _path(one)
                place.mkdir(parents=True)
                (place / "a.tif").touch()


def _path(fileset: int) -> str:
    return f"amy_2/{fileset // 1000}/{fileset}/"
