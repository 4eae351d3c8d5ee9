"""The life of one monitor (created, started, stopped, destroyed), and all monitors."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from . import guests
from .files import Root
from .kernel.observers import Observing
from .notices import shown
from .record.record import Record
from .requests import MonitorError, MonitorType, PathMode, Request
from .telling.absence import Absence
from .telling.telling import Client
from .tracking.arrivals import Timing
from .watcher import Watcher

log = logging.getLogger(__name__)

# A started monitor answers `stop` within this time, unless a system call hangs on a dead share.
STOP_TIMEOUT = 10.0  # s
# All monitors together at the end of the server, so that the server ends within 10 s.
CLOSE_TIMEOUT = 8.0  # s


def unknown(identifier: str) -> MonitorError:
    """The error for an id that no monitor has, or has any more."""
    return MonitorError(f"id {identifier!r}: there is no such monitor")


class Monitor:
    """Rule: from the return of `start` to `stop`, the client is told everything.

    start and stop may come in any order, twice and from any thread.
    """

    def __init__(
        self,
        identifier: str,
        request: Request,
        client: Client,
        *,
        absence: Absence,
        give_up: Callable[[str], None],
        record: Record | None = None,
        timing: Timing | None = None,
        observing: Observing | None = None,
    ) -> None:
        """`give_up` is called with the id if the client was away for too long."""
        self.identifier = identifier
        self.request = request
        self._client = client
        self._absence = absence
        self._give_up = give_up
        self._record = record
        self._timing = timing or Timing()
        self._observing = observing
        self._lifecycle = threading.Lock()  # one start or stop at a time; never held during a call
        self._watcher: Watcher | None = None
        self._told_before = 0  # events of earlier starts
        self._destroyed = False

    @property
    def started(self) -> bool:
        """Whether it watches, or tries to."""
        watcher = self._watcher
        return watcher is not None and not watcher.ended

    def start(self) -> None:
        """Begins to watch, and returns when every directory is watched.

        The client is not told of what is there now.  Raises MonitorError if the directory
        cannot be watched, also if its disk does not answer.
        """
        with self._lifecycle:
            if self._destroyed:
                raise unknown(self.identifier)
            if self.started:
                return
            self._collect()
            watcher = self._watch(resumed=False)
            if self._destroyed:  # by a `stop` that came before there was a watcher to be told
                watcher.request_stop()
            watcher.await_ready()
            if watcher.error is not None:
                self._collect()
                if self._record is not None:
                    self._record.stopped(self.identifier)
                raise MonitorError(watcher.error)
        log.info("monitor %s of %s started", self.identifier, shown(self.request.path))

    def resume(self) -> None:
        """Goes on where the last FSServer ended.  Returns at once.

        The client is told what happened meanwhile.
        """
        with self._lifecycle:
            self._watch(resumed=True)
        log.info("monitor %s of %s goes on", self.identifier, shown(self.request.path))

    def _watch(self, *, resumed: bool) -> Watcher:
        watcher = self._watcher = Watcher(
            self.identifier,
            self.request,
            self._client,
            self._timing,
            absence=self._absence,
            forget=lambda: self._give_up(self.identifier),
            observing=self._observing,
            picture=self._record.picture(self.identifier) if self._record else None,
            resumed=resumed,
        )
        watcher.thread.start()
        return watcher

    def stop(self, *, for_good: bool = False, patience: float = STOP_TIMEOUT) -> None:
        """Ends watching.  What was not delivered yet is dropped.

        `for_good`: no `start` brings it back, not even one that waits already.  Then the
        caller decides what the record keeps.  Otherwise the record keeps that it is stopped.
        `patience`: how long a disk may take that does not answer, in s.
        """
        if for_good:
            self._destroyed = True
        self.request_stop()  # this also ends a `start` under way
        with self._lifecycle:
            was_started = self.started
            self._collect(patience)
            if self._record is not None and not for_good:
                self._record.stopped(self.identifier)
        if was_started:
            log.info("monitor %s of %s stopped", self.identifier, shown(self.request.path))

    def request_stop(self, *, orderly: bool = False) -> None:
        """Asks it to end, and returns at once.  As Watcher.request_stop."""
        watcher = self._watcher
        if watcher is not None:
            watcher.request_stop(orderly=orderly)

    def _collect(self, patience: float = STOP_TIMEOUT) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.request_stop()
            watcher.thread.join(0.0 if watcher.abandoned else patience)
            if watcher.thread.is_alive():
                log.error("monitor %s does not end: the disk does not answer", self.identifier)
                watcher.abandon()
            self._told_before += watcher.outbox.told

    @property
    def hanging(self) -> bool:
        """Whether its disk does not answer."""
        watcher = self._watcher
        return watcher is not None and watcher.hanging

    @property
    def unanswered(self) -> list[bytes]:
        """What is mounted below its directory and does not answer."""
        watcher = self._watcher
        return watcher.tracker.unanswered if watcher is not None and not watcher.ended else []

    def check_pulse(self, now: float) -> None:
        """Tells the client if the disk does not answer.  `now` is from time.monotonic()."""
        watcher = self._watcher
        if watcher is not None:
            watcher.check_pulse(now)

    @property
    def watches(self) -> int:
        """Directories that the kernel watches for it."""
        watcher = self._watcher
        return watcher.tracker.watches if watcher is not None and not watcher.ended else 0

    def figures(self) -> dict[str, str]:
        """What the status facet shows of it."""
        watcher = self._watcher
        live = watcher if watcher is not None and not watcher.ended else None
        told = self._told_before + (watcher.outbox.told if watcher is not None else 0)
        return {
            "path": shown(self.request.path),
            "state": "started" if live is not None else "stopped",
            "watches": str(live.tracker.watches if live is not None else 0),
            "polled": str(live.tracker.polled().total() if live is not None else 0),
            "polledWhy": live.tracker.polled_why() if live is not None else "",
            "pollInterval": f"{self._timing.poll:g}",  # s
            "events": str(told),
            "waiting": str(len(live.outbox) if live is not None else 0),
            "unspeakable": str(live.unspeakable if live is not None else 0),
            "unanswered": "; ".join(map(shown, self.unanswered)),
            "reachable": str(live is None or (live.tracker.reachable and not live.hanging)).lower(),
            "away": f"{self._absence.so_far:.0f}",  # s that its client has not answered
        }


class Monitors:
    """Every monitor of this server, by id.

    Rule: a persistent monitor is in `record` from the return of `create` to the
    return of `destroy`.  Other monitors end with this server.
    """

    def __init__(
        self,
        timing: Timing | None = None,
        *,
        record: Record | None = None,
        client_timeout: float = 0.0,
        observing: Observing | None = None,
    ) -> None:
        """`client_timeout`: how long (s) a client may be away; 0: without a limit."""
        self._timing = timing
        self._observing = observing
        self._record = record
        self._client_timeout = client_timeout
        self._lock = threading.Lock()  # for the mapping only; never held during a start or stop
        self._monitors: dict[str, Monitor] = {}
        self._guests = guests.of_monitors()
        self._ending: list[threading.Thread] = []  # these destroy monitors that were given up
        self._ending_lock = threading.Lock()

    def create(self, request: Request, client: Client) -> str:
        """A new monitor, stopped; its id.  Raises MonitorError if a guest asks for too much."""
        guests.check(request, client.address)
        identifier = str(uuid.uuid4())  # nobody can guess another's
        record = self._record if request.type is MonitorType.PERSISTENT else None
        self._guests.take(request.guest)
        try:
            if record is not None:
                record.create(identifier, request, client.address)
        except BaseException:
            self._guests.give_back(request.guest)
            raise
        self._add(identifier, request, client, record)
        log.info(
            "monitor %s of %s created: %s, %s",
            identifier,
            shown(request.path),
            request.type.value,
            request.mode.value,
        )
        return identifier

    def restore(self, client: Callable[[str], Client]) -> None:
        """Makes the monitors of the last FSServer again, each as it was.

        `client` makes a client from its address.  If it raises, that monitor is destroyed.
        """
        if self._record is None:
            return
        resumed = []
        for saved in self._record.saved():
            identifier, request = saved.identifier, saved.request
            try:
                told = client(saved.client)
            except Exception as error:
                # The others can go on.
                log.error(
                    "monitor %s of %s cannot go on, it is destroyed: its client's address %r: %s",
                    identifier,
                    shown(request.path),
                    saved.client,
                    error,
                )
                self._record.forget(identifier)
                continue
            self._guests.keep(request.guest)
            monitor = self._add(identifier, request, told, self._record, saved.away)
            if saved.started:
                resumed.append(monitor)
        for monitor in resumed:
            monitor.resume()

    def _add(
        self,
        identifier: str,
        request: Request,
        client: Client,
        record: Record | None,
        away: float = 0.0,
    ) -> Monitor:
        monitor = Monitor(
            identifier,
            request,
            client,
            absence=Absence(self._may_be_away(request), away),
            give_up=self._give_up,
            record=record,
            timing=self._timing,
            observing=self._observing_for(request),
        )
        with self._lock:
            self._monitors[identifier] = monitor
        return monitor

    def _observing_for(self, request: Request) -> Observing | None:
        if not request.guest:
            return self._observing
        observing = replace(self._observing or Observing(), guarded=True)
        most = guests.most_watches()
        if most is None:
            return observing
        return replace(observing, may_watch=lambda: self._watched_for_guests() < most)

    def _watched_for_guests(self) -> int:
        return sum(one.watches for one in self.all().values() if one.request.guest)

    def _may_be_away(self, request: Request) -> float:
        """For how long (s) its client may be; 0: without end.  The admin's word is the most."""
        chosen, most = request.client_timeout, self._client_timeout
        return min(chosen, most) if chosen and most else chosen or most

    def _give_up(self, identifier: str) -> None:
        """Called on the monitor's own thread, which cannot wait for its own end."""

        def destroy() -> None:
            # Its client may have destroyed it at this very moment.
            with suppress(MonitorError):
                self.destroy(identifier)
            with self._ending_lock:
                self._ending.remove(thread)

        thread = threading.Thread(target=destroy, name=f"give-up-{identifier[:8]}")
        with self._ending_lock:  # nobody waits for the end of one that has not begun
            thread.start()
            self._ending.append(thread)

    def get(self, identifier: str) -> Monitor:
        """Raises MonitorError for an unknown id."""
        with self._lock:
            monitor = self._monitors.get(identifier)
        if monitor is None:
            raise unknown(identifier)
        return monitor

    def destroy(self, identifier: str) -> None:
        """Stops and forgets a monitor.  Raises MonitorError for an unknown id."""
        monitor = self.get(identifier)
        monitor.stop(for_good=True)
        with self._lock:
            last = self._monitors.pop(identifier, None) is not None  # others may destroy it too
        if self._record is not None:
            self._record.forget(identifier)
        if last:
            self._guests.give_back(monitor.request.guest)
        log.info("monitor %s of %s destroyed", identifier, shown(monitor.request.path))

    def all(self) -> Mapping[str, Monitor]:
        """All monitors by their ids; a copy."""
        with self._lock:
            return dict(self._monitors)

    def close(self) -> None:
        """Stops all at the end of the server.  The record keeps them as they are."""
        monitors = self.all().values()
        for monitor in monitors:
            monitor.request_stop(orderly=True)
        end = time.monotonic() + CLOSE_TIMEOUT
        for monitor in monitors:
            # However many disks do not answer, all are waited for together.
            monitor.stop(for_good=True, patience=max(0.0, end - time.monotonic()))
        with self._ending_lock:
            ending = list(self._ending)
        for thread in ending:
            thread.join()

    def check_pulse(self, now: float) -> None:
        """Tells the clients of monitors whose disk does not answer."""
        for monitor in self.all().values():
            monitor.check_pulse(now)

    def roots(self) -> list[Root]:
        """The directories that are watched now: FileServer may look into them.

        If a mount in one of them does not answer, it is a root by itself.
        """
        roots = []
        for monitor in self.all().values():
            if monitor.started:
                deep = monitor.request.mode is not PathMode.FLAT
                roots.append(Root(monitor.request.path, deep=deep, hanging=monitor.hanging))
                roots += [Root(path, deep=True, hanging=True) for path in monitor.unanswered]
        return roots

    def figures(self) -> dict[str, str]:
        """For the status facet."""
        monitors = self.all()
        figures = {"monitors": str(len(monitors))}
        for identifier, monitor in monitors.items():
            for key, value in monitor.figures().items():
                figures[f"monitor.{identifier}.{key}"] = value
        return figures
