"""DropBox's monitors on FSServer: one for each rule, changed when the rules are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import Ice
from omero.grid import monitors

import omero
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.journal.journal import Journal

from .alike import Alike
from .subscription import Subscription, monitored

log = logging.getLogger(__name__)


class _Connection(Ice.ConnectionCallback):  # type: ignore[misc]
    """Tells of the end of a connection.  Ice's threads call it, so `closed` returns at once."""

    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed = closed

    def heartbeat(self, connection: Any) -> None:
        """Nobody asks for heartbeats."""

    def closed(self, connection: Any) -> None:
        self._closed()


_NOTE = "monitor"  # the journal keeps a monitor's id under this and its rule
_STOP_S = 0.8  # that a stop waits for the threads, all together
_AGAIN_S = 2.0  # between two tries to destroy monitors that are left


class Subscriptions:
    """A Subscription for each rule.  Only one thread at a time may call `apply` or `stop`.

    It destroys monitors that a killed DropBox left behind for rules that no longer
    exist.
    """

    def __init__(
        self,
        communicator: Any,
        client: Any,
        journal: Journal,
        *,
        server_id: str,
        connected: Callable[[], None],
        lanes: Lanes,
        file_server_id: str = "FileServer",
    ) -> None:
        self._communicator = communicator
        self._client = client
        self._journal = journal
        self._server_id = server_id
        self._connected = connected
        self._file_server_id = file_server_id
        self._alike = Alike(self._file_server, lanes)
        self._all: tuple[Subscription, ...] = ()
        # One for all, because they share the connection, and it has one callback.
        self._connection = _Connection(self._closed)
        self._platform_check = True
        self._stopping = threading.Event()
        self._left = threading.Event()  # monitors without a rule may be left
        self._left.set()
        self._tidier = threading.Thread(target=self._tidy, name="monitors", daemon=True)

    @property
    def problem(self) -> str:
        """Why a rule has no monitor; empty if each rule has one."""
        for subscription in self._all:
            if subscription.problem:
                where = f"{subscription.rule.watch_dir}: " if len(self._all) > 1 else ""
                return f"{where}{subscription.problem}"
        return ""

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
            told[f"watch.{number}.monitor"] = one.monitor
            directory = str(one.rule.watch_dir)
            told[f"watch.{number}.problem"] = one.problem or self._alike.told.get(directory, "")
        return told

    def compare(self) -> None:
        """Whether FSServer sees the directories as we do; `figures` tells of those that differ."""
        self._alike.look([one.rule for one in self._all if one.monitor])

    def apply(self, rules: Sequence[Rule], *, platform_check: bool) -> None:
        """Watches for these rules from now on.  A monitor that need not change goes on."""
        wanted = {monitored(rule): rule for rule in rules}
        if platform_check != self._platform_check:
            wanted_now: dict[tuple[Any, ...], Subscription] = {}
        else:
            wanted_now = {monitored(one.rule): one for one in self._all}
        self._platform_check = platform_check
        kept = {key: one for key, one in wanted_now.items() if key in wanted}
        for one in self._all:
            if one not in kept.values():
                if one.stop():
                    self._journal.note(_key(one.rule), "")
                else:
                    self._left.set()
        every = []
        for key, rule in wanted.items():
            subscription = kept.get(key)
            if subscription is None:
                subscription = self._make(rule)
                subscription.start()
            subscription.rule = rule
            every.append(subscription)
        self._all = tuple(every)
        if not self._tidier.is_alive() and not self._stopping.is_set():
            self._tidier.start()

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

    def _make(self, rule: Rule) -> Subscription:
        key = _key(rule)
        return Subscription(
            self._server,
            rule,
            self._client,
            platform_check=self._platform_check,
            connected=self._connected,
            note=lambda monitor: self._journal.note(key, monitor),
            noted=lambda: self._journal.noted(key),
            asked=self._asked,
        )

    def _asked(self, server: Any) -> None:
        """`server` has answered, so it has a connection now.  None if it has closed meanwhile."""
        connection = server.ice_getCachedConnection()
        if connection is not None:
            connection.setCallback(self._connection)

    def _closed(self) -> None:
        for subscription in self._all:
            subscription.closed()

    def _tidy(self) -> None:
        """Destroys monitors without a rule, as soon as FSServer can be reached."""
        while not self._stopping.is_set():
            self._left.wait()
            try:
                self._left.clear()
                self._destroy_left()
            except (Ice.Exception, omero.ServerError) as error:
                log.debug("destroying former monitors: %s", type(error).__name__)
                self._left.set()
            except Exception:
                log.exception("destroying former monitors failed")
                self._left.set()
            self._stopping.wait(_AGAIN_S)

    def _destroy_left(self) -> None:
        ours = {_key(one.rule) for one in self._all}
        for key, monitor in self._journal.notes(_NOTE).items():
            if key in ours or self._stopping.is_set():
                continue
            try:
                self._server().destroyMonitor(monitor)
            except omero.OmeroFSError:
                log.debug("monitor %s is gone already", monitor)
            self._journal.note(key, "")

    def _file_server(self) -> Any:
        proxy = self._communicator.stringToProxy(self._file_server_id)
        return monitors.FileServerPrx.uncheckedCast(
            proxy.ice_locatorCacheTimeout(0).ice_invocationTimeout(2_000)
        )

    def _server(self) -> Any:
        proxy = self._communicator.stringToProxy(self._server_id)
        # The well-known object moves when IceGrid restarts FSServer.
        return monitors.MonitorServerPrx.uncheckedCast(
            proxy.ice_locatorCacheTimeout(0).ice_invocationTimeout(30_000)
        )


def _key(rule: Rule) -> str:
    return f"{_NOTE}:{rule.user}:{rule.watch_dir}"
