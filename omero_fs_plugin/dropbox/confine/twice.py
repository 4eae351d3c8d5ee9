"""Whether two paths lead to one file by two mounts.

An admin may show one directory in those of two users.  A hard link is another matter: somebody
made it in the directory of a user, as a file of that user.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module

from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import NOTHING_THERE
from omero_fs_plugin.links import Mount, mount_of
from omero_fs_plugin.stores import directory_of

from . import open_directory


def shown_twice(root: str, path: str, other_root: str, other: str) -> bool:
    """Whether `path` below `root` and `other` below `other_root` are one file by two mounts.

    A path may be that of a store.  Raises OSError if a disk cannot tell.
    """
    mine, theirs = _look(root, path), _look(other_root, other)
    if mine is None or theirs is None or path == other:
        return False
    (found, mount), (other_found, other_mount) = mine, theirs
    if (found.st_dev, found.st_ino) != (other_found.st_dev, other_found.st_ino):
        return False
    # A file with one name, or a directory, has another path only by a mount.
    if found.st_nlink == 1 or stat_module.S_ISDIR(found.st_mode):
        return True
    return mount != other_mount


def _look(root: str, path: str) -> tuple[os.stat_result, Mount | None] | None:
    """The file, and the mount that its directory lies on; None if there is nothing."""
    path = directory_of(path)
    with CALLS.at(root):
        try:
            directory = open_directory(root, path)
            try:
                return os.lstat(path.rpartition("/")[2], dir_fd=directory), mount_of(directory)
            finally:
                os.close(directory)
        except ImportRefused as error:
            why = error.__cause__
            if isinstance(why, OSError) and why.errno not in (*NOTHING_THERE, errno.ELOOP):
                raise why from None  # a directory on the way may not be entered
            return None  # a link leads there, so no file of that user
        except OSError as error:
            if error.errno in NOTHING_THERE:
                return None
            raise
