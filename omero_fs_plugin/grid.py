"""OMERO's grid as the command line sees it: the states of our servers, and their facets.

`grid` opens a session of an administrator of IceGrid, and gives a `Grid`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import Ice

from .errors import GridError
from .icegrid import SERVERS, STATUS_FACET, node_of, set_default
from .starts import Condition, Life, condition, life
from .unanswered import why_unanswered

# No call of Ice waits for ever: a dead peer is noticed.
CALL_TIMEOUT_MS = 30_000
# The registry passes a question on to a server, and waits for it without end.
ASK_MS = 5_000
CLOSE_MS = 2_000  # that the end of a command waits for one who does not answer


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
    set_default(properties, "Ice.Override.ConnectTimeout", "5000")
    set_default(properties, "Ice.Override.Timeout", str(CALL_TIMEOUT_MS))
    set_default(properties, "Ice.Override.CloseTimeout", str(CLOSE_MS))
    # An answer of OMERO may be larger than Ice's default of 1 MiB; OMERO's servers take 250.
    set_default(properties, "Ice.MessageSizeMax", "250000")  # KiB
    # If the registry is down, an exception says so, and Ice need not warn too.
    set_default(properties, "Ice.Warn.Connections", "0")
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
