"""Opens the files that users dropped, and follows no links.

A user may put symbolic links, FIFOs and devices into the user's directory.
DropBox imports only regular files below that directory, and follows no link on
the way to them.  The directory itself must be the one that was taken: see `roots` and `taken`.
`shown` knows which of them lead to the same files by other mounts, `near` which
of many may have to do with each other, `odds` why two cannot both be roots, and `twice` whether two
paths are one.
``trees`` looks at a directory that is one image, and `unreadable` finds in a reason which file may
not be read.  `probe` makes a file by which others show that
they see the same directory.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.errors import ImportRefused, Unreadable
from omero_fs_plugin.events import NOTHING_THERE, FileStat
from omero_fs_plugin.links import mount_of

from .roots import ROOTS, RootChanged, RootMissing

# Windows lacks these, and openat, so every file is refused there.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_HAS_OPENAT = os.open in os.supports_dir_fd
# O_NONBLOCK: to open a FIFO does not wait for a writer.
_FILE = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
# How deep directories below a user's own are entered.  Each is reached from the top by one call for
# each level, so that ten thousand of them, one in the other, would cost minutes at each look.
# Those of real data are about ten deep.
DEEPEST = 100
TOO_DEEP = f"more than {DEEPEST} directories deep, and nothing in it is imported: move it up"
# Names in one directory that are looked at: a share may list names without end.
MOST_NAMES = 1_000_000
# What is said of a file that the server may not read, after its path.
UNREADABLE = "cannot be read by the server"
# What is said of a file that its disk does not give now, after its path; nobody hears when it does.
NOT_NOW = "cannot be read now"
# What helps where a mode does not allow the server to read.
MAY_READ = (
    "its owner must allow this to the user that OMERO.server runs as (`setfacl -m u:USER:r` on the "
    "file, `u:USER:rx` on its directories)"
)
_NO_NAMES = frozenset(("", ".", ".."))
_DIRECTORY = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_DIRECTORY", 0)


def open_beneath(root: str, path: str) -> int:
    """A file descriptor of the regular file `path` below the directory `root`.

    Raises ImportRefused if `path` is not below it, leads through a link, is not a
    regular file, may not be read by its own mode, or is a hard link to a file that does
    not belong to the owner of `root`.  Raises FileNotFoundError if it is gone.  Raises
    another OSError if the disk cannot tell now: RootAway if it does not answer,
    RootChanged if `root` is not the directory that was taken, RootMissing if it is not
    there.
    """
    with CALLS.at(root):
        return _open_beneath(root, path)[0]


def look_beneath(root: str, path: str) -> os.stat_result:
    """What the regular file `path` below the directory `root` is now, if it can be opened.

    Raises what `open_beneath` raises.
    """
    with CALLS.at(root):
        descriptor, found = _open_beneath(root, path)
        os.close(descriptor)
        return found


def _open_beneath(root: str, path: str) -> tuple[int, os.stat_result]:
    *above, name = _parts(root, path)
    try:
        top = ROOTS.open(root)
    except FileNotFoundError as error:
        if ROOTS.lies_in_another(root):  # which is there: a user's directory was removed
            raise
        raise RootMissing(root) from error
    owner = os.fstat(top).st_uid
    directory = _down(top, above, path)
    try:
        descriptor = os.open(name, _FILE, dir_fd=directory)
    except OSError as error:
        raise _told(error, path, _own_fault(error, name, directory)) from error
    finally:
        os.close(directory)
    try:
        found = os.fstat(descriptor)
        check_file(path, found, owner)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found


def open_directory(root: str, path: str) -> int:
    """A file descriptor of the directory of `path`, for use as a `dir_fd`.

    Follows no link on the way.  Raises what `open_beneath` raises.
    """
    *above, _ = _parts(root, path)
    with CALLS.at(root):
        return _down(ROOTS.open(root), above, path)


def is_unmounted(root: str, path: str, device: int) -> bool:
    """Whether nothing is at `path` because the disk with that device number is not mounted.

    What is there of the way to it lies on the disk of the directory above `root` then, and not on
    its own.  A disk that was mounted again may have another number: that is none of both.
    Raises what `open_beneath` raises, but for FileNotFoundError.
    """
    with CALLS.at(root):
        above = Path(ROOTS.here(root)).parent.stat().st_dev
        if above == device:
            return False
        try:
            directory = ROOTS.open(root)
        except FileNotFoundError:
            return True  # with the directory it was mounted at
        try:
            for part in _parts(root, path)[:-1]:
                inner = os.open(part, _DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
        except OSError as error:
            if error.errno not in NOTHING_THERE:
                raise
        finally:
            nearest, mount = os.fstat(directory).st_dev, mount_of(directory)
            os.close(directory)
        # In an overlay a file may have another device number than its directory.
        return nearest == above and (mount is None or mount.type != "overlay")


def _parts(root: str, path: str) -> tuple[str, ...]:
    if not _HAS_OPENAT:
        raise ImportRefused(f"{path}: this platform has no openat, so links cannot be refused")
    return parts_beneath(root, path)


def _down(directory: int, parts: list[str], path: str) -> int:
    """Goes from a directory to one below it.  Closes `directory`."""
    try:
        for part in parts:
            inner = os.open(part, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
    except OSError as error:
        os.close(directory)
        raise _told(error, path) from error
    return directory


@contextmanager
def listing(root: str, directory: str) -> Iterator[int]:
    """A descriptor of `directory`, which is `root` or lies below it, to list with os.scandir.

    Raises OSError; with ELOOP or ENOTDIR if there is a link on the way to it.
    """
    found = ROOTS.open(root)
    try:
        # That of the root may be one that is kept, and where a listing has come to is kept with it.
        parts = (".",) if _are_one(root, directory) else _parts(root, directory)
        for part in parts:
            inner = os.open(part, _DIRECTORY, dir_fd=found)
            os.close(found)
            found = inner
        yield found
    finally:
        os.close(found)


def owner_of(root: str) -> int:
    """The account (uid) that owns the directory `root`.  Raises OSError."""
    with CALLS.at(root), listing(root, root) as opened:
        return os.fstat(opened).st_uid


def _are_one(root: str, directory: str) -> bool:
    if root == directory:
        return True
    # To make a PurePath takes longer than to open the directory.  Nearly no path needs one.
    if any(odd in f"{path}/" for path in (root, directory) for odd in ("//", "/./")):
        return PurePath(root) == PurePath(directory)
    return False


def stat_beneath(root: str, path: str) -> FileStat | None:
    """The FileStat of `path`.  None if it is not a regular file, or a link leads there.

    Raises OSError if the disk cannot tell, such as a share that does not answer, or if
    `root` is not the directory that was taken.  The file is then not known to be gone.
    """
    with CALLS.at(root):
        return _stat_beneath(root, path)


def _stat_beneath(root: str, path: str) -> FileStat | None:
    try:
        directory = open_directory(root, path)
    except ImportRefused as error:
        why = error.__cause__
        if isinstance(why, OSError) and why.errno not in NOTHING_THERE:
            raise why from None  # a directory on the way may not be entered
        return None
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return None
        raise
    try:
        found = os.lstat(path.rpartition("/")[2], dir_fd=directory)
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return None
        raise
    finally:
        os.close(directory)
    return FileStat.of(found) if stat_module.S_ISREG(found.st_mode) else None


def may_not_write_beneath(root: str, paths: Iterable[str]) -> str:
    """The directory of one of `paths` in which we may not remove files; empty if there is none.

    A directory that is not there, or that a link leads to, is not told.  Raises OSError.
    """
    for directory in sorted({path.rpartition("/")[0] for path in paths}):
        try:
            descriptor = open_directory(root, f"{directory}/.x")
        except (FileNotFoundError, ImportRefused):
            continue
        try:
            with CALLS.at(root):
                if not os.access(".", os.W_OK | os.X_OK, dir_fd=descriptor, effective_ids=True):
                    return directory
        finally:
            os.close(descriptor)
    return ""


def try_root(root: str) -> None:
    """Asks the disk of `root` what no cache knows.  Raises OSError.

    Not a call as `disks` counts them: it may be made although the disk does not answer.
    """
    with listing(root, root) as directory:
        os.fstatvfs(directory)
        with os.scandir(directory) as entries:
            next(entries, None)


def is_there(root: str) -> bool:
    """Whether `root` is the directory that was taken."""
    try:
        with CALLS.at(root):
            os.close(ROOTS.open(root))
    except (OSError, ValueError):
        return False
    return True


def _told(error: OSError, path: str, own_fault: bool = False) -> Exception:
    """An ImportRefused if the file itself is at fault; otherwise the error as it is."""
    if isinstance(error, RootChanged):
        return error
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return ImportRefused(
            f"{path}: reached through a symbolic link, which is not followed", final=True
        )
    if own_fault and error.errno in (errno.EACCES, errno.EPERM):
        return Unreadable(
            f"{path}: {UNREADABLE}: {error.strerror}: {MAY_READ}, and it is tried again", path
        )
    if own_fault:
        return Unreadable(f"{path}: {UNREADABLE}: {error.strerror}", path)
    return error


def _own_fault(error: OSError, name: str, directory: int) -> bool:
    """Whether a file cannot be opened because of what it is itself.

    A share whose server was started anew, or whose ticket has run out, refuses for a while to
    open files that we may read by their mode.  A disk that was pulled out says that it is no
    device.  That is the disk's fault.
    """
    if error.errno not in (errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV):
        return False
    found = os.lstat(name, dir_fd=directory)
    if not stat_module.S_ISREG(found.st_mode):
        return True
    return error.errno in (errno.EACCES, errno.EPERM) and not _may_read(found)


def _may_read(found: os.stat_result) -> bool:
    """Whether the mode says so.  An access list may say otherwise."""
    if os.geteuid() == found.st_uid:
        return bool(found.st_mode & stat_module.S_IRUSR)
    if found.st_gid in (os.getegid(), *os.getgroups()):
        return bool(found.st_mode & stat_module.S_IRGRP)
    return bool(found.st_mode & stat_module.S_IROTH)


def check_file(path: str, found: os.stat_result, owner: int) -> None:
    """Raises ImportRefused for a file that does not belong to the owner of its directory.

    `owner`: uid of the user's directory.  On some systems a person who may write there
    can make a hard link to the file of anybody.
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
