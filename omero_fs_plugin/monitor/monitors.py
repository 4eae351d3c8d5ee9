"""One monitor's life: created, started, stopped, destroyed.

A started monitor is one thread, which alone owns its kernel queue, its
tracker and its outbox.  It calls the client asynchronously and is woken by
the answer, so that it holds no lock while it talks, and no slow client keeps
another waiting.
"""

from __future__ import annotations

import enum
import logging
import math
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..errors import FsError
from ..events import EventType
from .files import Root
from .filters import Filter
from .observers import Inotify, Wakener, instances_exhausted
from .outbox import Outbox
from .tracker import Notice, PathMode, Tell, Timing, Tracker

log = logging.getLogger(__name__)

# Between the first event and the look at all of them: the kernel merges equal
# ones meanwhile, and one notification carries many.
GATHER = 0.005  # s
# Before a monitor whose thread met an error it cannot name begins anew.
RESTART = 1.0  # s
# A started monitor answers `stop` within this, a system call on a dead share apart.
STOP_TIMEOUT = 10.0  # s


class MonitorError(FsError):
    """A monitor that cannot be had; the text is the reason a client reads."""


class MonitorType(enum.Enum):
    """As omero.grid.monitors.MonitorType."""

    PERSISTENT = "Persistent"  # until it is stopped
    ONE_SHOT = "OneShot"  # until its first notification, or `timeout`
    INACTIVITY = "Inactivity"  # tells when nothing has happened for `timeout`


class Client(Protocol):
    """How a notification leaves: at once, its answer later, on any thread."""

    def notify(self, identifier: str, tells: list[Tell], done: Callable[[bool], None]) -> None:
        """Begins to tell; calls `done(arrived)` once, and raises nothing."""


@dataclass(frozen=True)
class Request:
    """The arguments of createMonitor, checked."""

    path: bytes  # absolute, normalised, a directory
    type: MonitorType
    events: frozenset[EventType]
    mode: PathMode
    whitelist: tuple[str, ...]
    blacklist: tuple[str, ...]
    timeout: float  # s; 0: none
    block_size: int  # 0: as many as fit
    ignore_sys_files: bool
    ignore_dir_events: bool

    def __post_init__(self) -> None:
        if not self.events:
            raise MonitorError("eTypes is empty: name at least one event type")
        if not 0 <= self.timeout < 1e9:
            raise MonitorError(f"timeout = {self.timeout}: must be 0 or more seconds")
        if self.type is MonitorType.INACTIVITY and not self.timeout:
            raise MonitorError("timeout = 0: an Inactivity monitor needs a time in seconds")
        if self.block_size < 0:
            raise MonitorError(f"blockSize = {self.block_size}: must be 0 (all) or more")


def directory_named(path: str) -> bytes:
    """The directory that a client wants watched, normalised.

    Raises MonitorError when it is missing, no directory, or not readable.
    """
    if not path:
        raise MonitorError("pathString is empty: give the absolute path of a directory")
    if "\0" in path:
        raise MonitorError(f"pathString {path!r} holds a null character")
    if not path.startswith("/"):
        raise MonitorError(f"pathString {path!r} is not absolute")
    name = os.path.normpath("/" + path.lstrip("/")).encode("utf-8", "surrogateescape")
    try:
        if not os.path.isdir(name):  # noqa: PTH112 - bytes are no Path
            os.stat(name)  # noqa: PTH116 - says why
            raise MonitorError(f"pathString {path!r} is not a directory")
    except OSError as error:
        raise MonitorError(f"pathString {path!r}: {error.strerror}") from error
    if not os.access(name, os.R_OK | os.X_OK):
        raise MonitorError(f"pathString {path!r} is not readable for the user of FSServer")
    return name


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
        self._watcher: _Watcher | None = None
        self._told_before = 0  # events of earlier starts

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
            if self.started:
                return
            self._collect()
            watcher = _Watcher(self.identifier, self.request, self._client, self._timing)
            self._watcher = watcher
            watcher.thread.start()
            watcher.ready.wait()
            if watcher.error is not None:
                self._collect()
                raise MonitorError(watcher.error)
        log.info("monitor %s of %s started", self.identifier, _shown(self.request.path))

    def stop(self) -> None:
        """Ends watching; what was not delivered yet is dropped."""
        self.request_stop()  # ends a `start` under way, too
        with self._lifecycle:
            was_started = self.started
            self._collect()
        if was_started:
            log.info("monitor %s of %s stopped", self.identifier, _shown(self.request.path))

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
            "path": _shown(self.request.path),
            "state": "started" if live is not None else "stopped",
            "watches": str(live.tracker.watches if live is not None else 0),
            "events": str(told),
            "waiting": str(len(live.outbox) if live is not None else 0),
            "unspeakable": str(live.unspeakable if live is not None else 0),
            "reachable": str(live is None or live.tracker.reachable).lower(),
        }


