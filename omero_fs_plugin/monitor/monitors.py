"""One monitor's life: created, started, stopped, destroyed; and all of them."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping

from .arrivals import Timing
from .files import Root
from .notices import shown
from .requests import MonitorError, Request
from .tree import PathMode
from .watcher import Client, Watcher

log = logging.getLogger(__name__)

# A started monitor answers `stop` within this, a system call on a dead share apart.
STOP_TIMEOUT = 10.0  # s


def unknown(identifier: str) -> MonitorError:
    """The error for an id that is none, or no more."""
    return MonitorError(f"id {identifier!r}: there is no such monitor")


class Monitor:
    """Rule: from the return of `start` to `stop`, the client is told everything.

    start and stop may come in any order, twice and from any thread.
    """

    def __init__(
        self, identifier: str, request: Request, client: Client, timing: Timing | None = None
    ) -> None:
        self.identifier = identifier
        self.request = request
        self._client = client
        self._timing = timing or Timing()
        self._lifecycle = threading.Lock()  # one start or stop at a time; never around a call out
        self._watcher: Watcher | None = None
        self._told_before = 0  # events of earlier starts
        self._destroyed = False

    @property
    def started(self) -> bool:
        """Whether it is watching, or trying to."""
        watcher = self._watcher
        return watcher is not None and not watcher.ended

    def start(self) -> None:
        """Begins to watch; returns when every directory is.

        What is there now is not told.  Raises MonitorError when it cannot
        be watched.
        """
        with self._lifecycle:
            if self._destroyed:
                raise unknown(self.identifier)
            if self.started:
                return
            self._collect()
            watcher = Watcher(self.identifier, self.request, self._client, self._timing)
            self._watcher = watcher
            watcher.thread.start()
            watcher.ready.wait()
            if watcher.error is not None:
                self._collect()
                raise MonitorError(watcher.error)
        log.info("monitor %s of %s started", self.identifier, shown(self.request.path))

    def stop(self, *, for_good: bool = False) -> None:
        """Ends watching; what was not delivered yet is dropped.

        `for_good`: no `start`, be it waiting already, brings it back.
        """
        self.request_stop()  # ends a `start` under way, too
        with self._lifecycle:
            was_started = self.started
            self._destroyed = self._destroyed or for_good
            self._collect()
        if was_started:
            log.info("monitor %s of %s stopped", self.identifier, shown(self.request.path))

    def request_stop(self) -> None:
        """Asks it to end; returns at once."""
        watcher = self._watcher
        if watcher is not None:
            watcher.request_stop()

    def _collect(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.request_stop()
            watcher.thread.join(STOP_TIMEOUT)
            if watcher.thread.is_alive():
                log.error("monitor %s does not end: the disk does not answer", self.identifier)
            self._told_before += watcher.outbox.told

    def figures(self) -> dict[str, str]:
        """What the status facet shows of it."""
        watcher = self._watcher
        live = watcher if watcher is not None and not watcher.ended else None
        told = self._told_before + (watcher.outbox.told if watcher is not None else 0)
        return {
            "path": shown(self.request.path),
            "state": "started" if live is not None else "stopped",
            "watches": str(live.tracker.watches if live is not None else 0),
            "events": str(told),
            "waiting": str(len(live.outbox) if live is not None else 0),
            "unspeakable": str(live.unspeakable if live is not None else 0),
            "reachable": str(live is None or live.tracker.reachable).lower(),
        }


class Monitors:
    """Every monitor of this server, by id."""

    def __init__(self, timing: Timing | None = None) -> None:
        self._timing = timing
        self._lock = threading.Lock()  # the mapping only; never around a start or stop
        self._monitors: dict[str, Monitor] = {}

    def create(self, request: Request, client: Client) -> str:
        """A new monitor, stopped; its id."""
        identifier = str(uuid.uuid1())
        with self._lock:
            self._monitors[identifier] = Monitor(identifier, request, client, self._timing)
        log.info(
            "monitor %s of %s created: %s, %s",
            identifier,
            shown(request.path),
            request.type.value,
            request.mode.value,
        )
        return identifier

    def get(self, identifier: str) -> Monitor:
        """Raises MonitorError for an unknown id."""
        with self._lock:
            monitor = self._monitors.get(identifier)
        if monitor is None:
            raise unknown(identifier)
        return monitor

    def destroy(self, identifier: str) -> None:
        """Stops and forgets.  Raises MonitorError for an unknown id."""
        monitor = self.get(identifier)
        monitor.stop(for_good=True)
        with self._lock:
            self._monitors.pop(identifier, None)
        log.info("monitor %s of %s destroyed", identifier, shown(monitor.request.path))

    def all(self) -> Mapping[str, Monitor]:
        """A copy, by id."""
        with self._lock:
            return dict(self._monitors)

    def close(self) -> None:
        """Stops all, as the server ends."""
        monitors = self.all().values()
        for monitor in monitors:
            monitor.request_stop()
        for monitor in monitors:
            monitor.stop(for_good=True)

    def roots(self) -> list[Root]:
        """The directories being watched now: what FileServer may look into."""
        return [
            Root(monitor.request.path, deep=monitor.request.mode is not PathMode.FLAT)
            for monitor in self.all().values()
            if monitor.started
        ]

    def figures(self) -> dict[str, str]:
        """For the status facet."""
        monitors = self.all()
        figures = {"monitors": str(len(monitors))}
        for identifier, monitor in monitors.items():
            for key, value in monitor.figures().items():
                figures[f"monitor.{identifier}.{key}"] = value
        return figures
