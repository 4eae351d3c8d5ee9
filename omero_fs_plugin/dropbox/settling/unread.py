"""Files that the server may not read: they are looked at again when their rights change.

Neither inotify's events of content nor a share tell of a chmod, so each of these files is looked
at from time to time.  Pure: a file's stat is handed in, and time is not needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from omero_fs_plugin.dropbox.confine import UNREADABLE
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.events import FileStat

_MOST = 10_000  # files; of more, those that were noted first are left to the rescan


class Unread:
    """The files that could not be read, by their roots.  Thread-safe.

    Rule: a file is told once for each change of its inode, its rights among them (ctime).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[str, tuple[str, FileStat | None]] = {}  # path -> root, and as it was

    def note(self, root: str, found: Mapping[str, FileStat | None]) -> None:
        """Takes files of `root` that could not be read: path -> what they were, if that is known.

        If not, they are told at the next look: who hears of them knows whether they have changed.
        """
        with self._lock:
            for path, stat in found.items():
                self._noted.pop(path, None)
                self._noted[path] = root, stat
            while len(self._noted) > _MOST:
                del self._noted[next(iter(self._noted))]

    def roots(self) -> list[str]:
        """The roots that have such files."""
        with self._lock:
            return list(dict.fromkeys(root for root, _ in self._noted.values()))

    def changed(self, root: str, stat: Callable[[str], FileStat | None]) -> list[str]:
        """Those of `root` that have changed since they were noted; they are forgotten.

        `stat` asks the disk: None if the file is gone.  Raises what `stat` raises.
        """
        with self._lock:
            of_root = {path: noted for path, noted in self._noted.items() if noted[0] == root}
        news = []
        for path, noted in of_root.items():
            now, was = stat(path), noted[1]
            if now is not None and was is not None and _is_as(now, was):
                continue
            if now is not None:
                news.append(path)
            with self._lock:
                if self._noted.get(path) is noted:  # else it was noted anew meanwhile
                    del self._noted[path]
        return news


def _is_as(now: FileStat, was: FileStat) -> bool:
    return (now, now.ctime_ns) == (was, was.ctime_ns)


def unread(grouping: Grouping) -> Iterator[str]:
    """The paths of files that the server may not read, as `grouping` says."""
    yield from grouping.unread
    for candidate in grouping.candidates:
        yield from candidate.unread


def named(reason: str) -> str:
    """The path of the file that the server might not read, by a reason that the journal has.

    Only for what had failed before the last start: the journal has the reason alone.
    """
    path, marked, _ = reason.partition(f": {UNREADABLE}: ")
    return path if marked and path.startswith("/") else ""
