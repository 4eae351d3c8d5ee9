"""OMERO's grid: how our servers run under IceGrid, and how the command line sees them.

A server calls `run`.  It shows its figures in a `StatusFacet`, an admin facet
that IceGrid offers like its own.  The command line opens a `Grid` and asks for
states and facets.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import Ice

from .errors import FsError, GridError
from .names import encodable, log_safely
from .starts import BEGAN, READY, STOPPED, Condition, Life, condition, life, note
from .unanswered import why_unanswered

log = logging.getLogger(__name__)

OMERO_STARTS = "OMERO is starting"  # DropBox's state while nothing is wrong and nothing goes on
WAITS_FOR_FSSERVER = "waiting for FSServer"  # ... and while it is not connected
STATUS_FACET = "omero.fs.status"
FSSERVER = "FSServer"
SERVERS = (FSSERVER, "DropBox")
_BEFORE_NODE = f"{FSSERVER}-"  # in the names of those on other machines

# No call of Ice waits for ever: a dead peer is noticed.
INVOCATION_TIMEOUT_MS = 60_000  # for every call that a server makes, unless the call sets another
CALL_TIMEOUT_MS = 30_000
# The registry passes a question on to a server, and waits for it without end.
ASK_MS = 5_000
CLOSE_MS = 2_000  # that the end of a command waits for one who does not answer


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
    _default(properties, "Ice.Override.ConnectTimeout", "5000")
    # If OMERO, the grid or a client does not answer in this time, it counts as away.
    _default(properties, "Ice.Default.InvocationTimeout", str(INVOCATION_TIMEOUT_MS))
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


def _default(properties: Any, key: str, value: str) -> None:
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


class Grid:
    """What IceGrid knows of our servers, over one admin session."""

    def __init__(self, communicator: Any, admin: Any, var: Path = Path("var")) -> None:
        self.communicator = communicator
        self._admin = admin
        self._var = var  # of the OMERODIR

    def states(self) -> dict[str, str]:
        """Each of SERVERS, and each FSServer of a node, with its IceGrid state in lower case.

        It is `not deployed` if the grid does not know the server, and `inactive (disabled)`
        as icegridadmin says it.
        """
        import IceGrid

        states: dict[str, str] = {}
        for server in (*SERVERS, *self.fsservers_on_nodes()):
            try:
                state = str(self._admin.getServerState(server)).lower()
                if not self._admin.isServerEnabled(server):
                    state += " (disabled)"
            except IceGrid.ServerNotExistException:
                state = "not deployed"
            except IceGrid.NodeUnreachableException:
                state = "node unreachable"
            states[server] = state
        return states

    def condition(self, server: str, state: str, *, answers: bool = False) -> Condition:
        """What people are told of `server`, which is in this state of `states`.

        `answers`: whether it has shown its figures.
        """
        import IceGrid

        if state == "node unreachable" and node_of(server):
            how = f"`omero node {node_of(server)} start` on the machine of that node"
            return Condition(f"{server} is {state}", how)
        node, process = "", 0
        with suppress(Ice.Exception, IceGrid.ServerNotExistException):
            told = str(self._admin.getServerInfo(server).node)
            if self._admin.getNodeInfo(told).hostname == socket.gethostname():
                node, process = told, int(self._admin.getServerPid(server))
        lived = life(server, self._var, process=process, node=node) if node else Life()
        return condition(server, state, lived, answers=answers)

    def fsservers_on_nodes(self) -> list[str]:
        """The servers FSServer-NODE that are deployed."""
        every = map(str, self._admin.getAllServerIds())
        return sorted(server for server in every if node_of(server))

    def commands(self) -> dict[str, tuple[str, ...]]:
        """Every server that is deployed, and the words after its program."""
        import IceGrid

        found = {}
        for server in self._admin.getAllServerIds():
            with suppress(IceGrid.ServerNotExistException):  # it was just taken out
                descriptor = self._admin.getServerInfo(server).descriptor
                found[str(server)] = tuple(map(str, descriptor.options))
        return found

    def figures(self, server: str) -> dict[str, str]:
        """What the status facet of `server` shows; empty if the server does not answer."""
        return self._ask(server, STATUS_FACET)

    def properties(self, server: str) -> dict[str, str]:
        """The properties that `server` runs with; empty if it does not answer."""
        return self._ask(server, "Properties")

    def _ask(self, server: str, facet: str) -> dict[str, str]:
        import IceGrid

        try:
            admin = self._admin.getServerAdmin(server)
            asked = Ice.PropertiesAdminPrx.uncheckedCast(admin, facet)
            # Not ice_timeout, which Ice.Override.Timeout makes useless.
            return dict(asked.ice_invocationTimeout(ASK_MS).getPropertiesForPrefix(""))
        except (Ice.Exception, IceGrid.ServerNotExistException):
            return {}


def command_properties(internal_cfg: str) -> Any:
    """Ice's properties of the command line, which has `internal_cfg` (etc/internal.cfg)."""
    properties = Ice.createProperties([f"--Ice.Config={internal_cfg}"])
    properties.setProperty("Ice.ImplicitContext", "Shared")
    _default(properties, "Ice.Override.ConnectTimeout", "5000")
    _default(properties, "Ice.Override.Timeout", str(CALL_TIMEOUT_MS))
    _default(properties, "Ice.Override.CloseTimeout", str(CLOSE_MS))
    # An answer of OMERO may be larger than Ice's default of 1 MiB; OMERO's servers take 250.
    _default(properties, "Ice.MessageSizeMax", "250000")  # KiB
    # If the registry is down, an exception says so, and Ice need not warn too.
    _default(properties, "Ice.Warn.Connections", "0")
    return properties


