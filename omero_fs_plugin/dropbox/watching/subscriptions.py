"""DropBox's monitors on each FSServer: one for each rule, changed when the rules are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import Ice

import omero
from omero_fs_plugin.config.path_map import PathMap
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.journal.journal import Journal

from .fsserver import FsServer
from .subscription import Subscription, monitored

log = logging.getLogger(__name__)

_NOTE = "monitor"  # the journal keeps a monitor's id under this, its node if any, and its rule
_BEFORE_NODE = "@"
_STOP_S = 0.8  # that a stop waits for the threads, all together
_CHANGE_S = 3.0  # ... and a change of the rules, for the calls of those that end
_AGAIN_S = 2.0  # between two tries to destroy monitors that are left


class Subscriptions:
    """A Subscription for each rule.  Only one thread at a time may call `apply` or `stop`.

    It destroys monitors that a killed DropBox left behind for rules that no longer
    exist.
    """

    def __init__(
        self,
        communicator: Any,
        client: Callable[[FsServer], Any],
        journal: Journal,
        *,
        server_id: str,
        connected: Callable[[Rule, bool], None],
        lanes: Lanes,
        file_server_id: str = "FileServer",
    ) -> None:
        """`client` gives the MonitorClientPrx that an FSServer is to notify; it is asked once.

        `connected` is called with each rule that has a new monitor, and whether it is its first.
        """
        self._communicator = communicator
        self._client = client
        self._journal = journal
        self._ids = {"server_id": server_id, "file_server_id": file_server_id}
        self._connected = connected
        self._lanes = lanes
        self._servers: dict[str, FsServer] = {}  # by node
        self._all: tuple[Subscription, ...] = ()
        self._platform_check = True
        self._stopping = threading.Event()
        self._left = threading.Event()  # monitors without a rule may be left
        self._left.set()
        self._tidier = threading.Thread(target=self._tidy, name="monitors", daemon=True)

    @property
    def problem(self) -> str:
        """Why a rule has no monitor; empty if each rule has one."""
        return next(iter(self.problems().values()), "")

    def problems(self) -> dict[str, str]:
        """FSServer, by its name in the grid -> why a rule of its node has no monitor."""
        told: dict[str, str] = {}
        for one in self._all:
            if one.problem:
                where = f"{one.rule.watch_dir}: " if len(self._all) > 1 else ""
                told.setdefault(self.on(one.rule.node).name, f"{where}{one.problem}")
        return told

    def connections(self) -> dict[str, bool]:
        """Node -> whether each of its rules has a monitor."""
        told: dict[str, bool] = {}
        for one in self._all:
            node = one.rule.node
            told[node] = told.get(node, True) and bool(one.monitor)
        return told

    def figures(self) -> dict[str, str]:
        """What `omero fs status` shows of them."""
        every = self._all
        told = {
            "monitor": ",".join(one.monitor for one in every if one.monitor),
            "watchDir": ";".join(str(one.rule.watch_dir) for one in every),
        }
        for number, one in enumerate(every, 1):
            told[f"watch.{number}.user"] = one.rule.user
            told[f"watch.{number}.directory"] = str(one.rule.watch_dir)
            told[f"watch.{number}.layout"] = one.rule.layout
            told[f"watch.{number}.node"] = one.rule.node
            told[f"watch.{number}.monitor"] = one.monitor
            directory = str(one.rule.watch_dir)
            differs = self.on(one.rule.node).alike.told.get(directory, "")
            told[f"watch.{number}.problem"] = one.problem or differs
        return told

    def compare(self) -> None:
        """Whether FSServer sees the directories as we do; `figures` tells of those that differ."""
        for server in list(self._servers.values()):
            node = server.node
            server.alike.look([o.rule for o in self._all if o.monitor and o.rule.node == node])

    def on(self, node: str) -> FsServer:
        """The FSServer of a node."""
        server = self._servers.get(node)
        if server is None:
            server = FsServer(
                self._communicator, node, **self._ids, lanes=self._lanes, closed=self._closed
            )
            self._servers[node] = server
        return server

    def rules_of(self, node: str) -> list[Rule]:
        """Those that the FSServer of a node watches for."""
        return [one.rule for one in self._all if one.rule.node == node]

    def apply(self, rules: Sequence[Rule], *, platform_check: bool, path_map: PathMap = ()) -> None:
        """Watches for these rules from now on.  A monitor that need not change goes on."""
        for node in {"", *(rule.node for rule in rules), *self._servers}:
            self.on(node).apply(rules, path_map)
        wanted = {self._key_of(rule): rule for rule in rules}
        kept = {}
        if platform_check == self._platform_check:
            kept = {one.key: one for one in self._all if one.key in wanted}
        self._platform_check = platform_check
        self._end([one for one in self._all if kept.get(one.key) is not one])
        every, fresh = [], []
        for key, rule in wanted.items():
            subscription = kept.get(key)
            if subscription is None:
                subscription = self._make(rule, key)
                fresh.append(subscription)
            subscription.rule = rule
            every.append(subscription)
        self._all = tuple(every)  # first: whoever tidies up knows by this which monitors are ours
        for subscription in fresh:
            subscription.start()
        if not self._tidier.is_alive() and not self._stopping.is_set():
            self._tidier.start()

    def _key_of(self, rule: Rule) -> tuple[Any, ...]:
        """If a rule changes and this does not, its monitor can stay."""
        return (*monitored(rule), self.on(rule.node).there(str(rule.watch_dir)))

    def _end(self, some: Sequence[Subscription]) -> None:
        """Ends these, all at once: one whose FSServer does not answer delays no other."""
        for subscription in some:
            subscription.ask_to_stop()
        until = time.monotonic() + _CHANGE_S
        asked = [(one, one.begin_to_stop(until)) for one in some]
        for subscription, answer in asked:
            if subscription.stopped(answer):
                self._journal.note(_key(subscription.rule), "")
            else:
                self._left.set()

    def stop(self) -> None:
        """Ends every thread, and the monitors if FSServer can be reached: all of them at once."""
        self._stopping.set()
        self._left.set()
        for subscription in self._all:
            subscription.ask_to_stop()
        until = time.monotonic() + _STOP_S
        asked = [(one, one.begin_to_stop(until)) for one in self._all]
        for subscription, answer in asked:
            subscription.stopped(answer)

    def _make(self, rule: Rule, of: tuple[Any, ...] = ()) -> Subscription:
        key, fsserver = _key(rule), self.on(rule.node)
        if fsserver.client is None:
            fsserver.client = self._client(fsserver)
        return Subscription(
            fsserver.server,
            rule,
            fsserver.client,
            platform_check=self._platform_check,
            connected=self._connected,
            note=lambda monitor: self._journal.note(key, monitor),
            noted=lambda: self._journal.noted(key),
            asked=fsserver.answered,
            there=fsserver.there,
            why=fsserver.why,
            key=of,
        )

    def _closed(self, fsserver: FsServer) -> None:
        for subscription in self._all:
            if subscription.rule.node == fsserver.node:
                subscription.closed()

    def _tidy(self) -> None:
        """Destroys monitors without a rule, as soon as FSServer can be reached."""
        while not self._stopping.is_set():
            self._left.wait()
            try:
                self._left.clear()
                self._destroy_left()
            except Exception:
                log.exception("destroying former monitors failed")
                self._left.set()
            self._stopping.wait(_AGAIN_S)

    def _destroy_left(self) -> None:
        noted = self._journal.notes(_NOTE)
        # After the notes: a subscription is there before its monitor is noted.
        ours = {_key(one.rule) for one in self._all}
        away: set[str] = set()
        for key, monitor in noted.items():
            node = _node_of(key)
            if key in ours or node in away or self._stopping.is_set():
                continue
            try:
                FsServer(
                    self._communicator,
                    node,
                    **self._ids,
                    lanes=self._lanes,
                    closed=self._closed,
                ).server().destroyMonitor(monitor)
            except omero.OmeroFSError:
                log.debug("monitor %s is gone already", monitor)
            except Ice.NotRegisteredException as error:
                if not node:
                    self._still_left(away, node, error)
                    continue
                log.debug("monitor %s: the grid has no FSServer on %s any more", monitor, node)
            except (Ice.Exception, omero.ServerError) as error:
                self._still_left(away, node, error)
                continue
            self._journal.unnote(key, monitor)

    def _still_left(self, away: set[str], node: str, error: Exception) -> None:
        """The others of this node are not asked for now either."""
        log.debug("destroying former monitors: %s", type(error).__name__)
        away.add(node)
        self._left.set()


def _key(rule: Rule) -> str:
    kind = f"{_NOTE}{_BEFORE_NODE}{rule.node}" if rule.node else _NOTE
    return f"{kind}:{rule.user}:{rule.watch_dir}"


def _node_of(key: str) -> str:
    """The node in such a key."""
    return key.partition(":")[0].removeprefix(_NOTE).removeprefix(_BEFORE_NODE)
