"""Files that the server may not read: which of them may be read by now.

Neither inotify's events of content nor a share tell of a chmod, so each of these files is looked
at from time to time.  Pure: who asks the disk is handed in, and time is not needed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.events import FileStat

log = logging.getLogger(__name__)

_MOST = 10_000  # files; of more, those that were noted first are left to the rescan


@dataclass(frozen=True, eq=False)
class Noted:
    """A file that could not be read, as somebody noted it once."""

    root: str
    # What it was before it was read, or when it could not be opened; None: not known
    was: FileStat | None


class Unread:
    """The files that could not be read, by their roots.  Thread-safe.

    Rule: a file is told after its rights have changed, whenever that was, until whoever is told
    has `taken` it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[str, Noted] = {}  # by their paths

    def note(self, root: str, found: Mapping[str, FileStat | None]) -> None:
        """Takes files of `root` that could not be read: path -> what they were before.

        What a file is now is no such thing: its rights may have changed since it was read.  None
        if nobody knows: then the first look finds out whether it may be read by now.
        """
        with self._lock:
            for path, stat in found.items():
                self._noted.pop(path, None)
                self._noted[path] = Noted(root, stat)
            while len(self._noted) > _MOST:
                del self._noted[next(iter(self._noted))]

    def roots(self) -> list[str]:
        """The roots that have such files."""
        with self._lock:
            return list(dict.fromkeys(noted.root for noted in self._noted.values()))

    def changed(
        self,
        root: str,
        stat: Callable[[str], FileStat | None],
        may_read: Callable[[str], bool],
    ) -> dict[str, Noted]:
        """Those of `root` that may be readable by now, to be `taken`.

        `stat` asks the disk what a path is, None if the file is gone: then it is forgotten.
        `may_read` asks whether it can be opened.  If one of them raises an OSError, the file is
        asked about at the next look, and the others now; RootAway is raised.
        """
        with self._lock:
            of_root = {path: noted for path, noted in self._noted.items() if noted.root == root}
        news: dict[str, Noted] = {}
        for path, noted in of_root.items():
            try:
                now = stat(path)
                if now is None:
                    self.taken({path: noted})
                elif noted.was is None:
                    # In this order: what changes between the two is seen by one of them.
                    if may_read(path):
                        news[path] = noted
                    else:
                        self._is_as(path, noted, now)
                elif not FileStat.untouched(noted.was, now):
                    news[path] = noted
            except RootAway:
                raise
            except OSError as error:  # of this one alone, as if its directory may not be entered
                log.info("%s: %s", path, error)
        return news

    def taken(self, news: Mapping[str, Noted]) -> None:
        """These were heard of, or are gone: they are forgotten, unless they were noted anew."""
        with self._lock:
            for path, noted in news.items():
                if self._noted.get(path) is noted:
                    del self._noted[path]

    def _is_as(self, path: str, noted: Noted, now: FileStat) -> None:
        """It may not be read as it is now."""
        with self._lock:
            if self._noted.get(path) is noted:
                self._noted[path] = Noted(noted.root, now)


def unread(grouping: Grouping) -> Iterator[str]:
    """The paths of files that the server may not read, as `grouping` says."""
    yield from grouping.unread
    for candidate in grouping.candidates:
        yield from candidate.unread
