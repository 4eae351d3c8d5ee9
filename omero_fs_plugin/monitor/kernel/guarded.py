"""The directories of a monitor that another account asked for are opened through no user's link.

``monitor.access`` looks at the path when a client asks for the monitor.  Later, whoever may write
to a directory on that path, or below it, can put a link in its place.  FSServer looks with the
rights of its own account, and would tell names that the client may not see.
"""

from __future__ import annotations

import errno
import os

from omero_fs_plugin.links import reach

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


class Guard:
    """Opens the root of a monitor, and what is below it.  Linux only.

    A link on the way to the root is followed if only an admin can have made it.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._real = root  # where the root was, without links, when it was opened last

    def opened(self, path: bytes, flags: int) -> int:
        """A descriptor of a directory, to close.  Raises OSError."""
        if path == self._root:
            return self._opened_root(flags)
        descriptor = os.open(path, flags | _NO_FOLLOW)
        try:
            # A directory above it may have become a link.  The kernel says where this one is.
            where = os.readlink(place(descriptor))  # noqa: PTH115 - bytes are no Path
            if where != self._real_path(path):
                raise FileNotFoundError(errno.ENOENT, "only a link leads there", path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _opened_root(self, flags: int) -> int:
        reached, route = reach(os.fsdecode(self._root))
        try:
            self._real = os.fsencode(route.real)
            return os.open(place(reached), flags)
        finally:
            os.close(reached)

    def _real_path(self, path: bytes) -> bytes:
        return self._real.rstrip(b"/") + path[len(self._root.rstrip(b"/")) :]


def place(descriptor: int) -> bytes:
    """A path that leads to the open directory, wherever that is now."""
    return b"/proc/self/fd/%d" % descriptor
