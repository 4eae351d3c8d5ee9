"""The real disk, as the tracker looks at it.  It is the same on every platform."""

from __future__ import annotations

import os
import stat as stat_module
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from omero_fs_plugin.filesystems import Mount, Mounts

from .answers import Beat
from .below import Below
from .entries import Entry, Identity, Kind, Listing
from .guarded import Guard
from .listings import (
    BY_DESCRIPTOR,
    LIST,
    UNSEEN,
    Stat,
    entry_of,
    gathered,
    opened,
    sorted_out,
    stats,
)
from .writers import written

T = TypeVar("T")

# So long (s) the mount points in one directory are looked at, before the others are believed.
POINTS = 0.25

# So long (s) the mount table counts as read when a file is looked at.  To ask the kernel takes half
# as long as to look at a file, and of a moment nobody can say what came first.
_LATELY = 0.001

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
# Enough to see that a directory answers; with O_DIRECTORY it also makes an
# automounter mount it.
_TOUCH = getattr(os, "O_PATH", 0) | LIST


class LocalDisk:
    """The part of entries.Disk that looks; it does not watch.

    The root may be a symbolic link, if that is not `guarded`.  No link below it is followed.

    Rule: what is mounted below the root may fail to answer, and then keeps nobody waiting for
    longer than a Place does.  It may be slow: nobody waits for the end of a listing there.  The
    root's own file system is asked directly: who watches a root that does not answer waits for it.
    """

    def __init__(
        self, root: bytes, wake: Callable[[], None] = lambda: None, *, guarded: bool = False
    ) -> None:
        """`wake` is called, from any thread, when a file system below answers again.

        `guarded`: no link that a user may have made is followed on the way to the root either.
        """
        self._root = root
        self._guard = Guard(root) if guarded else None
        self._opened = opened if self._guard is None else self._guard.opened
        self._real = os.path.realpath(root)
        self.mounts = Mounts()
        self._below = Below(
            lambda: self.mounts.below(self._real).values(),
            lambda mount: self._known_as(mount.point),
            wake,
        )
        self.late = self._below.late  # as Disk.late; by time.monotonic()

    def close(self) -> None:
        """Closes every descriptor."""
        self.mounts.close()

    def share(self, path: bytes) -> str | None:
        """The type of file system if `path` is on a network share, otherwise None."""
        if not self.mounts.any_share():
            return None
        if path == self._root:
            self._real = os.path.realpath(path)  # it may lead elsewhere by now
        return self.mounts.share(self._real_path(path))

    # File systems below -----------------------------------------------------

    def _mount_of(self, path: bytes, below: Mapping[bytes, Mount] | None = None) -> Mount | None:
        """What is mounted below the root that `path` lies on; None: it lies on the root's own.

        `below`: all that is mounted there, if that is known.
        """
        if below is None:
            below = self.mounts.below(self._real, _LATELY)
        if not below:
            return None
        real, top = self._real_path(path), len(self._real)
        while len(real) > top:
            if real in below:
                return below[real]
            real = real.rpartition(b"/")[0]
        return None

    def _ask(self, mount: Mount, path: bytes, act: Callable[[Beat], T]) -> T:
        """Calls `act`, which looks at files on `mount`.  Returns its answer.  Raises Unanswered."""
        return self._below.ask(mount, path, act)

    def listing(self) -> Collection[bytes]:
        """As Disk.listing."""
        return self._below.listing()

    @property
    def waited(self) -> float:
        """As Disk.waited."""
        return self._below.waited

    # What is there ----------------------------------------------------------

    def look(self, path: bytes) -> Entry | None:
        """As Disk.look."""
        below = self.mounts.below(self._real, _LATELY)
        mount = self._mount_of(path, below) if below else None
        try:
            if mount is None:
                found, above = _looked(path)
            else:
                found, above = self._ask(mount, path, lambda beat: _looked(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return UNSEEN
        entry = entry_of(found, self._now(path))
        if above is not None:
            entry = self._crossing(entry, path, found.st_dev, above)
        return entry

    def written(self, path: bytes) -> tuple[bool | None, Entry | None]:
        """As Disk.written."""
        is_written, found = written(path)
        return is_written, None if found is None else entry_of(found, self._now(path))

    def _crossing(self, entry: Entry, path: bytes, device: int, above: int) -> Entry:
        """Marks a mount point.  If there is no mount table, only the device shows it."""
        known = self.mounts.known
        mounted = self.mounts.is_point(self._real_path(path)) if known else device != above
        return entry._replace(mounted=True) if mounted else entry

    def remounted(self) -> list[bytes]:
        """As Disk.remounted."""
        real = self._real.rstrip(b"/") + b"/"
        return [self._known_as(one) for one in self.mounts.changed() if one.startswith(real)]

    def _real_path(self, path: bytes) -> bytes:
        return self._real.rstrip(b"/") + path[len(self._root.rstrip(b"/")) :]

    def _known_as(self, real: bytes) -> bytes:
        """The path by which the tracker has it."""
        return self._root.rstrip(b"/") + real[len(self._real.rstrip(b"/")) :]

    def entries(self, path: bytes, known: Mapping[bytes, Identity] | None) -> Listing:
        """As Disk.entries.  It follows a symbolic link only for the root."""
        flags = LIST if path == self._root else LIST | _NO_FOLLOW
        below = self.mounts.below(self._real)
        inner = self._points_in(path) if below else frozenset()
        mount = self._mount_of(path) if below else None
        if mount is not None:
            device, found = self._below.list(
                mount, path, lambda beat: gathered(self._opened, path, flags, inner, beat)
            )
            return self._listing(path, device, found, known)
        where = self._opened(path, flags)
        try:
            device = os.stat(where).st_dev  # noqa: PTH116
            return self._listing(path, device, stats(where, inner), known)
        finally:
            if where is not path:
                os.close(where)

    def _points_in(self, path: bytes) -> frozenset[bytes]:
        """The names in `path` that something is mounted on."""
        below = self.mounts.below(self._real)
        if not below:
            return frozenset()
        ours = self._real_path(path).rstrip(b"/")
        split = (point.rpartition(b"/") for point in below)
        return frozenset(name for above, _, name in split if above == ours)

    def _listing(
        self,
        path: bytes,
        device: int,
        found: Iterable[Stat],
        known: Mapping[bytes, Identity] | None,
    ) -> Listing:
        # If there is a mount table, it has shown the mount points here, and they are `unseen`.
        on = None if self.mounts.known else device
        names, files, unseen = sorted_out(found, known, self._now(path), on)
        waited = self.waited
        for name in unseen:
            entry = self._look_inside(path, name, believe=self.waited - waited > POINTS)
            if entry is not None:  # otherwise it is gone, and its event follows
                names.append((name, entry))
        return Listing(device, names, files)

    def _look_inside(self, path: bytes, name: bytes, *, believe: bool) -> Entry | None:
        """Of a name that its listing does not show: a mount point, maybe one that is away.

        A mount that was seen to be a directory is one as long as it is there.  `believe`: others
        have taken so long that this one is not asked, and counts as a directory.  When it is
        listed, it says what it is.
        """
        inside = path + b"/" + name
        point = self.mounts.below(self._real).get(self._real_path(inside))
        if point is not None:
            if point in self._below.directories:
                return _MOUNTED
            if believe:
                return UNSEEN._replace(mounted=True)
        entry = self.look(inside)
        if entry is not None and entry.kind is Kind.UNSEEN:
            return UNSEEN._replace(mounted=self.mounts.is_point(self._real_path(inside)))
        if point is not None and entry is not None and entry.kind is Kind.DIRECTORY:
            self._below.directories.add(point)
        return entry

    def _now(self, path: bytes) -> float:
        """The time by the clock that stamps files at `path`; 0 if that clock is not ours."""
        share = None
        if path == self._root:
            share = self.share(path)
        elif self.mounts.sharing:  # the table was read just now, before the path was asked for
            share = self.mounts.share_as_read(self._real_path(path))
        return 0.0 if share else time.time()

    def mount(self, path: bytes) -> bytes:
        """As Disk.mount."""
        mount = self._mount_of(path)
        if mount is None:
            at = _touched(path)
        else:
            at = self._ask(mount, path, lambda beat: _touched(path))
        if path == self._root:
            self._real = at  # a link, it may lead elsewhere by now
        found = self.mounts.holding(at)
        if found is not None:
            return found.point
        device = os.stat(path).st_dev  # noqa: PTH116 - bytes are no Path
        while (above := os.path.dirname(at)) != at:  # noqa: PTH120
            if os.lstat(above).st_dev != device:
                break
            at = above
        return at

    def lies_below(self, mount: bytes) -> bool:
        """As Disk.lies_below."""
        return (self._real.rstrip(b"/") + b"/").startswith(mount.rstrip(b"/") + b"/")


_MOUNTED = Entry(Kind.DIRECTORY, (-1, -1, -1), 1, 0.0, mounted=True)


# What follows is asked of the disk alone, and may be by the thread of a Place.


def _looked(path: bytes) -> tuple[os.stat_result, int | None]:
    """What is there; and of a directory the device that the one above it is on."""
    found = os.lstat(path)
    if not stat_module.S_ISDIR(found.st_mode):
        return found, None
    return found, os.stat(os.path.dirname(path)).st_dev  # noqa: PTH116, PTH120


def _touched(path: bytes) -> bytes:
    """Its real path; whatever is to be mounted there is."""
    if BY_DESCRIPTOR:
        os.close(os.open(path, _TOUCH))
    return os.path.realpath(path)
