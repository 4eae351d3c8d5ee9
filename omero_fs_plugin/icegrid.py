"""OMERO's grid: how our servers run under IceGrid.

A server calls `run`.  It shows its figures in a `StatusFacet`, an admin facet
that IceGrid offers like its own.  The module `grid` asks for them.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import Ice

from .errors import FsError
from .names import encodable, log_safely
from .starts import BEGAN, READY, STOPPED, note

log = logging.getLogger(__name__)

OMERO_STARTS = "OMERO is starting"  # DropBox's state while nothing is wrong and nothing goes on
WAITS_FOR_FSSERVER = "waiting for FSServer"  # ... and while it is not connected
STATUS_FACET = "omero.fs.status"
FSSERVER = "FSServer"
SERVERS = (FSSERVER, "DropBox")
_BEFORE_NODE = f"{FSSERVER}-"  # in the names of those on other machines

# No call of Ice waits for ever: a dead peer is noticed.
INVOCATION_TIMEOUT_MS = 60_000  # for every call that a server makes, unless the call sets another


def fsserver_on(node: str) -> str:
    """The server that watches for rules with this omero.fs.node; empty: for those without."""
    return f"{_BEFORE_NODE}{node}" if node else FSSERVER


def node_of(server: str) -> str:
    """The node of an FSServer with this name; empty for that of rules without a node."""
    return server[len(_BEFORE_NODE) :] if server.startswith(_BEFORE_NODE) else ""


class Service(Protocol):
    """What `run` runs.  It starts when it is made, and is stopped once."""

    def stop(self) -> None:
        """Ends every thread, and returns when they have ended."""


class StatusFacet(Ice.PropertiesAdmin):  # type: ignore[misc]
    """Live figures of a server, as an admin facet of type Ice::PropertiesAdmin.

    Each call asks `source`.  So no figure is computed if nobody reads it.
    """

    def __init__(self, source: Callable[[], Mapping[str, str]]) -> None:
        self._source = source

    def getProperty(self, key: str, current: Any = None) -> str:
        return encodable(self._source().get(key, ""))

    def getPropertiesForPrefix(self, prefix: str, current: Any = None) -> dict[str, str]:
        return {
            encodable(k): encodable(v) for k, v in self._source().items() if k.startswith(prefix)
        }

    def setProperties_async(self, cb: Any, properties: Any, current: Any = None) -> None:
        cb.ice_response()  # figures are read, not set


class _Changed(Ice.PropertiesAdminUpdateCallback):  # type: ignore[misc]
    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def updated(self, changes: Mapping[str, str]) -> None:
        if any(key.startswith("omero.") for key in changes):
            self._call()


def when_changed(communicator: Any, call: Callable[[], None]) -> None:
    """Calls `call` whenever IceGrid changes properties of this running server.

    ``communicator.getProperties()`` then has the new values; a removed property is empty.
    """
    facet = communicator.findAdminFacet("Properties")
    if facet is not None:
        facet.addUpdateCallback(_Changed(call))


def run(start: Callable[[Ice.Communicator], Service], arguments: list[str] | None = None) -> int:
    """Runs one server under IceGrid until it is told to stop.  Returns the exit code.

    `start` gets the communicator made from the command line (IceGrid passes
    --Ice.Config=...), creates and activates its adapters and returns the
    Service.  SIGTERM, SIGINT and IceGrid's Process facet all end in
    `Service.stop`.  If `start` raises, the error is logged and the exit code is not 0;
    IceGrid then shows a server that failed to start.
    """
    # Imported here, because the command line does not need it.
    from omero.util import configure_server_logging

    initialization = Ice.InitializationData()
    initialization.properties = properties = server_properties(arguments or sys.argv)
    server = properties.getProperty("Ice.Admin.ServerId")  # empty without IceGrid
    note(server, BEGAN)
    communicator = Ice.initialize(initialization)
    try:
        if server:
            configure_server_logging(properties)
            log_safely()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _shutdown_soon(communicator))
        try:
            service = start(communicator)
        except FsError as error:
            log.error("cannot start: %s", error)
            return error.exit_code
        except Exception:
            log.exception("cannot start")
            return 1
        try:
            if server:
                communicator.getAdmin()
            note(server, READY)
            _wait_for_shutdown(communicator)
            if not _given_up.is_set():
                note(server, STOPPED)
        finally:
            service.stop()
        return 0
    finally:
        communicator.destroy()
        logging.shutdown()
        # omero-py redirected these to the log, and Python closes them at exit.
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__


def ended(code: int, held: tuple[str, ...]) -> int:
    """The exit code of a server, after `run`.

    If somebody who does not answer holds a thread, the process ends here: an orderly end of Ice
    might crash then.  `held`: how the names of such threads begin.
    """
    if any(thread.name.startswith(held) for thread in threading.enumerate()):
        os._exit(code)
    return code


def omero_properties(communicator: Any) -> dict[str, str]:
    """Those of OMERO that this server has now, with empty ones."""
    return dict(communicator.getProperties().getPropertiesForPrefix("omero."))


def server_properties(arguments: list[str]) -> Any:
    """Ice's properties of one server, from its command line."""
    properties = Ice.createProperties(arguments)
    properties.setProperty("Ice.ImplicitContext", "Shared")
    set_default(properties, "Ice.Override.ConnectTimeout", "5000")
    # If OMERO, the grid or a client does not answer in this time, it counts as away.
    set_default(properties, "Ice.Default.InvocationTimeout", str(INVOCATION_TIMEOUT_MS))
    # The admin object appears once our own facets are on it.
    properties.setProperty("Ice.Admin.DelayCreation", "1")
    return properties


def _wait_for_shutdown(communicator: Any) -> None:
    """As the communicator's own, which wakes up twice a second when the main thread calls it.

    Python's handlers of signals run in the main thread, also while it waits here.
    """
    ended = threading.Event()

    def wait() -> None:
        try:
            communicator.waitForShutdown()
        finally:
            ended.set()

    threading.Thread(target=wait, name="shutdown-wait", daemon=True).start()
    ended.wait()


def set_default(properties: Any, key: str, value: str) -> None:
    if not properties.getProperty(key):
        properties.setProperty(key, value)


_given_up = threading.Event()  # a service has ended itself in this process


def shut_down(communicator: Any) -> None:
    """For a service that gives up: lets `run` stop it and end."""
    _given_up.set()
    _shut_down(communicator)


def _shut_down(communicator: Any) -> None:
    """Nothing happens to one that has ended already."""
    with suppress(Ice.CommunicatorDestroyedException):
        communicator.shutdown()


def _shutdown_soon(communicator: Any) -> None:
    """For a signal handler: it calls Ice on another thread."""
    threading.Thread(target=_shut_down, args=[communicator], name="shutdown", daemon=True).start()


def how_to_restart(server: str, properties: str) -> str:
    """What lets these properties take effect, which `server` reads at its start; for people.

    `properties` are their names, with commas between.  IceGrid starts a server of ours again when
    it was stopped.  Those of OMERO's own are read by its other servers, too.
    """
    names = [name.strip() for name in properties.split(",")]
    ours = all(name.startswith("omero.fs.") for name in names)
    return f"omero admin ice server stop {server}" if ours else "omero admin restart"
