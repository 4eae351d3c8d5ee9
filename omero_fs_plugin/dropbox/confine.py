"""Opening a file that a user dropped without being led elsewhere.

A user may put symbolic links, FIFOs and devices into a directory of theirs.
What is imported is only a regular file, below the user's own directory, reached
without following any link on the way.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from pathlib import PurePath

from ..errors import ImportRefused

# O_NONBLOCK: opening a FIFO returns instead of waiting for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY


def open_beneath(root: str, path: str) -> int:
    """A file descriptor of the regular file `path` below the directory `root`.

    `root` itself is the admin's and may be reached through links.  Raises
    ImportRefused when `path` is not below it, leads through a link, is no
    regular file or may not be read; FileNotFoundError when it is gone.
    """
    parts = parts_beneath(root, path)
    directory = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        descriptor = os.open(parts[-1], _FILE, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise ImportRefused(
                f"{path}: reached over a symbolic link, which is not followed", final=True
            ) from error
        raise ImportRefused(
            f"{path}: cannot be read by the server: {os.strerror(error.errno or 0)}"
        ) from error
    finally:
        os.close(directory)
    if not stat_module.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ImportRefused(f"{path}: not a regular file", final=True)
    return descriptor


def parts_beneath(root: str, path: str) -> tuple[str, ...]:
    """The components of `path` below `root`.

    Raises ImportRefused when there are none, or one is `..`.
    """
    try:
        relative = PurePath(path).relative_to(root)
    except ValueError:
        raise ImportRefused(f"{path}: not below {root}", final=True) from None
    if not relative.parts or ".." in relative.parts:
        raise ImportRefused(f"{path}: not a file below {root}", final=True)
    return relative.parts
