"""Which directories lie on one disk, and so do not answer together.

The mount table says it.  No disk is asked.
"""

from __future__ import annotations

import os
import re
import threading

from omero_fs_plugin.filesystems import TABLE, Mount, Mounts

# nas:/home, [fe80::1]:/home or user@nas:/home; //nas/home
_HOST = re.compile(r"//(?P<of_cifs>[^/]+)/|(?P<of_nfs>\[[^]]+\]|[^:/]+):")


class Devices:
    """Knows the disk of each directory.  Thread-safe."""

    def __init__(self, table: str = TABLE) -> None:
        self._lock = threading.Lock()
        self._table = table
        self._mounts: Mounts | None = None

    def of(self, directory: str) -> str:
        """A name for the disk of `directory`, which must be a path without links.

        All shares of one server have one name, because they stop together.
        """
        with self._lock:
            if self._mounts is None:
                self._mounts = Mounts(self._table)
            mount = self._mounts.holding(os.fsencode(directory))
        return disk(mount) if mount is not None else ""


def disk(mount: Mount) -> str:
    """The server of a share, and else the device."""
    host = _HOST.match(mount.source) if mount.shared else None
    return host["of_cifs"] or host["of_nfs"] if host is not None else mount.device


# Mounts belong to the process.
DEVICES = Devices()
