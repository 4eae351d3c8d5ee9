"""The sandbox server in the test's process, over real Ice, and the ways into it.

The grid is left out, and with it the router: who enters comes by the door behind it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import Glacier2
import Ice
import omero.all

import omero
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.users import User
from omero_fs_plugin.blitz.verdicts import Step, server_errors
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.server import build, register_types
from omero_fs_plugin.sandbox.store import FILE, Store

from .monitor.fsserver import HOST, initialize

USERS = ("amy", "zak")
ICE = {
    "Ice.ThreadPool.Server.Size": "8",
    "Ice.MessageSizeMax": "65536",
    "Ice.Override.Timeout": "20000",
    "Ice.ImplicitContext": "Shared",
}


def communicator(properties: Mapping[str, str] | None = None) -> Any:
    """A proxy.  Its calls name the client, as those of omero.client do."""
    made = initialize({**ICE, **(properties or {})})
    made.getImplicitContext().put(omero.constants.CLIENTUUID, "a-client")
    return made


def client_communicator(properties: Mapping[str, str] | None = None) -> Any:
    """The same, and it can be sent objects of OMERO's model."""
    made = communicator(properties)
    register_types(made)
    return made


def seed(directory: Path, users: Sequence[str] = USERS) -> Path:
    """A sandbox's database with `users`; hashing passwords takes its time, so do it once."""
    store = Store(directory / FILE)
    accounts.seed(store, "omero")
    with store.begin() as db:
        for user in users:
            group = accounts.create_group(store, db, f"{user}_group")
            accounts.create_user(store, db, user, user, [accounts.USER_GROUP, group])
    store.close()
    return store.file


class Serving:
    """A sandbox server, from now until `stop`."""

    def __init__(
        self,
        data: Path,
        *,
        now: Callable[[], float] = time.monotonic,
        properties: Mapping[str, str] | None = None,
        port: int = 0,
        ice: Mapping[str, str] | None = None,
    ) -> None:
        """`properties` are OMERO's, `ice` those of Ice; `port` 0 is any."""
        self.ice = communicator(ice)
        endpoint = f"tcp -h {HOST} -p {port}" if port else f"tcp -h {HOST}"
        adapter = self.ice.createObjectAdapterWithEndpoints("Blitz", endpoint)
        self.sandbox = build(adapter, data, properties or {}, now)
        adapter.activate()
        manager = adapter.createDirectProxy(Ice.stringToIdentity("BlitzManager"))
        self.port = int(manager.ice_getEndpoints()[0].getInfo().port)
        self.address = str(manager)  # where sessions are to be had

    def stop(self) -> None:
        self.sandbox.pace.stop()
        self.ice.destroy()
        self.sandbox.repositories.close()
        self.sandbox.store.close()


def manager_at(address: str, ice: Any) -> Any:
    """What gives sessions, as a client has it whose communicator is `ice`."""
    return Glacier2.SessionManagerPrx.uncheckedCast(ice.stringToProxy(address))


def repository_of(services: Any) -> Any:
    """The managed repository, over the session of `services`."""
    proxies = services.sharedResources().repositories().proxies
    casts = (omero.grid.ManagedRepositoryPrx.checkedCast(p) for p in proxies if p)
    return next(cast for cast in casts if cast)


class Client:
    """What UserSession needs of an omero.client."""

    def __init__(self, services: Any) -> None:
        self._services = services

    def getSession(self) -> Any:
        return self._services

    def getManagedRepository(self) -> Any:
        return repository_of(self._services)

    def getContext(self, group: int) -> dict[str, str]:
        implicit = self._services.ice_getCommunicator().getImplicitContext().getContext()
        return {**implicit, "omero.group": str(group)}

    def closeSession(self) -> None:
        self._services.closeOnDestroy()
        self._services.destroy()


class BehindTheRouter(Omero):
    """Omero whose every session comes from Blitz itself."""

    blitz: Any  # has the `address`, which may change when it comes back

    def _connect(self) -> Any:
        with self._lock:
            if self._services is None:
                self._services = self._login("root")
            return self._services

    def session_for(self, user: User) -> UserSession:
        client = Client(self._login(user.name, user.group))
        found = re.search(r"-h (\S+) -p (\d+)", self.blitz.address)
        assert found is not None
        return UserSession(client, user, lambda: None, router=(found[1], int(found[2])))

    def _login(self, name: str, group: str = "") -> Any:
        manager = manager_at(self.blitz.address, self._communicator)
        with server_errors(f"logging in {name}", Step.LOGIN):
            session = manager.create(name, None, {"omero.group": group} if group else {})
            if session is None:  # as omero.client says it
                raise omero.ClientError("Obtained null object prox")
        return omero.api.ServiceFactoryPrx.uncheckedCast(session)


def behind_the_router(blitz: Any) -> type[Omero]:
    """To be made as an Omero is."""
    return type("Entrance", (BehindTheRouter,), {"blitz": blitz})


def enter(blitz: Any, ice: Any) -> Omero:
    """One for a test that holds its sessions itself: OMERO ends none of them by its time."""
    return behind_the_router(blitz)(ice, host="", port=0, time_to_live=0, time_to_idle=0)
