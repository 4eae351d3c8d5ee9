"""The roots: the directories that the rules name.  DropBox notices if one is replaced.

A user may own the directory above a root, and so may put a link or another
directory in its place.  So DropBox takes a root once, and knows it by its device
and inode until the next reload.

What it does then depends on what it finds there:

- The directory that was taken: all is well.
- Another directory, or a link: a user may have put it there.  DropBox does not
  follow it, and reports it.  `omero fs reload` takes it, if it may be a root.
- A directory on a file system that was mounted there since: only an admin mounts,
  so DropBox takes it at once.  So a share may be mounted again under another device
  number, and a share that comes late is taken when it comes.
- The root was on a mount, and nothing is mounted any more: its files are away.

No descriptor is kept, because an open one would keep a share from being unmounted.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from omero_fs_plugin.config.settings import DATA_DIR, Settings
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.links import Identity, Route, reach

from .near import Near
from .odds import at_odds
from .shown import below, two_ways
from .taken import Taken, exchanged

log = logging.getLogger(__name__)

_OMERODIR = "OMERODIR"

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _CLOEXEC
_NO_LINK = _DIRECTORY | getattr(os, "O_NOFOLLOW", 0)
_REMEMBERED = 10_000  # directories whose root is remembered


def apart_from(settings: Settings, omerodir: str | None) -> dict[str, str]:
    """The directories that no root may contain or lie in, for `Roots.apply`."""
    return {
        "OMERO's managed repository": str(settings.managed_dir),
        _OMERODIR: omerodir or "",
        DATA_DIR: str(settings.data_dir),
        "omero.fs.quarantine": str(settings.quarantine or ""),
    }


class RootChanged(OSError):
    """The directory is not the one that was taken, or may not be a root.

    `strerror` says why, for people.
    """

    def __init__(self, why: str) -> None:
        super().__init__(errno.ESTALE, why)


class RootMissing(OSError):
    """The directory is not there.  Nobody knows whether a file in it is gone too."""

    def __init__(self, directory: str) -> None:
        super().__init__(errno.ESTALE, f"{directory} is not there")


@dataclass(frozen=True)
class _Root:
    path: str  # as the rule names it: absolute, normalised
    number: int  # of its rule: the first of two that are one directory has it
    taken: Taken | None = None  # None: not yet
    trouble: str = ""  # why it is not followed now; empty: it is
    former: bool = False  # no rule names it any more; files below it may be under way

    def yields_to(self, other: _Root, own: Route, others: Route) -> bool:
        """If this and the other are one directory, whether the other stays the root.

        One that no link leads to stays; otherwise the first does.
        """
        linked, other_linked = own.real != self.path, others.real != other.path
        return self.number > other.number if linked == other_linked else linked


class Roots:
    """The roots of a process.  Thread-safe.  Holds no lock while it asks a disk."""

    def __init__(self, tell: Callable[..., None] = log.error) -> None:
        """`tell` is called like a method of a logger if there is trouble with a root."""
        self._tell = tell
        self._lock = threading.Lock()
        self._roots: dict[str, _Root] = {}
        self._near = Near()  # the roots that were taken; with the lock
        self._apart: Mapping[str, str] = {}
        self._here: Callable[[str], str] = str
        # directory -> the root that it lies in, and its parts from there on
        self._found: dict[str, tuple[str, tuple[str, ...]] | None] = {}

    def apply(
        self, paths: Iterable[str], apart: Mapping[str, str], here: Callable[[str], str] = str
    ) -> None:
        """Sets the roots to take, even those that were taken before.  Does not ask the disk.

        `apart`: name for people -> a directory that no root may contain or lie in; an
        empty one does not count.  `here` gives the path that a directory has on this machine,
        if DropBox runs on another one.  Earlier roots stay roots, because files below them may
        be under way.
        """
        with self._lock:
            for path, root in self._roots.items():
                self._roots[path] = replace(root, former=True)
            for number, path in enumerate(paths):
                self._roots[path] = _Root(path, number)
            self._apart = {name: where for name, where in apart.items() if where}
            self._here = here
            self._found = {}

    def here(self, path: str) -> str:
        """The path on this machine of what DropBox calls `path`."""
        return self._here(path)

    def open(self, directory: str) -> int:
        """A descriptor of `directory`, for use as a `dir_fd`.

        Below a root it follows no link.  On the way to a directory outside all roots
        links are followed: the person who named it may read what the server reads.

        Raises RootChanged if the root is not the directory that was taken, or may not be
        a root, and another OSError if the directory cannot be reached.
        """
        nearest = self._nearest(directory)
        if nearest is None:
            return os.open(self._here(directory), os.O_RDONLY | os.O_DIRECTORY | _CLOEXEC)
        path, below = nearest
        descriptor = self._open_root(path)
        try:
            return _down(descriptor, below)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise RootChanged(
                    f"{directory} is reached over a symbolic link, which is not followed"
                ) from error
            raise

    def lies_in_another(self, directory: str) -> bool:
        """Whether `directory` lies below a root, and that root is there.  Raises OSError."""
        nearest = self._nearest(directory)
        if nearest is None or not nearest[1]:
            return False
        try:
            os.close(self._open_root(nearest[0]))
        except FileNotFoundError:
            return False
        return True

    def trouble(self, path: str) -> str:
        """Why DropBox does not follow the root at `path`; empty if it does or has not looked."""
        root = self._roots.get(path)
        return root.trouble if root is not None else ""

    def two_ways(self, path: str) -> list[tuple[str, str]]:
        """The directories that have two paths below the root at `path`, as it names them."""
        root = self._roots.get(path)
        taken = root.taken if root is not None else None
        if taken is None:
            return []
        real = taken.route.real
        return [
            (_join(path, below(real, one)), _join(path, below(real, other)))
            for number, there in enumerate(taken.shown)
            for one, other in [two_ways([there], taken.shown[number + 1 :]) or ("", "")]
            if below(real, one) and below(real, other)
        ]

    def real(self, path: str) -> str | None:
        """The path of the root at `path` without links.  None if it has not been taken."""
        root = self._roots.get(path)
        return root.taken.route.real if root is not None and root.taken is not None else None

    def without_links(self, directory: str) -> str:
        """The path of `directory` without links, as far as that is known.  Asks no disk."""
        nearest = self._nearest(directory)
        if nearest is None:
            return self._here(directory)
        path, below = nearest
        return "/".join(((self.real(path) or self._here(path)).rstrip("/"), *below)) or "/"

    def look(self, path: str) -> None:
        """Finds out whether there is trouble with the root at `path`."""
        try:
            os.close(self._open_root(path))
        except OSError as error:
            log.debug("%s: %s", path, error.strerror)

    def _nearest(self, directory: str) -> tuple[str, tuple[str, ...]] | None:
        found, nearest = self._found, None
        if directory in found:
            return found.get(directory)
        parts = tuple(part for part in directory.split("/") if part)
        if directory.startswith("/") and ".." not in parts:
            for count in range(len(parts), -1, -1):
                path = "/" + "/".join(parts[:count])
                if path in self._roots:
                    nearest = path, parts[count:]
                    break
        if len(found) < _REMEMBERED:
            found[directory] = nearest
        return nearest

    def _open_root(self, path: str) -> int:
        root = self._roots[path]
        was = root.taken.route if root.taken is not None and not root.trouble else None
        where = self._here(path)
        if was is not None and was.real == where:  # else an admin's link may lead elsewhere by now
            descriptor = _again(was)
            if descriptor >= 0:
                return descriptor
        try:
            descriptor, route = reach(where)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise self._troubled(root, error.strerror or str(error)) from error
            raise
        if was == route:
            return descriptor
        try:
            self._judge(root, Taken.at(route, descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _judge(self, root: _Root, now: Taken) -> None:
        """Takes the directory that was reached, or raises RootChanged."""
        was = root.taken
        moved = was is not None and was.route.identity != now.route.identity
        why = exchanged(was, now) if was is not None and moved else ""
        why = why or self._not_apart(now.route) or self._not_another(root, now)
        if why:
            raise self._troubled(root, why)
        with self._lock:
            if self._roots[root.path] is root:  # otherwise another thread was first, or a reload
                self._roots[root.path] = replace(root, taken=now, trouble="")
                self._near.add(root.path, now.route, now.shown)
        if moved:
            log.info("%s is on another mount now; DropBox takes it: %s", root.path, now.mount)
        elif root.trouble:
            log.info("%s is again the directory that was taken", root.path)
        elif was is None and now.route.real != root.path:
            log.info("%s is taken: it is %s", root.path, now.route.real)

    def _troubled(self, root: _Root, why: str) -> RootChanged:
        with self._lock:
            if self._roots[root.path] is root:
                self._roots[root.path] = replace(root, trouble=why)
        if root.trouble != why:
            self._tell("%s is not followed: %s", root.path, why)
        return RootChanged(why)

    def _not_apart(self, route: Route) -> str:
        """Why this cannot be a root because of OMERO's own directories; empty if it can."""
        apart = {name: _identities(where) for name, where in self._apart.items()}
        data = apart.pop(DATA_DIR, ())
        for name, other in apart.items():
            if other[-1:] == (route.identity,):
                return f"it is {name}, {self._apart[name]}"
            if route.identity in other:
                return f"{name}, {self._apart[name]}, lies in it"
            # OMERO's data may lie below OMERODIR.
            well = name == _OMERODIR and other and other[-1] in data and data[-1] in route.above
            if other and other[-1] in route.above and not well:
                return f"it lies in {name}, {self._apart[name]}"
        return ""

    def _not_another(self, root: _Root, now: Taken) -> str:
        """Why this cannot be a root because of another root; empty if it can."""
        with self._lock:
            near = self._near.candidates(now.route, now.shown)
            others = sorted((self._roots[path] for path in near), key=lambda one: one.number)
        for other in others:
            if other.path == root.path or other.taken is None or other.trouble:
                continue
            if other.former or root.former:
                continue
            mine, theirs = at_odds(root.path, now, other.path, other.taken)
            if mine:
                if root.yields_to(other, now.route, other.taken.route):
                    return mine
                self._troubled(other, theirs)
        return ""


