"""Linux: what is mounted where, and which mounts are network shares.

The source is ``/proc/self/mountinfo``, see proc(5).  A share is polled, because the
kernel reports only what this machine does on it.
"""

from __future__ import annotations

import math
import os
import re
import select
import sys
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

TABLE = "/proc/self/mountinfo"

# File systems that others may change behind this kernel's back: over the
# network, over a cluster, from the host of a virtual machine, or by a program.
_SHARES = frozenset(
    (
        *("9p", "drvfs", "prl_fs", "shfs", "vboxsf", "virtiofs", "vmhgfs"),
        *("afpfs", "afs", "cifs", "coda", "ncpfs", "nfs", "nfs3", "nfs4", "smb3", "smbfs"),
        *("acfs", "beegfs", "ceph", "cvfs", "fhgfs", "gfs", "gfs2", "glusterfs", "gpfs"),
        *("lustre", "mmfs", "ocfs2", "orangefs", "panfs", "pvfs2", "wekafs"),
        "autofs",  # a share that is mounted when somebody looks at it
    )
)

_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")


class Mount(NamedTuple):
    """One line of the table."""

    number: int  # of the mount, as long as it lasts
    point: bytes  # where it is mounted, absolute
    type: str  # such as nfs4 or fuse.sshfs
    device: str = ""  # major:minor
    source: str = ""  # such as nas:/home

    @property
    def shared(self) -> bool:
        """Whether others may change it without the knowledge of this kernel.

        FUSE may be anything, so it counts as a share; ``fuseblk`` is a disk.
        """
        return self.type in _SHARES or self.type == "fuse" or self.type.startswith("fuse.")


def parse(table: bytes) -> Iterator[Mount]:
    """The mounts, in the order in which they were mounted."""
    for line in table.split(b"\n"):
        fields = line.split(b" ")
        try:
            number, point = int(fields[0]), fields[4]
            kind, source = fields[fields.index(b"-", 6) + 1 :][:2]
        except (IndexError, ValueError):
            continue  # proc(5) does not know such a line
        yield Mount(
            number,
            _unescaped(point),
            kind.decode("ascii", "replace"),
            fields[2].decode("ascii", "replace"),
            os.fsdecode(_unescaped(source)),
        )


def _unescaped(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field)


class Mounts:
    """The mount table, read again when the kernel says that it changed.

    On other platforms than Linux, and without a mounted /proc, it is empty.
    """

    def __init__(self, table: str = TABLE) -> None:
        self._points: dict[bytes, Mount] = {}
        self.sharing = False  # a share is mounted somewhere, by the table as it was read last
        self._changed: set[bytes] = set()
        self._below: dict[bytes, Mapping[bytes, Mount]] = {}  # by path, as `below` gives them
        self._asked = -math.inf  # s, monotonic: when the kernel was asked last
        self._descriptor = -1
        if not sys.platform.startswith("linux"):
            return
        try:
            self._descriptor = os.open(table, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLPRI)
        self._read()
        self._changed.clear()

    def close(self) -> None:
        """Closes the descriptor."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    @property
    def known(self) -> bool:
        """Whether there is a table."""
        return bool(self._points)

    def is_point(self, path: bytes) -> bool:
        """Whether something is mounted there.  `path` must have no symbolic links in it."""
        self.refresh()
        return path in self._points

    def below(self, path: bytes, within: float = 0.0) -> Mapping[bytes, Mount]:
        """The mounts below `path`, by where they are; without symbolic links in it.

        The kernel is not asked again if it was asked `within` so many seconds.
        """
        if not within or time.monotonic() - self._asked > within:
            self.refresh()
        found = self._below.get(path)
        return self.below_as_read(path) if found is None else found

    def below_as_read(self, path: bytes) -> Mapping[bytes, Mount]:
        """As `below`, by the table as it was read last."""
        found = self._below.get(path)
        if found is None:
            above = path.rstrip(b"/") + b"/"
            found = {
                point: mount
                for point, mount in self._points.items()
                if point.startswith(above) and point != path
            }
            self._below[path] = found
        return found

    def changed(self) -> set[bytes]:
        """Where something was mounted or unmounted since the last call."""
        self.refresh()
        changed, self._changed = self._changed, set()
        return changed

    def holding(self, path: bytes) -> Mount | None:
        """The mount that `path` lies on.  `path` must have no symbolic links in it.

        None if the table does not say.
        """
        self.refresh()
        return self._holding(path)

    def share(self, path: bytes) -> str | None:
        """The type of the share that `path` lies on; None if it is not on a share."""
        self.refresh()
        return self.share_as_read(path)

    def share_as_read(self, path: bytes) -> str | None:
        """As `share`, by the table as it was read last."""
        if not self.sharing:
            return None
        found = self._holding(path)
        return found.type if found is not None and found.shared else None

    def any_share(self) -> bool:
        """Whether a share is mounted anywhere."""
        self.refresh()
        return self.sharing

    def _holding(self, path: bytes) -> Mount | None:
        points = self._points
        while True:
            found = points.get(path)
            if found is not None:
                return found
            above = path.rpartition(b"/")[0] or b"/"
            if above == path:
                return None
            path = above

    def refresh(self) -> None:
        """Reads the table again if it has changed."""
        self._asked = time.monotonic()
        # If the table has changed, POLLERR comes without being asked for, see proc(5).
        if self._descriptor >= 0 and self._poll.poll(0):
            self._read()

    def _read(self) -> None:
        parts: list[bytes] = []
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        while part := os.read(self._descriptor, 1 << 16):
            parts.append(part)
        before, self._points = self._points, {}
        for mount in parse(b"".join(parts)):
            # A later mount hides an earlier one on the same place.
            self._points[mount.point] = mount
        self._below = {}
        differing = set(before.values()) ^ set(self._points.values())
        self._changed.update(mount.point for mount in differing)
        self.sharing = any(mount.shared for mount in self._points.values())


def shared(path: str) -> str | None:
    """The type of the share that `path` lies on, such as nfs4; None if on none, or unknown."""
    mounts = Mounts()
    try:
        return mounts.share(os.path.realpath(os.fsencode(path)))
    finally:
        mounts.close()
