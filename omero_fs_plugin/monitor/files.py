"""Looks at files for clients, never outside the watched directories.

It walks every path from its watched directory down, one descriptor after the
other, and follows no symbolic link.  So it uses exactly what it has checked,
even if something is renamed meanwhile.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from omero_fs_plugin.accounts import user_name
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.links import reach

# The longest answer of readBlock.  A request for more is refused, not silently cut short.
LARGEST_BLOCK = 16 * 1024 * 1024  # bytes
# The longest list of names.  More would not fit into a message of Ice, and a share may list names
# for ever.
LONGEST_LISTING = 1_000_000
_HASHED_AT_ONCE = 1024 * 1024  # bytes

# Windows has none of these, and no openat, so every call is refused there.
_HAS_OPENAT = os.open in os.supports_dir_fd
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_TO_DIRECTORY = getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW | getattr(os, "O_CLOEXEC", 0)
# Enough to walk through a directory that may be entered but not listed.
_WALK = getattr(os, "O_PATH", os.O_RDONLY) | _TO_DIRECTORY


class FileError(FsError):
    """A file that cannot be looked at; the text is the reason a client reads."""


@dataclass(frozen=True)
class Root:
    """A directory that clients may look into."""

    path: bytes  # absolute, normalised; may itself be reached through links that an admin made
    deep: bool  # False: only what lies directly in it
    hanging: bool = False  # its file system does not answer: a call would wait, and hold up others


@dataclass(frozen=True)
class Stats:
    """The fields of FileStats of the Slice interface."""

    base_name: str
    owner: str  # the user's name, or the number if it has no name
    size: int  # bytes
    mtime: float  # s since the epoch
    ctime: float  # s since the epoch
    atime: float  # s since the epoch
    type: str  # File, Dir, Link, Mount or Unknown


class Files:
    """Rule: nothing outside `roots()` is read or listed, and nobody learns whether it exists.

    Every method raises FileError with the path and what is wrong with it.
    """

    def __init__(self, roots: Callable[[], Iterable[Root]]) -> None:
        """`roots` is called at every request, because monitors start and stop."""
        self._roots = roots

    def names(self, path: str, pattern: str = "") -> list[str]:
        """The names in a directory, sorted.  `pattern` is as in a shell; empty: all names."""
        with self._errors(path), self._directory(path) as directory:
            return [name for name, _ in _listing(directory, pattern)]

    def all_stats(self, path: str, pattern: str = "") -> list[Stats]:
        """The stats of what a directory holds, sorted by name."""
        found: list[Stats] = []
        with self._errors(path), self._directory(path) as directory:
            device = os.fstat(directory).st_dev
            for shown, name in _listing(directory, pattern):
                try:
                    one = os.stat(name, dir_fd=directory, follow_symlinks=False)
                except FileNotFoundError:
                    continue  # it is gone since the list was made
                found.append(_stats(shown, one, device))
        return found

    def exists(self, path: str) -> bool:
        """Whether something is there, also if it is a dangling link."""
        with self._errors(path):
            try:
                with self._parent(path) as (directory, name):
                    os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return False
            return True

    def stats(self, path: str) -> Stats:
        """The stats of the name itself: a symbolic link is a Link."""
        with self._errors(path), self._parent(path) as (directory, name):
            one = os.stat(name, dir_fd=directory, follow_symlinks=False)
            above = os.fstat(directory).st_dev
            return _stats(path.rstrip("/").rpartition("/")[2], one, above)

    def sha1(self, path: str) -> str:
        """The SHA1 of a regular file, in lower-case hexadecimal."""
        digest = hashlib.sha1(usedforsecurity=False)
        with self._errors(path), self._regular(path) as descriptor:
            left = os.fstat(descriptor).st_size
            while block := os.read(descriptor, _HASHED_AT_ONCE):
                left -= len(block)
                if left < 0:  # it grows while we read, or its share lies: it may never end
                    raise FileError(f"{path!r} is longer than its size says: it is being written")
                digest.update(block)
        return digest.hexdigest()

    def block(self, path: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; fewer only at the end of the file."""
        if offset < 0:
            raise FileError(f"offset = {offset}: must be 0 or more")
        if not 0 <= size <= LARGEST_BLOCK:
            raise FileError(f"size = {size}: must be from 0 to {LARGEST_BLOCK} bytes")
        parts: list[bytes] = []
        with self._errors(path), self._regular(path) as descriptor:
            while size > 0 and (part := os.pread(descriptor, size, offset)):
                parts.append(part)
                offset += len(part)
                size -= len(part)
        return b"".join(parts)

    # The way down -----------------------------------------------------------

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FileError(f"{path!r}: {error.strerror or error}") from error

    def _inside(self, path: str) -> tuple[bytes, list[bytes]]:
        """The root that `path` lies in, and the names below it."""
        if not path.startswith("/"):
            raise FileError(f"{path!r} is not an absolute path")
        if "\0" in path:
            raise FileError(f"{path!r} holds a null character")
        names = [name for name in path.encode().split(b"/") if name not in (b"", b".")]
        if b".." in names:
            raise FileError(f"{path!r}: '..' is not allowed")
        best: tuple[Root, list[bytes]] | None = None
        for root in self._roots():
            above = [name for name in root.path.split(b"/") if name]
            below = names[len(above) :]
            if names[: len(above)] != above or (len(below) > 1 and not root.deep):
                continue
            if best is None or len(below) < len(best[1]):
                best = root, below
        if best is None:
            raise FileError(f"{path!r} is not in a directory that is being watched")
        if best[0].hanging:
            raise FileError(f"{path!r}: its file system does not answer")
        return best[0].path, best[1]

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, bytes]]:
        """A descriptor of the directory that `path` is in, and its name there."""
        if not _HAS_OPENAT:
            raise FileError(
                f"{path!r}: FileServer needs openat, which this platform does not have: "
                "without it, links could lead outside"
            )
        root, names = self._inside(path)
        if not names:
            names = [b"."]
        descriptor, _ = reach(os.fsdecode(root))
        try:
            for name in names[:-1]:
                try:
                    below = os.open(name, _WALK, dir_fd=descriptor)
                except NotADirectoryError:
                    raise FileError(
                        f"{path!r}: {name.decode()!r} is not a directory, or is a symbolic link, "
                        "which is not followed"
                    ) from None
                os.close(descriptor)
                descriptor = below
            yield descriptor, names[-1]
        finally:
            os.close(descriptor)

    @contextmanager
    def _directory(self, path: str) -> Iterator[int]:
        with self._parent(path) as (above, name):
            descriptor = os.open(name, os.O_RDONLY | _TO_DIRECTORY, dir_fd=above)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    @contextmanager
    def _regular(self, path: str) -> Iterator[int]:
        with self._parent(path) as (above, name):
            # Check it also before it is opened: to open a device may have an effect.
            if not stat_module.S_ISREG(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                raise FileError(f"{path!r} is not a regular file")
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=above)
            try:
                if not stat_module.S_ISREG(os.fstat(descriptor).st_mode):
                    raise FileError(f"{path!r} is not a regular file")
                yield descriptor
            finally:
                os.close(descriptor)