# The roots of this process: every room that opens a file by its path uses them.
ROOTS = Roots()


def _down(descriptor: int, parts: Sequence[str]) -> int:
    """Goes from a directory to one below it, and follows no link.  Closes `descriptor`."""
    try:
        for part in parts:
            inner = os.open(part, _NO_LINK, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _again(route: Route) -> int:
    """A descriptor of the same directory.  -1 if it is not there any more."""
    try:
        descriptor = _down(os.open(route.fixed, _DIRECTORY), route.rest)
    except OSError:
        return -1
    found = os.fstat(descriptor)
    if (found.st_dev, found.st_ino) == route.identity:
        return descriptor
    os.close(descriptor)
    return -1


def _identities(where: str) -> tuple[Identity, ...]:
    """The identities of a directory and those above it, from / on.  Empty if it is not there.

    Raises RootAway if its disk does not answer, which may be another than that of a root.
    """
    found: list[Identity] = []
    try:
        with CALLS.at(where):
            real = os.path.realpath(where) if where else ""
            while real:
                status = os.stat(real)  # noqa: PTH116
                found.append((status.st_dev, status.st_ino))
                real = os.path.dirname(real) if real != "/" else ""  # noqa: PTH120
    except RootAway:
        raise
    except OSError:
        return ()
    return tuple(reversed(found))


def _join(path: str, rest: str | None) -> str:
    return f"{path.rstrip('/')}/{rest}"
