"""The real disk, as the tracker looks at it.  It is the same on every platform."""

from __future__ import annotations

import os
import stat as stat_module
import time

from omero_fs_plugin.filesystems import Mounts

from .entries import Entry, Kind, Listing

_LIST = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
# Enough to see that a directory answers; with O_DIRECTORY it also makes an
# automounter mount it.
_TOUCH = getattr(os, "O_PATH", 0) | _LIST
_BY_DESCRIPTOR = os.scandir in os.supports_fd


class LocalDisk:
    """The part of entries.Disk that looks; it does not watch.

    The root may be a symbolic link.  No link below it is followed.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._real = os.path.realpath(root)
        self.mounts = Mounts()

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

    def look(self, path: bytes) -> Entry | None:
        """As Disk.look."""
        try:
            found = os.lstat(path)
            entry = entry_of(found, self._now(path))
            if entry.kind is Kind.DIRECTORY:
                above = os.stat(os.path.dirname(path)).st_dev  # noqa: PTH116, PTH120
                entry = self._crossing(entry, path, found.st_dev, above)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return UNSEEN
        return entry

    def _crossing(self, entry: Entry, path: bytes, device: int, above: int) -> Entry:
        """Marks a mount point.  If there is no mount table, only the device shows it."""
        known = self.mounts.known
        mounted = self.mounts.is_point(self._real_path(path)) if known else device != above
        return entry._replace(mounted=True) if mounted else entry

    def remounted(self) -> list[bytes]:
        """As Disk.remounted."""
        real = self._real.rstrip(b"/") + b"/"
        root = self._root.rstrip(b"/") + b"/"
        points = self.mounts.changed()
        return [root + point[len(real) :] for point in points if point.startswith(real)]

    def _real_path(self, path: bytes) -> bytes:
        return self._real.rstrip(b"/") + path[len(self._root.rstrip(b"/")) :]

    def entries(self, path: bytes) -> Listing:
        """As Disk.entries.  It follows a symbolic link only for the root."""
        if not _BY_DESCRIPTOR:
            return self._listed(path, path)
        descriptor = os.open(path, _LIST if path == self._root else _LIST | _NO_FOLLOW)
        try:
            return self._listed(path, descriptor)
        finally:
            os.close(descriptor)

    def _listed(self, path: bytes, where: bytes | int) -> Listing:
        found: list[tuple[bytes, Entry]] = []
        device = os.stat(where).st_dev  # noqa: PTH116
        with os.scandir(where) as listing:
            now = self._now(path)
            for one in listing:
                name = os.fsencode(one.name)
                try:
                    stat = one.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # it is gone, and its event follows
                except OSError:  # for example on a mount point whose file system is away
                    mounted = self.mounts.is_point(self._real_path(path + b"/" + name))
                    found.append((name, UNSEEN._replace(mounted=mounted)))
                    continue
                entry = entry_of(stat, now)
                if entry.kind is Kind.DIRECTORY:
                    entry = self._crossing(entry, path + b"/" + name, stat.st_dev, device)
                found.append((name, entry))
        return Listing(device, found)

    def _now(self, path: bytes) -> float:
        """The time by the clock that stamps files at `path`; 0 if that clock is not ours."""
        return 0.0 if self.share(path) else time.time()

    def mount(self, path: bytes) -> bytes:
        """As Disk.mount."""
        if _BY_DESCRIPTOR:
            os.close(os.open(path, _TOUCH))
        at = os.path.realpath(path)
        found = self.mounts.holding(at)
        if found is not None:
            return found.point
        device = os.stat(path).st_dev  # noqa: PTH116 - bytes are no Path
        while (above := os.path.dirname(at)) != at:  # noqa: PTH120
            if os.lstat(above).st_dev != device:
                break
            at = above
        return at


UNSEEN = Entry(Kind.UNSEEN, (-1, -1, -1), 1, 0.0)


def entry_of(found: os.stat_result, now: float) -> Entry:
    """The Entry of a stat.  `now` is 0 if the clock that stamped the file is not known."""
    mode = found.st_mode
    if stat_module.S_ISREG(mode):
        kind = Kind.FILE
    elif stat_module.S_ISDIR(mode):
        kind = Kind.DIRECTORY
    else:
        kind = Kind.OTHER
    identity = (found.st_ino, found.st_size, found.st_mtime_ns)
    quiet = max(0.0, now - found.st_ctime)
    return Entry(kind, identity, found.st_nlink, quiet)
