"""The sandbox server under IceGrid, instead of Blitz.  Run it with `python -m`."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import Ice
from omero.rtypes import ObjectFactories

from omero import ObjectFactoryRegistrar
from omero_fs_plugin import icegrid
from omero_fs_plugin.config.settings import DATA_DIR, DATA_DIR_DEFAULT

from .factory import Manager, Verifier
from .repository import Repositories
from .services import VERSION
from .sessions import Sandbox
from .store import FILE, Store

log = logging.getLogger(__name__)

_REAPING = 5.0  # s between two looks for expired sessions


def register_types(communicator: Any) -> None:
    """Makes `communicator` able to receive objects of omero.model, as omero.client does."""
    ObjectFactoryRegistrar.registerObjectFactory(communicator, None)
    for factory in ObjectFactories.values():
        factory.register(communicator)


def build(
    adapter: Any,
    data_dir: Path,
    properties: Mapping[str, str],
    now: Callable[[], float] = time.monotonic,
) -> Sandbox:
    """Puts the server's parts on `adapter`.  Whoever made the adapter activates it."""
    register_types(adapter.getCommunicator())
    store = Store(data_dir / FILE)
    sandbox = Sandbox(adapter, store, data_dir, properties, now)
    sandbox.repositories = Repositories(sandbox)
    for name, servant in (("BlitzVerifier", Verifier), ("BlitzManager", Manager)):
        adapter.add(servant(sandbox), Ice.stringToIdentity(name))
    return sandbox


class Server:
    """A sandbox that serves until `stop`, and ends expired sessions."""

    def __init__(self, communicator: Any) -> None:
        properties = icegrid.omero_properties(communicator)
        data_dir = Path(properties.get(DATA_DIR) or DATA_DIR_DEFAULT)
        adapter = communicator.createObjectAdapter("BlitzAdapter")
        self.sandbox = build(adapter, data_dir, properties)
        self._stopping = threading.Event()
        self._reaper = threading.Thread(target=self._reap, name="reaper")
        self._reaper.start()
        adapter.activate()
        log.info("OMERO.fs sandbox server %s, not an OMERO.server; data in %s", VERSION, data_dir)

    def _reap(self) -> None:
        while not self._stopping.wait(_REAPING):
            self.sandbox.sessions.live()

    def stop(self) -> None:
        """Stops ending sessions, and closes the files."""
        self._stopping.set()
        self._reaper.join()
        self.sandbox.repositories.close()
        self.sandbox.store.close()
        log.info("OMERO.fs sandbox server stopped")


if __name__ == "__main__":
    sys.exit(icegrid.run(Server))
