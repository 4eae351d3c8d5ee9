"""A file with a name that nobody knows, to find out whether another sees the same directory.

Rule: it is never left behind, and DropBox never takes it for a user's: its name is that of
something on its way.
"""

from __future__ import annotations

import errno
import os
import secrets

from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.system_names import coming_of

from . import open_directory

_NAME = "omero-fs-probe-"
_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


def new_name() -> str:
    """A name that no file has."""
    return coming_of(f"{_NAME}{secrets.token_hex(8)}")


def is_name(name: str) -> bool:
    """Whether a file with this name is one of ours."""
    return name.startswith(f".{_NAME}")


def make(root: str, name: str) -> bool:
    """Makes the file in the directory `root`.  False if nothing may be made there.

    Raises OSError and ImportRefused.
    """
    with CALLS.at(root):
        directory = open_directory(root, f"{root.rstrip('/')}/{name}")
        try:
            os.close(os.open(name, _FLAGS, 0o600, dir_fd=directory))
        except OSError as error:
            if error.errno in _MAY_NOT:
                return False
            raise
        finally:
            os.close(directory)
    return True


def remove(root: str, name: str) -> None:
    """Removes it.  Raises OSError and ImportRefused."""
    with CALLS.at(root):
        directory = open_directory(root, f"{root.rstrip('/')}/{name}")
        try:
            os.unlink(name, dir_fd=directory)
        finally:
            os.close(directory)
