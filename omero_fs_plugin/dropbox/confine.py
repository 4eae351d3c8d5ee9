"""Opens a file that a user dropped, and lets no link lead it elsewhere.

A user may put symbolic links, FIFOs and devices into the user's directory.
DropBox imports only regular files below that directory, and follows no link on
the way to them.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from pathlib import PurePath

from omero_fs_plugin.errors import ImportRefused

from .disks.calls import CALLS

# Windows lacks these, and openat, so every file is refused there.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_HAS_OPENAT = os.open in os.supports_dir_fd
# O_NONBLOCK: to open a FIFO does not wait for a writer.
_FILE = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
_NO_NAMES = frozenset(("", ".", ".."))
_DIRECTORY = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_DIRECTORY", 0)


def open_beneath(root: str, path: str) -> int:
    """A file descriptor of the regular file `path` below the directory `root`.

    `root` itself belongs to the admin and may be reached through links.  Raises
    ImportRefused if `path` is not below it, leads through a link, is not a regular
    file, may not be read, or is a hard link to a file of another user than the owner
    of `root`.  Raises FileNotFoundError if it is gone, RootAway if its disk does not
    answer, and another OSError if nobody knows now.
    """
    with CALLS.at(root):
        return _open_beneath(root, path)


def _open_beneath(root: str, path: str) -> int:
    directory = _open_directory(root, path)
    try:
        descriptor = os.open(parts_beneath(root, path)[-1], _FILE, dir_fd=directory)
    except OSError as error:
        raise _told(error, path) from error
    finally:
        os.close(directory)
    try:
        # os.stat, because this is done for every file of every set, and a Path takes longer.
        check_file(path, os.fstat(descriptor), os.stat(root).st_uid)  # noqa: PTH116
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_directory(root: str, path: str) -> int:
    """A file descriptor of the directory that `path` lies in, reached without following a link.

    Raises what `open_beneath` raises.
    """
    with CALLS.at(root):
        return _open_directory(root, path)


def _open_directory(root: str, path: str) -> int:
    if not _HAS_OPENAT:
        raise ImportRefused(f"{path}: this platform has no openat, so links cannot be refused")
    *above, _ = parts_beneath(root, path)
    directory = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        for part in above:
            inner = os.open(part, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
    except OSError as error:
        os.close(directory)
        raise _told(error, path) from error
    return directory


def _told(error: OSError, path: str) -> Exception:
    """An ImportRefused if the file itself is at fault; otherwise the error as it is."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return ImportRefused(
            f"{path}: reached through a symbolic link, which is not followed", final=True
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV):
        return ImportRefused(f"{path}: cannot be read by the server: {error.strerror}")
    return error


def check_file(path: str, found: os.stat_result, owner: int) -> None:
    """Raises ImportRefused for a file that does not belong to the owner of its directory.

    `owner`: uid of the user's directory.  Whoever may write there can give anybody's
    file a second name in it, if the system allows this.
    """
    if not stat_module.S_ISREG(found.st_mode):
        raise ImportRefused(f"{path}: not a regular file", final=True)
    if found.st_nlink > 1 and found.st_uid != owner:
        raise ImportRefused(
            f"{path}: a hard link to a file of another owner (uid {found.st_uid}, the directory's "
            f"is {owner}): put a copy here",
            final=True,
        )


def parts_beneath(root: str, path: str) -> tuple[str, ...]:
    """The components of `path` below `root`.

    Raises ImportRefused if there are none, or if one is `..`.
    """
    # Nearly all paths are written like this.  PurePath knows every other way, but takes ten
    # times as long.
    above = root.rstrip("/") + "/"
    if root and os.sep == "/" and path.startswith(above):
        parts = path[len(above) :].split("/")
        if not _NO_NAMES.intersection(parts):
            return tuple(parts)
    try:
        relative = PurePath(path).relative_to(root)
    except ValueError:
        raise ImportRefused(f"{path}: not below {root}", final=True) from None
    if not relative.parts or ".." in relative.parts:
        raise ImportRefused(f"{path}: not a file below {root}", final=True)
    return relative.parts
