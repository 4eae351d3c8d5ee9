"""FSServer over Ice: omero.grid.monitors.MonitorServer, its notifications, and FileServer.

Servants translate Slice types to ours and back, and our errors to OmeroFSError.
No operation of the two interfaces is AMD.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import Ice
import omero_FS_ice  # type: ignore[import-untyped]  # noqa: F401 - defines omero.grid.monitors
from omero.grid import monitors as slice_

import omero
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import EventType

from .access import Access
from .files import Files, Stats
from .guests import Counted, of_calls
from .monitors import Monitor, Monitors
from .notices import Notice, Tell
from .requests import (
    UNKNOWN,
    MonitorError,
    MonitorType,
    PathMode,
    Request,
    client_timeout,
    directory_named,
    name_of,
)

log = logging.getLogger(__name__)

# A client is away if it has not answered a notification after this time.
NOTIFY_TIMEOUT_MS = 30_000

_EVENTS = {
    EventType.CREATE: slice_.EventType.Create,
    EventType.MODIFY: slice_.EventType.Modify,
    EventType.DELETE: slice_.EventType.Delete,
    EventType.SYSTEM: slice_.EventType.System,
}
_CHANGES = frozenset({EventType.CREATE, EventType.MODIFY, EventType.DELETE})
_WATCHED = {
    slice_.WatchEventType.Creation: frozenset({EventType.CREATE}),
    slice_.WatchEventType.Modification: frozenset({EventType.MODIFY}),
    slice_.WatchEventType.Deletion: frozenset({EventType.DELETE}),
    slice_.WatchEventType.All: _CHANGES,
}


def event_info(tell: Tell) -> Any:
    """The EventInfo of one event.

    A name that is not UTF-8 cannot be a Slice string: its event becomes a
    System event that shows the name with the odd bytes escaped.  Its sentence
    begins with the event's type.
    """
    try:
        return slice_.EventInfo(tell.path.decode(), _EVENTS[tell.type])
    except UnicodeDecodeError:
        notice = Notice.NAME.tell(tell.path, f"{tell.type.value} of a name that is not UTF-8")
        return slice_.EventInfo(notice.path.decode(), slice_.EventType.System)


class IceClient:
    """A telling.Client over a MonitorClient proxy.  It is asynchronous and never blocks."""

    def __init__(self, proxy: Any) -> None:
        # Identity, endpoints and options; nothing that belongs to a session.
        self.address = str(proxy)
        twoway = proxy.ice_twoway().ice_invocationTimeout(NOTIFY_TIMEOUT_MS)
        self._proxy = slice_.MonitorClientPrx.uncheckedCast(twoway)

    def notify(
        self,
        identifier: str,
        tells: list[Tell],
        done: Callable[[bool], None],
        *,
        asked: bool = False,
    ) -> Callable[[], bool] | None:
        """As telling.Client.notify."""

        def refused(error: Exception) -> None:
            # The client got the notification and could not handle it.  To send the same
            # again would not help, and would hold back what follows.
            arrived = isinstance(error, (Ice.UserException, Ice.UnknownException))
            level = logging.WARNING if arrived else logging.DEBUG
            log.log(level, "monitor %s: its client answers %s", identifier, _short(error))
            done(arrived)

        events = [event_info(tell) for tell in tells]
        try:
            if not asked:
                self._proxy.begin_fsEventHappened(identifier, events, lambda: done(True), refused)
                return None
            result = self._proxy.begin_fsEventHappened(identifier, events)
        except Ice.Exception as error:  # the communicator is about to end
            refused(error)
            return None

        def ask() -> bool:
            if not result.isCompleted():
                return False
            try:
                # Unlike end_fsEventHappened it may be called again, if an error came in between.
                result.throwLocalException()
            except Ice.Exception as error:
                refused(error)
            else:
                done(True)
            return True

        return ask

    def probe(self, done: Callable[[bool], None]) -> None:
        """As telling.Client.probe."""
        try:
            self._proxy.begin_ice_ping(lambda: done(True), lambda error: done(False))
        except Ice.Exception:  # the communicator is about to end
            done(False)


def _short(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[-1].strip()}" if text else type(error).__name__


@contextmanager
def told_as_fs_error() -> Iterator[None]:
    """Turns an error into OmeroFSError, the only error of these interfaces."""
    try:
        yield
    except FsError as error:
        raise _fs_error(str(error), error) from error
    except OSError as error:
        raise _fs_error(error.strerror or str(error), error) from error


def _fs_error(reason: str, error: Exception) -> Any:
    return omero.OmeroFSError("", type(error).__name__, reason, reason)


class MonitorServer(slice_.MonitorServer):  # type: ignore[misc]
    """omero.grid.monitors.MonitorServer over a `Monitors`."""

    def __init__(
        self, monitors: Monitors, platform: str, access: Access, calls: Counted | None = None
    ) -> None:
        """`platform` as sys.platform has it; `calls` counts those of guests."""
        self._monitors = monitors
        self._access = access
        self._platform = platform
        self._calls = calls or of_calls()

    def createMonitor(
        self,
        mType: Any,
        eTypes: list[Any],
        pMode: Any,
        pathString: str,
        whitelist: list[str],
        blacklist: list[str],
        timeout: float,
        blockSize: int,
        ignoreSysFiles: bool,
        ignoreDirEvents: bool,
        platformCheck: bool,
        proxy: Any,
        current: Any = None,
    ) -> str:
        """The id of a new, stopped monitor.  Raises OmeroFSError, which names the argument."""
        with self._call(current) as guest:
            if platformCheck and self._platform != "linux":
                raise MonitorError(
                    f"platformCheck: FSServer is not tested on {self._platform}; "
                    "pass False to watch there all the same"
                )
            if proxy is None:
                raise MonitorError("proxy is null: give a MonitorClient to notify")
            # Other accounts must not learn what is there, and it may be a link by now.
            self._access.check(name_of(pathString), current, missing_well=True)
            path = directory_named(pathString)
            self._access.check(path, current)
            request = Request(
                path=path,
                type=MonitorType(str(mType)),
                events=frozenset[EventType]().union(*(_WATCHED[one] for one in eTypes)),
                mode=PathMode(str(pMode)),
                whitelist=tuple(whitelist),
                blacklist=tuple(blacklist),
                timeout=timeout,
                block_size=blockSize,
                ignore_sys_files=ignoreSysFiles,
                ignore_dir_events=ignoreDirEvents,
                client_timeout=client_timeout(current.ctx if current is not None else {}),
                guest=guest,
            )
            return self._monitors.create(request, IceClient(proxy))

    def startMonitor(self, id: str, current: Any = None) -> None:
        """Starts a monitor, and returns when everything is watched."""
        with self._call(current):
            self._monitors.get(id).start()

    def stopMonitor(self, id: str, current: Any = None) -> None:
        """Stops a monitor.  It is not an error if it is stopped already."""
        with self._call(current):
            self._monitors.get(id).stop()

    def destroyMonitor(self, id: str, current: Any = None) -> None:
        """Stops and forgets a monitor."""
        with self._call(current):
            self._monitors.destroy(id)

    def getMonitorState(self, id: str, current: Any = None) -> Any:
        """The state.  It is Started even while the directory cannot be reached."""
        with told_as_fs_error():
            monitor: Monitor = self._monitors.get(id)
            state = slice_.MonitorState
            return state.Started if monitor.started else state.Stopped

    @contextmanager
    def _call(self, current: Any) -> Iterator[str]:
        """A call that may take a while.  Gives the guest that calls, as Access.guest."""
        with told_as_fs_error():
            guest = self._access.guest(current)
            with self._calls.one(guest):
                yield guest


class FileServer(slice_.FileServer):  # type: ignore[misc]
    """omero.grid.monitors.FileServer.  Shows `ours` to the server's own account, else `others`.

    Times are Slice floats of 32 bits: seconds since the epoch, rounded to about
    two minutes.  The interface requires this.
    """

    def __init__(
        self,
        ours: Files,
        others: Files,
        access: Access,
        calls: Counted | None = None,
        *,
        far_may_read: bool = True,
    ) -> None:
        """`calls` counts those of guests.

        `far_may_read`: whether a client whose account is not known, as one on another machine,
        may read what is in files.  The whole network may reach the FSServer of a node.
        """
        self._far_may_read = far_may_read
        self._ours = ours
        self._others = others
        self._access = access
        self._calls = calls or of_calls()

    def getDirectory(self, absPath: str, filter: str, current: Any = None) -> list[str]:
        """Names, sorted.  `filter` is as in a shell."""
        with self._files(current) as files:
            return files.names(absPath, filter)

    def getBulkDirectory(self, absPath: str, filter: str, current: Any = None) -> list[Any]:
        """FileStats, sorted by name."""
        with self._files(current) as files:
            return [_file_stats(one) for one in files.all_stats(absPath, filter)]

    def fileExists(self, fileId: str, current: Any = None) -> bool:
        """Whether a file is there.  For a path outside the watched directories it is an error."""
        with self._files(current) as files:
            return files.exists(fileId)

    def getBaseName(self, fileId: str, current: Any = None) -> str:
        """The last part of the path of a file that is there."""
        return self._stats(fileId, current).base_name

    def getStats(self, fileId: str, current: Any = None) -> Any:
        """FileStats of the name itself.  It does not follow a link."""
        return _file_stats(self._stats(fileId, current))

    def getSize(self, fileId: str, current: Any = None) -> int:
        """Bytes."""
        return self._stats(fileId, current).size

    def getOwner(self, fileId: str, current: Any = None) -> str:
        """The user's name."""
        return self._stats(fileId, current).owner

    def getCTime(self, fileId: str, current: Any = None) -> float:
        """Seconds since the epoch."""
        return self._stats(fileId, current).ctime

    def getMTime(self, fileId: str, current: Any = None) -> float:
        """Seconds since the epoch."""
        return self._stats(fileId, current).mtime

    def getATime(self, fileId: str, current: Any = None) -> float:
        """Seconds since the epoch."""
        return self._stats(fileId, current).atime

    def isDir(self, fileId: str, current: Any = None) -> bool:
        """Whether it is a directory; a mount point is one too."""
        return self._stats(fileId, current).type in ("Dir", "Mount")

    def isFile(self, fileId: str, current: Any = None) -> bool:
        """A regular file."""
        return self._stats(fileId, current).type == "File"

    def getSHA1(self, fileId: str, current: Any = None) -> str:
        """Lower-case hexadecimal."""
        with self._files(current, content=True) as files:
            return files.sha1(fileId)

    def readBlock(self, fileId: str, offset: int, size: int, current: Any = None) -> bytes:
        """At most files.LARGEST_BLOCK bytes."""
        with self._files(current, content=True) as files:
            return files.block(fileId, offset, size)

    @contextmanager
    def _files(self, current: Any, *, content: bool = False) -> Iterator[Files]:
        """What the caller may see, for one call; `content`: which reads a file."""
        with told_as_fs_error():
            guest = self._access.guest(current)
            if content and guest == UNKNOWN and not self._far_may_read:
                raise MonitorError("clients on other machines may not read files here")
            with self._calls.one(guest):
                yield self._others if guest else self._ours

    def _stats(self, path: str, current: Any) -> Stats:
        with self._files(current) as files:
            return files.stats(path)


def _file_stats(stats: Stats) -> Any:
    return slice_.FileStats(
        stats.base_name,
        stats.owner,
        stats.size,
        stats.mtime,
        stats.ctime,
        stats.atime,
        getattr(slice_.FileType, stats.type),
    )
