"""DropBox's monitor on FSServer: it is kept alive, and made anew when it is gone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import Ice
from omero.grid import monitors

import omero
from omero_fs_plugin.config.settings import EVERYONE, Rule, levels
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.stores import MARKERS, not_entered
from omero_fs_plugin.unanswered import why_unanswered

log = logging.getLogger(__name__)

_STOP_S = 3.0  # a call under way may take so long when we are stopped
_DESTROY_MS = 1000  # so long FSServer may take to end a monitor
_LEFT = object()  # the monitor could not be asked to end
_PROBE_S = 10.0  # how often FSServer is asked for the monitor's state, while it is connected
_AGAIN_S = 2.0  # ... and how long after the connection has closed, or a try has failed

_WATCHED = {
    "Creation": monitors.WatchEventType.Creation,
    "Modification": monitors.WatchEventType.Modification,
    "Deletion": monitors.WatchEventType.Deletion,
    "All": monitors.WatchEventType.All,
}
_PATH_MODES = {
    "Flat": monitors.PathMode.Flat,
    "Recurse": monitors.PathMode.Recurse,
    "Follow": monitors.PathMode.Follow,
}
_CONCERNS_FILES = (
    monitors.EventType.Create,
    monitors.EventType.Modify,
    monitors.EventType.Delete,
)


class MonitorClient(monitors.MonitorClient):  # type: ignore[misc]
    """The servant that FSServer notifies.

    Rule: it hands events on and returns.  `heard` gets the paths of files.
    `missed` is called when FSServer says that events may have been lost.
    """

    def __init__(
        self, heard: Callable[[Sequence[str]], None], missed: Callable[[str], None]
    ) -> None:
        self._heard = heard
        self._missed = missed

    def fsEventHappened(self, id: str, el: Sequence[Any], current: Any = None) -> None:
        paths = [event.fileId for event in el if event.type in _CONCERNS_FILES]
        if paths:
            self._heard(paths)
        for event in el:
            if event.type == monitors.EventType.System:
                self._missed(event.fileId)


class Subscription:
    """Keeps one persistent monitor on the directory of one rule.

    Rule: `connected` is called after each start of a monitor, because nobody was
    told what happened before the start.  It gets the rule, and whether this was the first.

    `note` keeps the monitor's id beyond our life, and `noted` gives it back.  The
    monitor of a DropBox that was killed watches until somebody destroys it.

    `asked` is called with a MonitorServerPrx that has just answered.  Whoever then sees
    that its connection closes calls `closed`.  `why` says for people why it has not answered.
    `there` gives the path on FSServer's machine, and `key` is what a change of the rule is told by.
    """

    def __init__(
        self,
        server: Callable[[], Any],
        rule: Rule,
        client: Any,
        *,
        platform_check: bool,
        connected: Callable[[Rule, bool], None],
        note: Callable[[str], None],
        noted: Callable[[], str],
        asked: Callable[[Any], None] = lambda server: None,
        there: Callable[[str], str] = str,
        why: Callable[[Any, BaseException], str] = lambda server, error: why_unanswered(error),
        key: tuple[Any, ...] = (),
    ) -> None:
        self._server = server  # gives the MonitorServerPrx
        self.rule = rule
        self._platform_check = platform_check
        self._client = client  # MonitorClientPrx
        self._connected = connected
        self._note = note
        self._noted = noted
        self._asked = asked
        self._there = there
        self._why = why
        self.key = key
        self._connected_before = False
        self._news = threading.Event()  # the connection has closed, or we are stopped
        self._stopping = threading.Event()
        # A daemon: a call that FSServer does not answer must not keep us from ending.
        self._thread = threading.Thread(target=self._keep, name="subscription", daemon=True)
        self.monitor = ""  # id of the monitor; empty while there is none
        self.problem = "not connected to FSServer yet"

    def start(self) -> None:
        """Begins to keep the monitor."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Tells the thread to make no further call.  Call `stop` afterwards."""
        self._stopping.set()
        self._news.set()

    def closed(self) -> None:
        """The connection to FSServer has closed: it may have ended."""
        self._news.set()

    def stop(self) -> bool:
        """Ends the thread, and the monitor if FSServer can be reached.  False if one is left."""
        self.ask_to_stop()
        return self.stopped(self.begin_to_stop(time.monotonic() + _STOP_S))

    def begin_to_stop(self, until: float) -> Any:
        """Ends the thread by `until` (s, monotonic), and asks FSServer to end the monitor.

        Gives what `stopped` takes.  Waits for no answer, so that many can be asked at once.
        """
        self.ask_to_stop()
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            return _LEFT
        if not self.monitor:
            return self._begun_or_lost()
        try:
            server = self._server().ice_invocationTimeout(_DESTROY_MS)
            return server, server.begin_destroyMonitor(self.monitor)
        except (Ice.Exception, omero.ServerError) as error:
            log.debug("destroying the monitor: %s", type(error).__name__)
            return _LEFT

    def _begun_or_lost(self) -> Any:
        """What `stopped` takes, where there is no monitor that is known to watch.

        FSServer may have one all the same: it made it and could not start it, or does not answer.
        """
        try:
            return _LEFT if self._noted() else None
        except FsError as error:
            log.debug("whether a monitor is left: %s", error)
            return _LEFT

    def stopped(self, asked: Any) -> bool:
        """Waits for FSServer's answer.  False if a monitor is left."""
        if asked is None or asked is _LEFT:
            return asked is None
        try:
            server, answer = asked
            server.end_destroyMonitor(answer)
        except (Ice.Exception, omero.ServerError) as error:
            log.debug("destroying the monitor: %s", type(error).__name__)
            return False
        return True

    def _keep(self) -> None:
        while not self._stopping.is_set():
            server = self._server()
            try:
                self._look(server)
            except omero.OmeroFSError as error:
                self._lost(error.reason)
            except (Ice.Exception, omero.ServerError) as error:
                self._lost(self._why(server, error))
            except Exception:
                log.exception("keeping the monitor failed")
                self._lost("a defect; see the log")
            self._pause()

    def _pause(self) -> None:
        if self.monitor and not self._news.wait(_PROBE_S):
            return
        self._news.clear()
        # An FSServer that has ended is back in about a second, with its monitors.
        self._stopping.wait(_AGAIN_S)

    def _look(self, server: Any) -> None:
        if self.monitor:
            if server.getMonitorState(self.monitor) == monitors.MonitorState.Started:
                self._asked(server)
                return
            self._lost("it was stopped")
        self._create(server)
        self._asked(server)

    def _create(self, server: Any) -> None:
        rule = self.rule
        self._destroy_former(server)
        monitor = server.createMonitor(
            monitors.MonitorType.Persistent,
            [_WATCHED[name] for name in rule.event_types],
            _PATH_MODES[mode_of(rule)],
            self._there(str(rule.watch_dir)),
            _whitelist(rule),
            [*rule.blacklist, *not_entered(levels(rule))],
            0.0,  # a persistent monitor has no timeout
            rule.block_size,
            rule.ignore_sys_files,
            rule.ignore_dir_events,
            self._platform_check,
            self._client,
        )
        self._note(monitor)
        server.startMonitor(monitor)
        self.monitor, self.problem = monitor, ""
        on = f" on {rule.node}" if rule.node else ""
        log.info("monitor %s watches %s%s", monitor, rule.watch_dir, on)
        first, self._connected_before = not self._connected_before, True
        self._connected(rule, first)

    def _destroy_former(self, server: Any) -> None:
        former = self._noted()
        if former:
            try:
                server.destroyMonitor(former)
            except omero.OmeroFSError:
                log.debug("monitor %s is gone already", former)
            self._note("")

    def _lost(self, why: str) -> None:
        if self.monitor:
            log.warning("monitor %s is lost (%s); making a new one", self.monitor, why)
        elif self.problem != why:
            log.warning("no monitor on %s yet: %s", self.rule.watch_dir, why)
        self.monitor, self.problem = "", why


def mode_of(rule: Rule) -> str:
    """The monitor's PathMode.  If each user has a directory, Flat means each of these."""
    return "Follow" if rule.user == EVERYONE and rule.path_mode == "Flat" else rule.path_mode


def _whitelist(rule: Rule) -> list[str]:
    """The rule's, and the names by which a store is known: the rule is asked for the store."""
    return [*rule.whitelist, *MARKERS] if rule.whitelist else []


def monitored(rule: Rule) -> tuple[Any, ...]:
    """The part of a rule that its monitor depends on.

    If a rule changes and this does not, its monitor can stay.
    """
    return (
        rule.user,
        rule.watch_dir,
        rule.node,
        mode_of(rule),
        rule.event_types,
        rule.whitelist,
        rule.blacklist,
        rule.block_size,
        rule.ignore_sys_files,
        rule.ignore_dir_events,
    )
