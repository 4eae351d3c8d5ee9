"""The directories that the rules name: each is taken once, and no other takes its place unseen.

A user may own the directory above the one that a rule names, and so may put a
link, or another directory, in its place.  A root is therefore known by its
device and inode from the moment it is taken until the next reload.

Who may have changed what is found there decides what becomes of it:

- the very directory that was taken: all is well;
- another directory, or a link: a user may have put it there.  It is not
  followed, and people are told.  `omero fs reload` takes it, if it may be taken;
- a directory on a file system that was mounted there since: only an admin mounts.
  It is taken at once.  So a share may be mounted again under another device
  number, and one that comes late is taken when it comes;
- nothing is mounted any more where the root was on a mount: its files are away.

No descriptor is kept, for it would keep a share from being unmounted.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from omero_fs_plugin.config.settings import DATA_DIR, Settings
from omero_fs_plugin.links import Identity, Mount, Route, mount_of, reach

log = logging.getLogger(__name__)

_OMERODIR = "OMERODIR"

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _CLOEXEC
_NO_LINK = _DIRECTORY | getattr(os, "O_NOFOLLOW", 0)
# File systems that may give a directory another number while nothing has changed: made up by a
# program or by the host of a virtual machine, or seen through other layers.
_NUMBERS_ANEW = ("9p", "cifs", "drvfs", "overlay", "prl_fs", "smb3", "vboxsf", "vmhgfs")
_REMEMBERED = 10_000  # directories of which it is known what root they lie in


def apart_from(settings: Settings, omerodir: str | None) -> dict[str, str]:
    """What no root may hold or lie in, as `Roots.apply` takes it."""
    return {
        "OMERO's managed repository": str(settings.managed_dir),
        _OMERODIR: omerodir or "",
        DATA_DIR: str(settings.data_dir),
        "omero.fs.quarantine": str(settings.quarantine or ""),
    }


class RootChanged(OSError):
    """What is there is not what was taken, or may not be taken.  `strerror` is for people."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.ESTALE, why)


@dataclass(frozen=True)
class Taken:
    """A root as it was when it was taken."""

    route: Route
    mount: Mount | None  # what holds it; None where that cannot be told

    @property
    def numbers_last(self) -> bool:
        """Whether its file system numbers a directory once and for all."""
        kind = self.mount.type if self.mount is not None else ""
        return kind not in _NUMBERS_ANEW and kind.partition(".")[0] != "fuse"


@dataclass(frozen=True)
class _Root:
    path: str  # as the rule names it: absolute, normalised
    number: int  # of its rule: the first of two that are one directory has it
    taken: Taken | None = None  # None: not yet
    trouble: str = ""  # why it is not followed now; empty: it is

    def yields_to(self, other: _Root, own: Route, others: Route) -> bool:
        """Whether of two that are one directory the other stays: one that no link led to first."""
        linked, other_linked = own.real != self.path, others.real != other.path
        return self.number > other.number if linked == other_linked else linked


