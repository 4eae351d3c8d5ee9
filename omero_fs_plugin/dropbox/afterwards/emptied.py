"""Removes directories that have nothing in them any more (omero.fs.tidyDirectories).

Rule: only a directory from which we took files, and only when nobody has changed it for an hour:
a user may have made it, or emptied it, to put new files there.  The user's own directory stays.
"""

from __future__ import annotations

import errno
import os
from pathlib import PurePosixPath

from omero_fs_plugin.dropbox.confine import open_directory
from omero_fs_plugin.dropbox.disks.calls import CALLS

QUIET_S = 3600.0  # since the last change of the directory
_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EBUSY)


def tidy(root: str, directory: str, now: float) -> str:
    """Removes `directory`, and those above it that are empty then.  `now`: s since the epoch.

    Returns the directory that was changed too short a time ago, and is to be looked at later;
    empty if there is none.  Raises OSError, and ImportRefused if a link leads there.
    """
    path = PurePosixPath(directory)
    changed: float | None = None  # s since the epoch; None: as the disk says
    while path != PurePosixPath(root) and path.is_relative_to(root):
        try:
            above = open_directory(root, str(path))
        except FileNotFoundError:
            return ""
        try:
            with CALLS.at(root):
                found = os.stat(path.name, dir_fd=above, follow_symlinks=False)
                if changed is None:
                    changed = found.st_mtime
                if 0 <= now - changed < QUIET_S:
                    return str(path)
                changed = os.fstat(above).st_mtime  # what follows changes it
                os.rmdir(path.name, dir_fd=above)
        except OSError as error:
            if error.errno in _STAYS:
                return ""  # something is in it again, or somebody was faster
            raise
        finally:
            os.close(above)
        path = path.parent
    return ""
