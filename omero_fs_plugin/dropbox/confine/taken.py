"""What a root was when DropBox took it, and what else may come in its place."""

from __future__ import annotations

from dataclasses import dataclass

from omero_fs_plugin.links import Mount, Route, mount_of

from .shown import Shown, shown

# File systems that may give a directory another inode number though nothing has changed: a program
# or the host of a virtual machine makes the numbers up, or other layers lie below.
_NUMBERS_ANEW = ("9p", "cifs", "drvfs", "overlay", "prl_fs", "smb3", "vboxsf", "vmhgfs")


@dataclass(frozen=True)
class Taken:
    """A root as it was when DropBox took it."""

    route: Route
    mount: Mount | None  # its mount; None where that cannot be told
    shown: tuple[Shown, ...] = ()  # what is shown there, and at mounts below it

    @classmethod
    def at(cls, route: Route, descriptor: int) -> Taken:
        """The open directory that `route` led to."""
        mount = mount_of(descriptor)
        return cls(route, mount, shown(route.real, mount))

    @property
    def numbers_last(self) -> bool:
        """Whether its file system never gives a directory another inode number."""
        kind = self.mount.type if self.mount is not None else ""
        return kind not in _NUMBERS_ANEW and kind.partition(".")[0] != "fuse"


def exchanged(was: Taken, now: Taken) -> str:
    """Why DropBox may not take the directory that is there instead; empty if it may."""
    anew = "omero fs reload takes it, if that is meant"
    if was.mount is not None and (now.mount is None or len(now.mount.point) < len(was.mount.point)):
        return f"{was.mount} is not mounted any more"
    if was.route.real != now.route.real:
        return f"it leads to {now.route.real} now, and led to {was.route.real}: {anew}"
    if was.mount == now.mount and was.numbers_last:  # also where neither can be told
        return f"another directory is there than the one that was taken: {anew}"
    return ""
