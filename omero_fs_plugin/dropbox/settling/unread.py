"""Files that the server may not read: which of them may be read by now.

Neither inotify's events of content nor a share tell of a chmod, so each of these files is looked
at from time to time.  Pure: who asks the disk is handed in, and time is not needed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.events import FileStat

log = logging.getLogger(__name__)

_MOST = 10_000  # files; of more, those of the root that has most are left to the rescan


@dataclass(frozen=True, eq=False)
class Noted:
    """A file that could not be read, as somebody noted it once."""

    root: str
    # What it was before it was read, or when it could not be opened; None: not known
    was: FileStat | None
    opened: FileStat | None = None  # what it was when it could be opened, though it was not known


class Unread:
    """The files that could not be read, by their roots.  Thread-safe.

    Rule: a file is told after its rights have changed, whenever that was, until whoever is told
    has `taken` it.  However many one user has, there is room for those of others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[str, dict[str, Noted]] = {}  # by their roots, and by their paths
        self._number = 0
        self._crowded: set[str] = set()  # roots of which some were left to the rescan
        # Those that were told because they could be opened, and what they were then.  Who reads one
        # may say all the same that it cannot be read: it is not told again and again.
        self._opened: dict[str, FileStat] = {}

    def note(self, root: str, found: Mapping[str, FileStat | None]) -> None:
        """Takes files of `root` that could not be read: path -> what they were before.

        What a file is now is no such thing: its rights may have changed since it was read.  None
        if nobody knows: then the first look finds out whether it may be read by now.
        """
        with self._lock:
            for path, stat in found.items():
                self._remove(root, path)
                self._noted.setdefault(root, {})[path] = Noted(root, stat)
                self._number += 1
            while self._number > _MOST:
                most = max(self._noted, key=lambda one: len(self._noted[one]))
                self._remove(most, next(iter(self._noted[most])))
                self._crowded.add(most)

    def roots(self) -> list[str]:
        """The roots that have such files."""
        with self._lock:
            return list(self._noted)

    def crowded(self, root: str) -> bool:
        """Whether some of `root` were left to the rescan."""
        with self._lock:
            return root in self._crowded

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
            of_root = dict(self._noted.get(root, {}))
        news: dict[str, Noted] = {}
        for path, noted in of_root.items():
            try:
                now = stat(path)
                if now is None:
                    self.taken({path: noted})
                elif noted.was is None:
                    # In this order: what changes between the two is seen by one of them.
                    if not self._was_opened(path, now) and may_read(path):
                        news[path] = self._is_now(path, noted, replace(noted, opened=now))
                    else:
                        self._is_now(path, noted, Noted(root, now))
                elif not FileStat.untouched(noted.was, now):
                    news[path] = noted
            except RootAway:
                raise
            except OSError as error:  # of this one alone, as if its directory may not be entered
                log.debug("%s: %s", path, error)
        return news

    def taken(self, news: Mapping[str, Noted]) -> None:
        """These were heard of, or are gone: they are forgotten, unless they were noted anew."""
        with self._lock:
            for path, noted in news.items():
                if noted.opened is not None:
                    self._note_opened(path, noted.opened)
                if self._noted.get(noted.root, {}).get(path) is noted:
                    self._remove(noted.root, path)

    def _is_now(self, path: str, noted: Noted, now: Noted) -> Noted:
        """What was found out about it, unless it was noted anew.  Returns `now`."""
        with self._lock:
            if self._noted.get(noted.root, {}).get(path) is noted:
                self._noted[noted.root][path] = now
        return now

    def _remove(self, root: str, path: str) -> None:
        """With the lock.  Does nothing if it is not noted."""
        of_root = self._noted.get(root, {})
        if of_root.pop(path, None) is None:
            return
        self._number -= 1
        if not of_root:
            del self._noted[root]

    def _was_opened(self, path: str, now: FileStat) -> bool:
        with self._lock:
            return FileStat.untouched(self._opened.get(path), now)

    def _note_opened(self, path: str, now: FileStat) -> None:
        """With the lock."""
        self._opened.pop(path, None)
        self._opened[path] = now
        while len(self._opened) > _MOST:
            del self._opened[next(iter(self._opened))]


def unread(grouping: Grouping) -> Iterator[str]:
    """The paths of files that the server may not read, as `grouping` says."""
    yield from grouping.unread
    for candidate in grouping.candidates:
        yield from candidate.unread
