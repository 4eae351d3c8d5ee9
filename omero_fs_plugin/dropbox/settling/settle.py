"""When has a file come to rest?  Pure: the time and the file's stat are handed in."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from omero_fs_plugin.dropbox.grouping.filesets import Reach
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import store_at

from .neighbourhood import ByDirectory


@dataclass(frozen=True, slots=True)
class Pending:
    """A file in its quiet period."""

    path: str  # absolute
    stat: FileStat
    since: float  # s, monotonic: the last sign of life
    quiet: float  # s; the quiet period of this file
    root: str = ""  # whose disk is asked about it


class Settler:
    """Files in their quiet period.

    A file is at rest when its quiet period has passed since its last sign of
    life: an event, a writer that holds it, or a size, mtime or identity other
    than before.  Every sign of life starts the quiet period anew (OMERO's
    documentation of omero.fs.dirImportWait: "If a new file is added to a
    fileset during this wait period DropBox begins waiting again").

    There is no limit to this: a file that still grows is never at rest.  After
    `longest` seconds `overdue` names it once.

    Times are seconds of one monotonic clock, and may never go back.
    """

    def __init__(self, quiet: float, longest: float = math.inf) -> None:
        self.quiet = quiet  # s; for files that are given no other
        self.longest = longest  # s
        self.begun: Callable[[], None] = lambda: None  # called when no file was pending, and one is
        self._pending: dict[str, Pending] = {}
        self._in: ByDirectory[None] = ByDirectory()  # files that are pending
        # Of each root and quiet period the files, ordered by `since`: a sign of life
        # moves a file to the end.
        self._in_order: dict[str, dict[float, OrderedDict[str, Pending]]] = {}
        # When the quiet period of each first began, in this order; without
        # those that were told.
        self._first: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, path: object) -> bool:
        return path in self._pending

    def first(self, reach: Reach) -> str:
        """A file in its quiet period that `reach` takes; empty: there is none."""
        if reach.names and not reach.depth:
            named = (f"{reach.directory}/{name}" for name in reach.names)
            return next((path for path in named if path in self._pending), "")
        below = reach.directory.rstrip("/") + "/"
        for directory, paths in self._in.items():
            if directory == reach.directory or (reach.depth and directory.startswith(below)):
                for path in paths:
                    if reach.takes(path):
                        return path
        return ""

    def has(self, pending: Pending) -> bool:
        """Whether the file has shown no sign of life since `due` returned it."""
        return self._pending.get(pending.path) is pending

    def stir(
        self,
        path: str,
        stat: FileStat,
        now: float,
        quiet: float | None = None,
        root: str | None = None,
    ) -> None:
        """A sign of life: the quiet period of `path` begins now.

        It is `quiet` (s), else what it was for this file, else that of all.  It lies in
        `root`, else where it lay.
        """
        before = self._pending.get(path)
        if before is None:
            self._first[path] = now
            self._in.of(path.rpartition("/")[0])[path] = None
        else:
            self._take_out(before)
        if quiet is None:
            quiet = self.quiet if before is None else before.quiet
        if root is None:
            root = "" if before is None else before.root
        pending = self._pending[path] = Pending(path, stat, now, quiet, root)
        self._in_order.setdefault(root, {}).setdefault(quiet, OrderedDict())[path] = pending
        if before is None and len(self._pending) == 1:
            self.begun()

    def touch(self, path: str, now: float) -> None:
        """A sign of life of a file that is pending.  The disk was not asked about it."""
        pending = self._pending[path]
        self.stir(path, pending.stat, now)

    def below(self, directory: str) -> list[str]:
        """The pending files that lie below `directory`."""
        itself = store_at(directory)
        return [path for _, path in self._in.below(directory) if path != itself]

    def requiet(self, quiet: Callable[[str], float | None]) -> None:
        """Gives each file the quiet period (s) that `quiet` says for its path; None: as it is.

        The time that a file has been quiet already counts.
        """
        changed = {
            path: replace(pending, quiet=new)
            for path, pending in self._pending.items()
            if (new := quiet(path)) not in (None, pending.quiet)
        }
        if not changed:
            return
        self._pending.update(changed)
        self._in_order.clear()
        for pending in sorted(self._pending.values(), key=lambda one: one.since):
            of_root = self._in_order.setdefault(pending.root, {})
            of_root.setdefault(pending.quiet, OrderedDict())[pending.path] = pending

    def check(self, path: str, stat: FileStat, now: float) -> bool:
        """Whether `path` is at rest, now that the disk shows `stat`.

        A file that is not pending, or has changed, is stirred.
        """
        pending = self._pending.get(path)
        if pending is None or pending.stat != stat:
            self.stir(path, stat, now)
            return False
        return now - pending.since >= pending.quiet

    def forget(self, path: str) -> None:
        """Forgets a file that is gone or was handed on."""
        pending = self._pending.pop(path, None)
        if pending is not None:
            self._take_out(pending)
            directory = path.rpartition("/")[0]
            del self._in[directory][path]
            if not self._in[directory]:
                self._in.forget(directory)
        self._first.pop(path, None)
        if not self._pending:  # the tables of very many files would stay as large as they were
            self._pending.clear()
            self._first.clear()

    def due(self, now: float, limit: int, root: str | None = None) -> list[Pending]:
        """At most `limit` files whose quiet period is over; of each the longest at rest first.

        Of those in `root`, or of all.  They stay pending: the caller looks at the disk once
        more, and then says `check` or `forget`.
        """
        ripe: list[Pending] = []
        for where in list(self._in_order) if root is None else [root]:
            for quiet, files in self._in_order.get(where, {}).items():
                for pending in files.values():
                    if len(ripe) == limit or now - pending.since < quiet:
                        break
                    ripe.append(pending)
        return ripe

    def roots_due(self, now: float) -> list[str]:
        """The roots that have files whose quiet period is over."""
        return [
            root
            for root, by_quiet in self._in_order.items()
            if any(now - _first(files).since >= quiet for quiet, files in by_quiet.items())
        ]

    def overdue(self, now: float) -> list[str]:
        """The files that have been pending for `longest` seconds, each once."""
        late: list[str] = []
        for path, first in self._first.items():
            if now - first < self.longest:
                break
            late.append(path)
        for path in late:
            del self._first[path]
        return late

    def next_due(self, but: Collection[str] = ()) -> float | None:
        """When (s, monotonic) the next file may be at rest; None when none is pending.

        `but`: roots whose files do not count.
        """
        first = [
            _first(files).since + quiet
            for root, by_quiet in self._in_order.items()
            if root not in but
            for quiet, files in by_quiet.items()
        ]
        return min(first, default=None)

    def _take_out(self, pending: Pending) -> None:
        by_quiet = self._in_order[pending.root]
        files = by_quiet[pending.quiet]
        del files[pending.path]
        if not files:
            del by_quiet[pending.quiet]
            if not by_quiet:
                del self._in_order[pending.root]


def _first(files: OrderedDict[str, Pending]) -> Pending:
    return next(iter(files.values()))
