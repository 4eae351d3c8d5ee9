"""How DropBox hears each FSServer: where it may be called back, and what becomes of what is told.

FSServer on DropBox's own machine calls back on an address of this machine alone.  One on another
machine, as omero.fs.node says, calls back over the network, at a name that nobody else knows.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from typing import Any

from omero.grid import monitors

from omero_fs_plugin import icegrid
from omero_fs_plugin.config.settings import Rule, Settings
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.watching.fsserver import FsServer
from omero_fs_plugin.dropbox.watching.rescanner import Rescanner
from omero_fs_plugin.dropbox.watching.subscription import MonitorClient
from omero_fs_plugin.dropbox.watching.subscriptions import Subscriptions
from omero_fs_plugin.dropbox.watching.unseen import Unseen

from .dispatch import Dispatch

log = logging.getLogger(__name__)

_OF_NODES = "Nodes"  # after the name of DropBox's own adapter
_ENDPOINTS = "tcp"


class Hearing:
    """The servants that FSServers notify, and the monitors that make them."""

    def __init__(
        self,
        communicator: Any,
        settings: Settings,
        journal: Journal,
        *,
        dispatch: Dispatch,
        rescanner: Rescanner,
        places: Places,
        lanes: Lanes,
        file_server_id: str,
    ) -> None:
        """Activates DropBox's adapter."""
        self._communicator = communicator
        self._settings = settings
        self._dispatch, self._rescanner = dispatch, rescanner
        self._places, self._lanes = places, lanes
        self._adapter = communicator.createObjectAdapter(settings.client_adapter)
        self._of_nodes: Any = None  # the adapter that other machines reach, once it is needed
        self._unseen: list[Unseen] = []
        self.subscriptions = Subscriptions(
            communicator,
            self._client,
            journal,
            server_id=settings.server_id,
            file_server_id=file_server_id,
            connected=self._connected,
            lanes=lanes,
        )
        servant = MonitorClient(dispatch.heard, rescanner.ask)
        identity = communicator.stringToIdentity(settings.client_id)
        self._adapter.add(servant, identity)
        # Direct: FSServer need not ask the locator, and a restarted DropBox,
        # which has another port, makes a monitor of its own.
        self._here = self._adapter.createDirectProxy(identity)

    def activate(self) -> None:
        """From now on FSServer may call."""
        self._adapter.activate()

    def apply(self, settings: Settings) -> None:
        """Watches for these rules from now on."""
        self.subscriptions.apply(
            settings.rules,
            platform_check=settings.platform_check,
            path_map=settings.path_map,
        )

    def told(self) -> dict[str, str]:
        """Files that FSServer has on another machine, and that are not seen here -> why."""
        return {path: why for one in self._unseen for path, why in one.told().items()}

    def stop(self) -> None:
        """As Subscriptions.stop."""
        for one in self._unseen:
            one.stop()
        self.subscriptions.stop()

    def _client(self, fsserver: FsServer) -> Any:
        """The proxy under which an FSServer notifies us."""
        if not fsserver.node:
            return monitors.MonitorClientPrx.uncheckedCast(self._here)
        node = fsserver.node
        unseen = Unseen(
            self._lanes,
            root_of=self._root_of,
            heard=self._dispatch.heard,
            too_many=lambda why: self._missed(node, why),
            file_server=fsserver.file_server,
            there=fsserver.there,
            name=fsserver.name,
        )
        self._unseen.append(unseen)

        def heard(paths: Sequence[str]) -> None:
            ours = [fsserver.here(path) for path in paths]
            self._dispatch.heard(ours)
            unseen.tell(ours)

        servant = MonitorClient(heard, lambda why: self._missed(node, why))
        # Whoever knows the name may call, and it is told to this FSServer alone.
        name = f"{self._settings.client_id}-{node}-{uuid.uuid4().hex}"
        identity = self._communicator.stringToIdentity(name)
        adapter = self._reached()
        adapter.add(servant, identity)
        return monitors.MonitorClientPrx.uncheckedCast(adapter.createDirectProxy(identity))

    def _reached(self) -> Any:
        """The adapter that other machines reach."""
        if self._of_nodes is None:
            name = f"{self._settings.client_adapter}{_OF_NODES}"
            properties = self._communicator.getProperties()
            for key, value in (
                (f"{name}.Endpoints", _ENDPOINTS),
                (f"{name}.ThreadPool.Size", "1"),
                (f"{name}.ThreadPool.SizeMax", "4"),
            ):
                if not properties.getProperty(key):
                    properties.setProperty(key, value)
            self._of_nodes = self._communicator.createObjectAdapter(name)
            self._of_nodes.activate()
            log.info("FSServers on other nodes reach DropBox at %s", _addresses(self._of_nodes))
        return self._of_nodes

    def _connected(self, rule: Rule, first: bool) -> None:
        """What happened before was told to nobody.  A node that comes back is no one else's."""
        if first or not rule.node:
            self._rescanner.ask()
        else:
            self._rescanner.look_below(rule)

    def _missed(self, node: str, why: str) -> None:
        """The FSServer of a node has lost events."""
        log.info("rescanning what %s watches: %s", icegrid.fsserver_on(node), why)
        for rule in self.subscriptions.rules_of(node):
            self._rescanner.look_below(rule)

    def _root_of(self, path: str) -> str:
        place = self._places.place(path)
        return place.root if place is not None else ""


def _addresses(adapter: Any) -> str:
    return ", ".join(map(str, adapter.getEndpoints()))