@contextmanager
def grid(internal_cfg: str) -> Iterator[Grid]:
    """A Grid over the registry that `internal_cfg` (etc/internal.cfg of an OMERODIR) names.

    Raises GridError if it cannot be reached, or if the grid of another OMERODIR answers.
    """
    import IceGrid

    initialization = Ice.InitializationData()
    initialization.properties = command_properties(internal_cfg)
    try:
        communicator = Ice.initialize(initialization)
    except Ice.Exception as error:
        raise GridError(f"cannot read {internal_cfg}: {why_unanswered(error)}") from error
    try:
        try:
            registry = IceGrid.RegistryPrx.checkedCast(
                communicator.stringToProxy("IceGrid/Registry")
            )
            properties = communicator.getProperties()
            session = registry.createAdminSession(
                properties.getPropertyWithDefault("IceGridAdmin.Username", "null"),
                properties.getProperty("IceGridAdmin.Password"),
            )
        except Ice.Exception as error:
            raise GridError(
                "the OMERO server is not running here, or its IceGrid registry cannot be "
                f"reached ({why_unanswered(error)}): start it with `omero admin start`"
            ) from error
        try:
            admin = session.getAdmin()
            omerodir = Path(internal_cfg).absolute().parents[1]
            _check_ours(admin, omerodir)
            yield Grid(communicator, admin, omerodir / "var")
        finally:
            # The registry ends a session that was silent for half a minute.
            with suppress(Ice.Exception):
                session.destroy()
    finally:
        communicator.destroy()


def _check_ours(admin: Any, omerodir: Path) -> None:
    """Raises GridError if the nodes of this machine run in another OMERODIR.

    Two OMERO.servers may be configured with the same ports.  If only one of them runs, its
    grid must not be taken for that of the other.
    """
    import IceGrid

    elsewhere = ""
    for name in admin.getAllNodeNames():
        try:
            node = admin.getNodeInfo(name)
        except (IceGrid.NodeNotExistException, IceGrid.NodeUnreachableException):
            continue
        if node.hostname != socket.gethostname() or not Path(node.dataDir).is_absolute():
            continue  # nobody knows where it runs
        data = Path(node.dataDir).resolve()
        if any(data.is_relative_to(place.resolve()) for place in _node_places(omerodir)):
            return
        elsewhere = node.dataDir
    if elsewhere:
        raise GridError(
            f"the OMERO server of {omerodir} is not running: the grid of {elsewhere} answers on "
            "its ports; stop that one, or give one of them another omero.ports.prefix"
        )


def _node_places(omerodir: Path) -> Iterator[Path]:
    """Where nodes of an OMERODIR may keep their data: IceGrid.Node.Data in etc/*.cfg."""
    yield omerodir
    yield omerodir / "var"  # this may be a link to a volume
    for file in sorted((omerodir / "etc").glob("*.cfg")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            key, found, value = line.partition("=")
            if found and key.strip() == "IceGrid.Node.Data":
                yield omerodir / value.strip()
