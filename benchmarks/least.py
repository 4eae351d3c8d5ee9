"""The least server that tells each file alone: it waits, reads, looks, and tells a client over Ice.

::

    python -m benchmarks.least --Ice.Config=FILE

It is FSServer without all that makes FSServer one: no directory is entered later, no temporary
name waits, nothing is kept for a restart, nobody asks whether a client has answered in time.  So it
shows what a notification for each file costs in Python at least.  It serves one monitor.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from typing import Any

import Ice
import omero_FS_ice  # type: ignore[import-untyped]  # noqa: F401 - defines omero.grid.monitors
from omero.grid import monitors as slice_
from watchdog.observers.inotify_c import inotify_add_watch, inotify_init

from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.servants import NOTIFY_TIMEOUT_MS
from omero_fs_plugin.monitor.telling.gathering import FIRST

ADAPTER = "omerofs.FSServer"
_AT_ONCE = 64 * 1024  # bytes
_MASK = raw.IN_CREATE | raw.IN_MODIFY | raw.IN_CLOSE_WRITE


class Least(slice_.MonitorServer):  # type: ignore[misc]
    """One monitor."""

    _root = ""
    _client: Any = None

    def createMonitor(self, *arguments: Any) -> str:
        """Its id.  Of the arguments it takes the path and the client."""
        self._root = arguments[3]
        twoway = arguments[11].ice_twoway().ice_invocationTimeout(NOTIFY_TIMEOUT_MS)
        self._client = slice_.MonitorClientPrx.uncheckedCast(twoway)
        return "the only one"

    def startMonitor(self, identifier: str, current: Any = None) -> None:
        """Watches what is there now."""
        descriptor = inotify_init()
        directories = {
            inotify_add_watch(descriptor, directory, _MASK): directory
            for directory, _, _ in os.walk(os.fsencode(self._root))
        }
        arguments = (descriptor, directories, identifier)
        threading.Thread(target=self._run, args=arguments, daemon=True).start()

    def stopMonitor(self, identifier: str, current: Any = None) -> None:
        """The process ends soon."""

    def destroyMonitor(self, identifier: str, current: Any = None) -> None:
        """As stopMonitor."""

    def _run(self, descriptor: int, directories: dict[int, bytes], identifier: str) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        answer: Any = None
        while True:
            poll.poll()
            time.sleep(FIRST)
            told = []
            for event in raw.parse(os.read(descriptor, _AT_ONCE)):
                if event.mask & raw.IN_CLOSE_WRITE:
                    path = directories[event.descriptor] + b"/" + event.name
                    os.lstat(path)
                    told.append(slice_.EventInfo(path.decode(), slice_.EventType.Create))
            if told:
                if answer is not None and answer.isCompleted():
                    answer.throwLocalException()
                answer = self._client.begin_fsEventHappened(identifier, told)


def main(arguments: list[str]) -> None:
    """Serves until it is terminated."""
    communicator = Ice.initialize(arguments)
    adapter = communicator.createObjectAdapter(ADAPTER)
    adapter.add(Least(), communicator.stringToIdentity("MonitorServer"))
    adapter.activate()
    communicator.waitForShutdown()


if __name__ == "__main__":
    main(sys.argv)