def _listing(directory: int, pattern: str) -> list[tuple[str, str]]:
    """(name for people, name for the system) of everything in a descriptor's directory.

    They differ if a name is not UTF-8 and cannot be sent as it is.
    """
    found = []
    with os.scandir(directory) as listing:
        for entry in listing:
            name = entry.name
            found.append((os.fsencode(name).decode("utf-8", "backslashreplace"), name))
            if len(found) > LONGEST_LISTING:
                raise FileError(f"more than {LONGEST_LISTING:,} names are in this directory")
    if pattern and pattern != "*":
        found = [pair for pair in found if fnmatch.fnmatchcase(pair[0], pattern)]
    return sorted(found)


def _stats(base_name: str, found: os.stat_result, device_above: int) -> Stats:
    mode = found.st_mode
    if stat_module.S_ISREG(mode):
        kind = "File"
    elif stat_module.S_ISDIR(mode):
        kind = "Dir" if found.st_dev == device_above else "Mount"
    elif stat_module.S_ISLNK(mode):
        kind = "Link"
    else:
        kind = "Unknown"
    return Stats(
        base_name=base_name,
        owner=user_name(found.st_uid),
        size=found.st_size,
        mtime=found.st_mtime,
        ctime=found.st_ctime,
        atime=found.st_atime,
        type=kind,
    )