class _Watcher:
    """The thread of a started monitor, and all that only it may touch."""

    def __init__(self, identifier: str, request: Request, client: Client, timing: Timing) -> None:
        self.ready = threading.Event()  # everything is watched, or `error` says why not
        self.error: str | None = None
        self.ended = False
        self.unspeakable = 0  # events whose name is not UTF-8
        self.outbox = Outbox(block_size=request.block_size)
        self.tracker = Tracker(
            request.path,
            tell=self._tell,
            passes=Filter(
                request.path,
                whitelist=request.whitelist,
                blacklist=request.blacklist,
                ignore_sys_files=request.ignore_sys_files,
            ),
            mode=request.mode,
            directory_events=not request.ignore_dir_events,
            timing=timing,
        )
        self._identifier = identifier
        self._request = request
        self._client = client
        self._stop = False
        self._wakener = Wakener()
        self._wakener_lock = threading.Lock()
        self._answers: deque[tuple[int, bool]] = deque()
        self._calls = 0  # notifications begun; the number of the last one
        self._in_flight = False
        self._stale = 0  # answers to calls up to this number no longer matter
        self._inotify: Inotify | None = None
        self._open_at = math.inf  # when to watch again after an interruption
        self._gap = False  # nothing is watched until the client answers
        self._now = time.monotonic()
        self._end_at = math.inf  # of a one-shot monitor
        self._last_words = False  # ends once the outbox is empty, or the client away
        self._inactive_since = -math.inf  # the last activity whose end was told
        self.thread = threading.Thread(
            target=self._run, name=f"monitor-{identifier[:8]}", daemon=True
        )

    # From any thread --------------------------------------------------------

    def request_stop(self) -> None:
        """Asks the thread to end; at once."""
        self._stop = True
        self._wake()

    def _answered(self, call: int, arrived: bool) -> None:
        self._answers.append((call, arrived))
        self._wake()

    def _wake(self) -> None:
        with self._wakener_lock:
            if not self.ended:
                self._wakener.wake()

    # The thread -------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._begin()
            while not self._stop:
                try:
                    self._turn()
                except Exception:
                    # Whatever it was, the disk is the truth: begin anew from it.
                    log.exception("monitor %s is interrupted, a rescan follows", self._identifier)
                    self._interrupt(time.monotonic() + RESTART)
        except Exception as error:
            log.exception("monitor %s cannot begin", self._identifier)
            self.error = f"the monitor cannot begin: {error}"
        finally:
            self._unwatch()
            with self._wakener_lock:
                self.ended = True
                self._wakener.close()
            self.ready.set()

    def _begin(self) -> None:
        path = self._request.path
        self._now = time.monotonic()
        try:
            self._inotify = Inotify(path)
        except OSError as error:
            self._refuse(instances_exhausted(error))
            return
        try:
            self.tracker.open(self._inotify, self._now, known=False)
        except OSError as error:
            self._refuse(f"pathString {_shown(path)!r} cannot be watched: {error.strerror}")
            return
        while self.tracker.scanning and not self._stop:
            self._turn()
        if self._request.type is MonitorType.ONE_SHOT and self._request.timeout:
            self._end_at = self._now + self._request.timeout
        self.ready.set()

    def _refuse(self, reason: str) -> None:
        self.error = reason
        self._stop = True

    def _turn(self) -> None:
        """Waits until there is something to do, and does a bounded part of it."""
        self._wait()
        now = self._now = time.monotonic()
        self._hear(now)
        if self._inotify is not None:
            self._inotify.drain()
            self.tracker.feed(self._inotify.events(), now)
            if not self.outbox.crowded or not self.tracker.reachable:
                self.tracker.step(now)
        elif now >= self._open_at:
            self._reopen(now)
        if self.outbox.overfull(now):
            self._begin_gap(now)
        self._watch_type(now)
        self._send(now)

    def _wait(self) -> None:
        source = self._inotify
        if source is not None and source.backlog:
            return
        due = self._due()
        if due == -math.inf:
            return
        seconds = None if due == math.inf else due - time.monotonic()
        if seconds is not None and seconds <= 0:
            return
        if self._wakener.wait(seconds, source) and not self._stop:
            self._wakener.wait(GATHER, None)

    def _due(self) -> float:
        crowded = self.outbox.crowded and self.tracker.reachable
        tracker = math.inf if self._inotify is None or crowded else self.tracker.due()
        outbox = math.inf if self._in_flight else self.outbox.due()
        due = min(tracker, outbox, self._open_at, self._end_at)
        if self._request.type is MonitorType.INACTIVITY and self._is_news():
            due = min(due, self.tracker.active_at + self._request.timeout)
        return due

    def _is_news(self) -> bool:
        return self.tracker.active_at > self._inactive_since

    def _tell(self, tell: Tell) -> None:
        """From the tracker."""
        if tell.type is not EventType.SYSTEM:
            if self._request.type is MonitorType.INACTIVITY:
                return
            if tell.type not in self._request.events:
                return
            if not speakable(tell.path):
                self.unspeakable += 1
                log.warning("a name is not UTF-8: %s of %s", tell.type.value, _shown(tell.path))
        self.outbox.put(tell, self._now)

    def _send(self, now: float) -> None:
        if self._in_flight:
            return
        batch = self.outbox.take(now)
        if batch:
            self._calls += 1
            call = self._calls
            self._in_flight = True
            self._client.notify(
                self._identifier, batch, lambda arrived: self._answered(call, arrived)
            )

    def _hear(self, now: float) -> None:
        """Takes the client's answers."""
        while self._answers:
            call, arrived = self._answers.popleft()
            if call == self._calls:
                self._in_flight = False
            if call <= self._stale:
                continue
            if not arrived:
                delay = self.outbox.failed(now)
                log.warning(
                    "monitor %s: its client cannot be reached, next try in %g s",
                    self._identifier,
                    delay,
                )
                self._stop = self._stop or self._last_words
                continue
            self.outbox.delivered(now)
            if self._request.type is MonitorType.ONE_SHOT and not self._gap:
                self._stop = True
            elif self._gap:
                self._gap = False
                self._open_at = now

    def _watch_type(self, now: float) -> None:
        """What a one-shot or an inactivity monitor does when time has passed."""
        if now >= self._end_at:
            self._end_at = math.inf
            if not len(self.outbox):
                self._last_words = True
                self._notice(Notice.TIMEOUT, f"nothing happened in {self._request.timeout:g} s")
        timeout = self._request.timeout
        if self._request.type is MonitorType.INACTIVITY and self._is_news():
            since = self.tracker.active_at
            if now >= since + timeout:
                self._inactive_since = since
                self._notice(Notice.INACTIVE, f"nothing has happened for {timeout:g} s")

    def _notice(self, notice: Notice, sentence: str) -> None:
        text = notice.text(f"{_shown(self._request.path)}: {sentence}")
        self.outbox.put(Tell(EventType.SYSTEM, text.encode()), self._now)

    # Interruptions ----------------------------------------------------------

    def _begin_gap(self, now: float) -> None:
        """The client does not keep up: what it has not heard is left to a rescan."""
        waiting = self.outbox.clear()
        log.warning(
            "monitor %s: %d events could not be told, a rescan follows when the client is back",
            self._identifier,
            len(waiting),
        )
        self._interrupt(math.inf)
        self.tracker.untell(waiting)
        self._stale = self._calls
        self._gap = True
        self._notice(Notice.GAP, "events could not be told, a rescan follows")

    def _interrupt(self, until: float) -> None:
        self._unwatch()
        self._open_at = until

    def _unwatch(self) -> None:
        inotify, self._inotify = self._inotify, None
        if inotify is not None:
            self.tracker.close()
            inotify.close()

    def _reopen(self, now: float) -> None:
        try:
            inotify = Inotify(self._request.path)
        except OSError as error:
            log.error("monitor %s: %s", self._identifier, instances_exhausted(error))
            self._open_at = now + 10 * RESTART
            return
        self._open_at = math.inf
        self._inotify = inotify
        self.tracker.open(inotify, now, known=True)


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
            _shown(request.path),
            request.type.value,
            request.mode.value,
        )
        return identifier

    def get(self, identifier: str) -> Monitor:
        """Raises MonitorError for an unknown id."""
        with self._lock:
            monitor = self._monitors.get(identifier)
        if monitor is None:
            raise MonitorError(f"id {identifier!r}: there is no such monitor")
        return monitor

    def destroy(self, identifier: str) -> None:
        """Stops and forgets.  Raises MonitorError for an unknown id."""
        monitor = self.get(identifier)
        monitor.stop()
        with self._lock:
            self._monitors.pop(identifier, None)
        log.info("monitor %s of %s destroyed", identifier, _shown(monitor.request.path))

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
            monitor.stop()

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


def speakable(path: bytes) -> bool:
    """Whether `path` can travel as an Ice string, which is UTF-8."""
    if path.isascii():
        return True
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
