"""One FSServer as DropBox has it: how it is called, which paths it has, and who it tells.

There is one for each node that a rule names, and one for the rules that name none.  Rule: what goes
wrong between DropBox and one of them concerns the rules of its node alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import Ice
from omero.grid import monitors

from omero_fs_plugin.config.nodes import object_on
from omero_fs_plugin.config.path_map import PathMap, for_fsserver, translated
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.icegrid import fsserver_on
from omero_fs_plugin.unanswered import why_unanswered

from .alike import Alike

log = logging.getLogger(__name__)

_CALL_MS = 30_000
_FILE_CALL_MS = 2_000


class _Connection(Ice.ConnectionCallback):  # type: ignore[misc]
    """Tells of the end of a connection.  Ice's threads call it, so `closed` returns at once."""

    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed = closed

    def heartbeat(self, connection: Any) -> None:
        """Nobody asks for heartbeats."""

    def closed(self, connection: Any) -> None:
        self._closed()


class FsServer:
    """The FSServer of one node.  Thread-safe, but for `apply`.

    `client` is the MonitorClientPrx that it notifies.
    """

    def __init__(
        self,
        communicator: Any,
        node: str,
        *,
        server_id: str,
        file_server_id: str,
        lanes: Lanes,
        closed: Callable[[FsServer], None],
    ) -> None:
        """`node`: of omero.fs.node; the ids are those of the FSServer of rules without one.

        `closed` is called when the connection to it has closed.
        """
        self._communicator = communicator
        self.node = node
        self._server_id = object_on(server_id, node)
        self._file_server_id = object_on(file_server_id, node)
        self._paths: PathMap = ()
        self._roots: tuple[tuple[str, str], ...] = ()  # there and here; the longest first
        self.alike = Alike(self.file_server, lanes, there=self.there, name=self.name)
        self.client: Any = None
        # One for all its rules, because they share the connection, and it has one callback.
        self._connection = _Connection(lambda: closed(self))

    @property
    def name(self) -> str:
        """As the grid and people have it."""
        return fsserver_on(self.node)

    def apply(self, rules: Iterable[Rule], paths: PathMap) -> None:
        """Its rules from now on, and omero.fs.pathMap."""
        self._paths = for_fsserver(paths, self.node)
        roots = {str(rule.watch_dir) for rule in rules if rule.node == self.node}
        pairs = [(self.there(root), root) for root in roots]
        self._roots = tuple(sorted(pairs, key=lambda pair: -len(pair[0])))

    def there(self, path: str) -> str:
        """The path on its machine of what DropBox calls `path`."""
        return translated(path, self._paths)

    def here(self, path: str) -> str:
        """DropBox's path of what has `path` on its machine."""
        if self._paths:
            for there, root in self._roots:
                if path == there or path.startswith(there.rstrip("/") + "/"):
                    return root.rstrip("/") + path[len(there.rstrip("/")) :]
        return path

    def server(self) -> Any:
        """The MonitorServerPrx.  It is looked up anew: it moves when IceGrid restarts FSServer."""
        proxy = self._communicator.stringToProxy(self._server_id)
        return monitors.MonitorServerPrx.uncheckedCast(
            proxy.ice_locatorCacheTimeout(0).ice_invocationTimeout(_CALL_MS)
        )

    def file_server(self) -> Any:
        """The FileServerPrx."""
        proxy = self._communicator.stringToProxy(self._file_server_id)
        return monitors.FileServerPrx.uncheckedCast(
            proxy.ice_locatorCacheTimeout(0).ice_invocationTimeout(_FILE_CALL_MS)
        )

    def answered(self, server: Any) -> None:
        """`server` has answered, so it has a connection now.  None if it has closed meanwhile."""
        connection = server.ice_getCachedConnection()
        if connection is not None:
            connection.setCallback(self._connection)

    def why(self, server: Any, error: BaseException) -> str:
        """Why a call to `server` had no answer, for people.

        A connection on which an answer is overdue is given up: if its network was cut, the kernel
        would try for minutes before it says so, also when the network is back.
        """
        if isinstance(error, Ice.TimeoutException):
            with suppress(Ice.Exception):
                connection = server.ice_getCachedConnection()
                if connection is not None:
                    connection.close(True)
        if self.node and isinstance(error, Ice.NotRegisteredException):
            return (
                f"the grid has no {self.name}: list FSServerNode for {self.node} in "
                "omero.server.nodedescriptors, or correct omero.fs.node"
            )
        if self.node and isinstance(error, Ice.NoEndpointException):
            return f"{self.name} is not running, or the node {self.node} is down"
        return why_unanswered(error)
