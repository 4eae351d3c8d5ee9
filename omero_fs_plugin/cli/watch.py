"""`omero fs watch`: shows what happens below a directory, as FSServer sees it."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from omero_fs_plugin.errors import ConfigurationError, FsError, GridError
from omero_fs_plugin.names import is_utf8

from .values import positive, seconds, some_path

HELP = """Show what happens below a directory, live, as FSServer sees it

Prints one line for each event: the time when it arrived; Create, Modify, Delete
or System; and the path, or FSServer's message.  With --json each line is a JSON
object with the keys time, type and path.  A System event has text, and its path
is null.

FSServer polls some directories every omero.fs.pollInterval seconds: those on a
network share, and those that got no inotify watch.  The command says
when there are any.

Exit codes: 0 the N events came, or the time passed and no N was given;
1 the time passed before N events came, or before all directories were watched;
2 OMERODIR or DIR is wrong; 3 FSServer cannot be reached; 130 interrupted
"""

# How often FSServer is asked whether the monitor is still there.  If FSServer was restarted,
# also the time between two tries to make the monitor again.
CHECK = 3.0  # s
CALL_TIMEOUT_MS = 30_000
# If this process is killed, nobody destroys its monitor.  FSServer gives it up after this time.
AWAY = 20.0  # s
# startMonitor returns when all directories are watched: large trees take a while.
START_TIMEOUT_MS = 600_000
DESTROY = 3.0  # s; FSServer ends the monitor in any case once it hears of it


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("watch", description=HELP)
    parser.add_argument(
        "directory",
        type=some_path,
        metavar="DIR",
        help="a directory on the machine that FSServer runs on",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on each line")
    parser.add_argument("--count", type=positive, metavar="N", help="end after N events")
    parser.add_argument(
        "--timeout", type=seconds, metavar="S", help="end after S seconds at the latest"
    )


def run(ctx: Any, args: Any) -> None:
    """Prints events until the count or the time is reached."""
    from omero_fs_plugin.site import printable, site

    path = os.path.abspath(args.directory)  # noqa: PTH100 - keeps symbolic links
    if not is_utf8(path):
        raise ConfigurationError(
            f"{printable(path)}: the name is not valid UTF-8, so FSServer cannot be asked to watch "
            "it: rename the directory, or watch the one above it"
        )
    deadline = None if args.timeout is None else time.monotonic() + args.timeout
    seen = 0
    with (
        _terminated_as_interrupted(),
        site(ctx).grid() as grid,
        _Watch(grid, path, deadline) as watch,
    ):
        ctx.err(f"watching {printable(path)}")
        for line in watch.warnings():
            ctx.err(printable(line))
        for kind, text in watch.events(deadline):
            now = datetime.now().astimezone().isoformat(timespec="milliseconds")
            if args.json:
                system = kind == "System"
                what = {"path": None, "text": text} if system else {"path": text}
                line = json.dumps({"time": now, "type": kind, **what})
            else:
                line = f"{now} {kind:6} {printable(text)}"
            emit(line)
            seen += kind != "System"
            if seen == args.count:
                return
    if args.count is not None:
        raise FsError(f"{seen} of {args.count} events came within {args.timeout:g} s")


def emit(line: str) -> None:
    """Prints one line at once.

    It does not use omero-py, which says nothing if the reader is gone.  Raises
    BrokenPipeError in this case.
    """
    encoding = sys.stdout.encoding or "utf-8"
    text = line.encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class _Watch:
    """A monitor of FSServer, for as long as the `with` block lasts.

    It is made again if FSServer is restarted.
    """

    def __init__(self, grid: Any, path: str, deadline: float | None = None) -> None:
        from omero.grid import monitors as slice_

        self._path = path
        self._deadline = deadline  # s, by time.monotonic(); also for the start
        self._slice = slice_
        self._grid = grid
        self._queue: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._identifier: str | None = None
        self._adapter: Any = None
        self._server: Any = None
        self._client: Any = None

    def __enter__(self) -> _Watch:
        communicator = self._grid.communicator
        identity = self._server_identity()
        self._server = self._slice.MonitorServerPrx.uncheckedCast(
            communicator.stringToProxy(identity).ice_invocationTimeout(CALL_TIMEOUT_MS)
        )
        self._adapter = communicator.createObjectAdapterWithEndpoints(
            "omero.fs.watch", "tcp -h 127.0.0.1"
        )
        proxy = self._adapter.addWithUUID(_servant(self._slice, self._heard))
        self._client = self._slice.MonitorClientPrx.uncheckedCast(proxy)
        self._adapter.activate()
        try:
            self._make()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def events(self, deadline: float | None) -> Iterator[tuple[str, str]]:
        """(type, path or text) until `deadline`, by time.monotonic()."""
        check_at = time.monotonic() + CHECK
        while True:
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return
            if now >= check_at:
                yield from self._check()
                check_at = time.monotonic() + CHECK
            wait = min(check_at, deadline or check_at) - time.monotonic()
            with suppress(queue.Empty):
                yield self._queue.get(timeout=max(wait, 0.001))

    def warnings(self) -> Iterator[str]:
        """Says which directories are polled, or cannot be watched."""
        figures = self._grid.figures("FSServer")
        own = f"monitor.{self._identifier}."
        polled = int(figures.get(own + "polled") or 0)
        if polled:
            watched = int(figures.get(own + "watches") or 0)
            yield (
                f"{polled} of {polled + watched} directories are looked at every "
                f"{figures.get(own + 'pollInterval', '?')} s: {figures.get(own + 'polledWhy', '')}"
            )

    def _server_identity(self) -> str:
        from omero_fs_plugin.config.properties import BY_NAME

        known = BY_NAME["serverIdString"]
        configured: dict[str, str] = self._grid.properties("FSServer")
        return configured.get(known.key, "").strip() or known.default

    def _make(self) -> None:
        import Ice

        import omero
        from omero_fs_plugin.config.properties import BY_NAME
        from omero_fs_plugin.unanswered import why_unanswered

        types = self._slice
        try:
            self._identifier = self._server.createMonitor(
                types.MonitorType.Persistent,
                [types.WatchEventType.All],
                types.PathMode.Follow,
                self._path,
                [],
                [],
                0.0,  # no time limit: events() has it
                0,  # all events at once
                False,  # system files, too
                True,  # no directories
                True,
                self._client,
                {BY_NAME["clientTimeout"].key: f"{AWAY:g}"},  # the call's context
            )
            starting = self._server.ice_invocationTimeout(START_TIMEOUT_MS)
            call = starting.begin_startMonitor(self._identifier)
            if not _finished(call, self._deadline):
                raise FsError(
                    f"not all directories below {self._path} were watched when the time was over: "
                    "a large tree takes a while; give it more with --timeout"
                )
            starting.end_startMonitor(call)
        except omero.OmeroFSError as error:
            raise ConfigurationError(f"FSServer: {error.reason}") from error
        except Ice.Exception as error:
            state = self._grid.states()["FSServer"]
            raise GridError(
                f"FSServer cannot be reached ({why_unanswered(error)}): "
                + str(self._grid.condition("FSServer", state))
            ) from error

    def _check(self) -> Iterator[tuple[str, str]]:
        """Checks whether the monitor is still there.  If not, makes it again."""
        import Ice

        import omero

        try:
            if self._identifier is not None:
                self._server.getMonitorState(self._identifier)
                return
        except omero.OmeroFSError:
            pass  # it is another FSServer, which does not know the monitor
        except Ice.Exception:
            return  # FSServer is being restarted
        self._identifier = None
        with suppress(GridError, ConfigurationError):
            self._make()
            yield "System", "FSServer was restarted: what happened meanwhile is not shown"

    def _heard(self, identifier: str, events: list[tuple[str, str]]) -> None:
        """Called on a thread of Ice."""
        for event in events:
            self._queue.put(event)

    def _end(self) -> None:
        import Ice

        import omero

        if self._identifier is not None:
            # If it is gone with its server, there is nothing left to destroy.
            # A monitor that is still starting ends when it can: nobody waits for it.
            with suppress(Ice.Exception, omero.OmeroFSError):
                call = self._server.begin_destroyMonitor(self._identifier)
                if _finished(call, time.monotonic() + DESTROY):
                    self._server.end_destroyMonitor(call)
        self._adapter.destroy()


def _servant(slice_: Any, heard: Any) -> Any:
    """The servant.  Its class is made here, because the base class is imported late."""

    class Client(slice_.MonitorClient):  # type: ignore[misc]
        def fsEventHappened(self, id: str, el: list[Any], current: Any = None) -> None:
            heard(id, [(str(one.type), one.fileId) for one in el])

    return Client()


def _finished(call: Any, deadline: float | None) -> bool:
    """Waits for an asynchronous call, to `deadline` at the latest.  Ctrl-C can interrupt this."""
    while not call.isCompleted():
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end the command as Ctrl-C does, so that the monitor is destroyed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDINGS = (signal.SIGTERM, signal.SIGHUP)