class Roots:
    """The roots of a process.  Thread-safe; no lock is held while the disk is asked."""

    def __init__(self, tell: Callable[..., None] = log.error) -> None:
        """`tell` is called as a logger is, when there is trouble with a root."""
        self._tell = tell
        self._lock = threading.Lock()
        self._roots: dict[str, _Root] = {}
        self._apart: Mapping[str, str] = {}
        # directory -> the root that it lies in, and its parts from there on
        self._found: dict[str, tuple[str, tuple[str, ...]] | None] = {}

    def apply(self, paths: Iterable[str], apart: Mapping[str, str]) -> None:
        """These are to be taken, anew where they were before; asks the disk nothing.

        `apart`: directories that no root may hold or lie in, by what people call
        them; an empty one is left out.  What was a root before goes on as one:
        files below it may be under way.
        """
        with self._lock:
            for number, path in enumerate(paths):
                self._roots[path] = _Root(path, number)
            self._apart = {name: where for name, where in apart.items() if where}
            self._found = {}

    def open(self, directory: str) -> int:
        """A descriptor of `directory`, for use as a `dir_fd`.

        From a root on no link is followed.  A directory in no root may be
        reached through links: whoever named it may read what the server reads.

        Raises RootChanged for a root that is not what was taken, or may not be
        taken, and another OSError for what cannot be reached.
        """
        nearest = self._nearest(directory)
        if nearest is None:
            return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | _CLOEXEC)
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

    def trouble(self, path: str) -> str:
        """Why the root at `path` is not followed; empty when it is, or was not looked at yet."""
        root = self._roots.get(path)
        return root.trouble if root is not None else ""

    def real(self, path: str) -> str | None:
        """Where the root at `path` is, with no link in it; None while it was not taken."""
        root = self._roots.get(path)
        return root.taken.route.real if root is not None and root.taken is not None else None

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
        if was is not None and was.real == path:  # else an admin's link may lead elsewhere by now
            descriptor = _again(was)
            if descriptor >= 0:
                return descriptor
        try:
            descriptor, route = reach(path)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise self._troubled(root, error.strerror or str(error)) from error
            raise
        if was == route:
            return descriptor
        try:
            self._judge(root, Taken(route, mount_of(descriptor)))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _judge(self, root: _Root, now: Taken) -> None:
        """Takes what was reached, or raises RootChanged."""
        was = root.taken
        moved = was is not None and was.route.identity != now.route.identity
        why = _exchanged(was, now) if was is not None and moved else ""
        why = why or self._not_apart(now.route) or self._not_another(root, now.route)
        if why:
            raise self._troubled(root, why)
        with self._lock:
            if self._roots[root.path] is root:  # else another has judged, or it is to be anew
                self._roots[root.path] = replace(root, taken=now, trouble="")
        if moved:
            log.info("%s is on another mount now, and taken: %s", root.path, now.mount)
        elif root.trouble:
            log.info("%s is followed again", root.path)
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
        """Why OMERO's own directories keep this from being a root; empty when they do not."""
        apart = {name: _identities(where) for name, where in self._apart.items()}
        data = apart.pop(DATA_DIR, ())
        for name, other in apart.items():
            if other[-1:] == (route.identity,):
                return f"it is {name}, {self._apart[name]}"
            if route.identity in other:
                return f"{name}, {self._apart[name]}, lies in it"
            # OMERO's data may be kept below OMERODIR.
            well = name == _OMERODIR and other and other[-1] in data and data[-1] in route.above
            if other and other[-1] in route.above and not well:
                return f"it lies in {name}, {self._apart[name]}"
        return ""

    def _not_another(self, root: _Root, route: Route) -> str:
        """Why another root keeps this from being one; empty when none does."""
        for other in list(self._roots.values()):
            if other.path == root.path or other.taken is None or other.trouble:
                continue
            if _at_odds(root.path, route, other.path, other.taken.route):
                if root.yields_to(other, route, other.taken.route):
                    return _same(other.path)
                self._troubled(other, _same(root.path))
        return ""


# The one of this process: whoever opens a file by its path, in whatever room, is held to it.
ROOTS = Roots()


def _down(descriptor: int, parts: Sequence[str]) -> int:
    """From a directory to one below it, no link followed; closes `descriptor`."""
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
    """A descriptor of the very directory; -1 when it is not there any more."""
    try:
        descriptor = _down(os.open(route.fixed, _DIRECTORY), route.rest)
    except OSError:
        return -1
    found = os.fstat(descriptor)
    if (found.st_dev, found.st_ino) == route.identity:
        return descriptor
    os.close(descriptor)
    return -1


def _exchanged(was: Taken, now: Taken) -> str:
    """Why what is there instead may not be followed; empty when it may."""
    anew = "omero fs reload takes it, if that is meant"
    if was.mount is not None and (now.mount is None or len(now.mount.point) < len(was.mount.point)):
        return f"{was.mount} is not mounted any more"
    if was.route.real != now.route.real:
        return f"it leads to {now.route.real} now, and led to {was.route.real}: {anew}"
    if was.mount == now.mount and was.numbers_last:  # also where neither can be told
        return f"another directory is there than the one that was taken: {anew}"
    return ""


def _identities(where: str) -> tuple[Identity, ...]:
    """Of a directory and those above it, from / on; none when it is not there."""
    real = os.path.realpath(where) if where else ""
    found: list[Identity] = []
    try:
        while real:
            status = os.stat(real)  # noqa: PTH116
            found.append((status.st_dev, status.st_ino))
            real = os.path.dirname(real) if real != "/" else ""  # noqa: PTH120
    except OSError:
        return ()
    return tuple(reversed(found))


def _at_odds(path: str, route: Route, other: str, others: Route) -> bool:
    """Whether they are one directory, or one lies in the other and their names do not say so."""
    if route.identity == others.identity:
        return True
    for outer, outer_route, inner, inner_route in (
        (path, route, other, others),
        (other, others, path, route),
    ):
        if outer_route.identity in inner_route.above:
            levels = inner_route.above[::-1].index(outer_route.identity)
            named = "/".join(inner.split("/")[:-levels]) or "/"
            return named != outer
    return False


def _same(other: str) -> str:
    return (
        f"{other}, which is watched as well, is the same directory, or one of the two lies in the "
        "other: each rule needs a directory of its own"
    )
