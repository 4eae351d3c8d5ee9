"""macOS and Windows: watchdog's own observers, FSEvents and ReadDirectoryChangesW.

Their events are only hints where to look.  They merge and reorder events.  They
report a moved directory as removed and made, or as moved with all its content.
ReadDirectoryChangesW silently drops what does not fit its buffer.  So every
directory is polled as well, and a hint makes the look come sooner.

We have not run it on either platform.  The tests play back, on Linux, the
sequences that watchdog gives there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from watchdog.events import FileSystemEvent, FileSystemEventHandler

from . import raw
from .polling import Polling
from .raw import Raw

# If there are more hints than this, everything is looked at instead.
_MOST = 100_000
_NO_CHANGE = frozenset({"opened", "closed_no_write"})


class Source(Protocol):
    """The part of watchdog.observers.api.BaseObserver that we use."""

    def schedule(self, handler: Any, path: str, *, recursive: bool) -> Any: ...
    def unschedule_all(self) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...


def _platforms_own() -> Source:
    from watchdog.observers import Observer

    return Observer()


class Native(Polling, FileSystemEventHandler):
    """Rule: each event becomes a look at its names; many events become one look."""

    def __init__(
        self, root: bytes, wake: Callable[[], None], source: Callable[[], Source] = _platforms_own
    ) -> None:
        Polling.__init__(self, root, wake)
        self._lock = threading.Lock()
        self._hints: dict[bytes, None] = {}
        self._lost = False
        self._wake = wake
        self._source = source()
        self._source.start()
        self._watched: tuple[int, int] | None = None  # (device, inode) of the root

    def close(self) -> None:
        """Ends watchdog's threads."""
        Polling.close(self)
        self._source.stop()
        self._source.join()

    def watch(self, path: bytes) -> int | None:
        """As Disk.watch: every directory is polled.

        Lets watchdog watch the root, again if its path leads to another directory than
        before.
        """
        if path == self._root:
            found = os.stat(path)  # noqa: PTH116 - bytes are no Path
            identity = (found.st_dev, found.st_ino)
            if identity != self._watched:
                self._source.unschedule_all()
                self._source.schedule(self, os.fsdecode(path), recursive=True)
                self._watched = identity
        return None

    def chosen(self, path: bytes) -> str:
        """As Disk.chosen."""
        return "in case this platform does not report everything"

    # On watchdog's thread ---------------------------------------------------

    def on_any_event(self, event: FileSystemEvent) -> None:
        """As FileSystemEventHandler.on_any_event."""
        if event.event_type in _NO_CHANGE:
            return
        if event.is_directory and event.event_type == "modified":
            return  # each change in it has an event of its own
        with self._lock:
            for path in (event.src_path, event.dest_path):
                if path:
                    self._add(os.fsencode(path))
        self._wake()

    def _add(self, path: bytes) -> None:
        if os.sep != "/":
            path = path.replace(os.fsencode(os.sep), b"/")
        path = path.rstrip(b"/")
        # FSEvents names the place that symbolic links lead to.
        for above in (self._root, self._real):
            above = above.rstrip(b"/")
            if path.startswith(above + b"/"):
                self._hints[self._root.rstrip(b"/") + path[len(above) :]] = None
                break
        else:
            self._hints[self._root] = None  # it is about the root itself
        if len(self._hints) > _MOST:
            self._hints.clear()
            self._lost = True

    # On the monitor's thread ------------------------------------------------

    @property
    def backlog(self) -> bool:
        """As Observer.backlog."""
        return bool(self._hints) or self._lost

    def events(self) -> list[Raw]:
        """As Observer.events: hints."""
        with self._lock:
            hints, lost = list(self._hints), self._lost
            self._hints.clear()
            self._lost = False
        return [raw.OVERFLOW] if lost else [Raw(-1, raw.LOOK, 0, path) for path in hints]
