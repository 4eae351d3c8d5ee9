"""The route to a directory.  A link on it is followed only if an admin must have made it.

That is so if nobody but root and the server's own account can put another link in its
place.  The owner and the mode of every directory on the route decide this, as sshd
decides it for the route to a user's keys.
"""

from __future__ import annotations

import errno
import os
import re
import stat as stat_module
from collections.abc import Iterator
from dataclasses import dataclass

from . import accounts

Identity = tuple[int, int]  # st_dev, st_ino

_WALK = (
    getattr(os, "O_PATH", os.O_RDONLY)
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_MOST_LINKS = 40  # as the kernel has it
_MOUNTS = "/proc/self/mountinfo"
_ACL = "system.posix_acl_access"


@dataclass(frozen=True)
class Route:
    """The path of a directory without links, and the directories on it."""

    fixed: str  # the part that only root and the server's account can change
    rest: tuple[str, ...]  # the names from there on; there was no link among them
    above: tuple[Identity, ...]  # of each directory on the route, from / on; its own is the last

    @property
    def real(self) -> str:
        """The whole path, absolute."""
        return "/".join((self.fixed.rstrip("/"), *self.rest)) or "/"

    @property
    def identity(self) -> Identity:
        """The device and inode of the directory itself."""
        return self.above[-1]


@dataclass(frozen=True)
class Mount:
    """A line of the mount table, see proc(5)."""

    number: str
    device: str  # major:minor
    source_root: str  # the directory of the file system that is mounted
    point: str
    type: str
    source: str

    def __str__(self) -> str:
        return f"{self.source} ({self.type}) on {self.point}"


def reach(path: str) -> tuple[int, Route]:
    """A descriptor of the directory at `path`, for use as a `dir_fd`, and the route to it.

    Raises OSError; with ELOOP and the reason for a link that a user may have made.  Raises
    NoAnswer if that depends on a group, and the system's name service does not answer.
    """
    pending = _parts(path)[::-1]
    links = 0
    walk = _Walk()
    try:
        while pending:
            name = pending.pop()
            if name == "..":
                pending += walk.names[:-1][::-1]
                walk.restart()
                continue
            found = os.stat(name, dir_fd=walk.descriptor, follow_symlinks=False)
            if not stat_module.S_ISLNK(found.st_mode):
                walk.enter(name, found)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, "too many symbolic links on the route")
            link = walk.path(name)
            if not walk.keeps(found):
                raise OSError(
                    errno.ELOOP,
                    f"{link} is a symbolic link, and others than root and the server's account "
                    "may put another there: it is not followed; name the directory itself, or "
                    "have the link where only an admin can write",
                )
            target = os.readlink(name, dir_fd=walk.descriptor)
            pending += _parts(target)[::-1]
            if target.startswith("/"):
                walk.restart()
    except BaseException:
        os.close(walk.descriptor)
        raise
    return walk.descriptor, walk.route()


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


class _Walk:
    """The place of the walk: `descriptor`, and the names that led there, without links."""

    def __init__(self) -> None:
        self.descriptor = -1
        self.restart()

    def restart(self) -> None:
        """Goes back to /."""
        former = self.descriptor
        self.descriptor = os.open("/", _WALK)
        if former >= 0:
            os.close(former)
        self.names: list[str] = []
        here = os.fstat(self.descriptor)
        self._above = [(here.st_dev, here.st_ino)]
        self._here = here
        self._fixed = 0  # of the names, those that only an admin can change
        self._all_fixed = True

    def path(self, name: str) -> str:
        """The path of a name here, for people."""
        return "/" + "/".join((*self.names, name))

    def keeps(self, found: os.stat_result) -> bool:
        """Whether only an admin can replace the entry that was found here.

        Raises NoAnswer if nobody knows.
        """
        here = self._here
        if not self._all_fixed or here.st_uid not in _admins():
            return False
        if not _others_write(here, self.descriptor):
            return True
        # In a directory such as /tmp everybody may remove only their own files.
        return bool(here.st_mode & stat_module.S_ISVTX) and found.st_uid in _admins()

    def enter(self, name: str, found: os.stat_result) -> None:
        """Enters a directory here.  Raises OSError, for instance if it has become a link."""
        try:
            keeps = self.keeps(found)
        except accounts.NoAnswer:
            keeps = False  # no link below it is followed then, and no other harm is in it
        try:
            inner = os.open(name, _WALK, dir_fd=self.descriptor)
        except NotADirectoryError:
            raise NotADirectoryError(
                errno.ENOTDIR, f"{self.path(name)} is not a directory"
            ) from None
        os.close(self.descriptor)
        self.descriptor = inner
        self._here = os.fstat(inner)
        self.names.append(name)
        self._above.append((self._here.st_dev, self._here.st_ino))
        self._all_fixed = keeps
        if keeps:
            self._fixed = len(self.names)

    def route(self) -> Route:
        """The route to the place of the walk."""
        fixed = "/" + "/".join(self.names[: self._fixed])
        return Route(fixed, tuple(self.names[self._fixed :]), tuple(self._above))


def _admins() -> tuple[int, int]:
    return 0, os.geteuid()


def _others_write(found: os.stat_result, descriptor: int) -> bool:
    """Whether accounts other than root and the server's may write to the directory."""
    if found.st_mode & stat_module.S_IWOTH:
        return True
    if not found.st_mode & stat_module.S_IWGRP:
        return False
    try:  # with an ACL, the group's bits are the most that anybody named in it may do
        if _ACL in os.listxattr(f"/proc/self/fd/{descriptor}"):
            return True
    except (OSError, AttributeError):  # a file system, or a platform, without them
        pass
    return found.st_gid not in (0, os.getegid()) or not _is_private(found.st_gid)


def _is_private(group: int) -> bool:
    """Whether the group has no members but root and the server's account."""
    members = accounts.members(group)
    if members is None:
        return False
    for name in members:
        member = accounts.account(name)
        if member is None or member.pw_uid not in _admins():
            return False
    return True


def mount_of(descriptor: int) -> Mount | None:
    """The mount of the open directory.  None if the kernel does not tell."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:  # noqa: PTH123
            number = next(line.split()[1] for line in lines if line.startswith("mnt_id:"))
    except (OSError, StopIteration, IndexError):
        return None
    return next((mount for _, mount in mounts() if mount.number == number), None)


def mounts() -> Iterator[tuple[str, Mount]]:
    """(number of the mount that it lies on, mount), for each; none if the kernel does not tell."""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as table:  # noqa: PTH123
            lines = table.read().split("\n")
    except OSError:
        return
    for line in lines:
        fields = line.split(" ")
        try:
            kind, source = fields[fields.index("-", 6) + 1 :][:2]
            number, lower, device, source_root, point = fields[:5]
        except ValueError:
            continue
        yield (
            lower,
            Mount(number, device, _plain(source_root), _plain(point), kind, _plain(source)),
        )


def _plain(field: str) -> str:
    """A field of the table with its spaces and the like, which it has as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
