"""Where a root lies on its file system, and what is mounted below it.

An admin may mount one directory at two places, or the directory of one user below that of
another.  Then a file has two paths, and the names of two roots do not say that both lead to it.
The table of mounts does say it, and asks no disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from omero_fs_plugin.links import Mount, mounts

# A trigger for automatic mounts.  What it mounts has a line of its own.
_TRIGGER = "autofs"


@dataclass(frozen=True)
class Shown:
    """A directory of a file system, and where it is shown."""

    system: str  # the file system: its device, or the server of a share
    inside: str  # the path of the directory there, absolute
    at: str  # its path here, absolute and without links


def shown(
    real: str, mount: Mount | None, table: Iterable[tuple[str, Mount]] | None = None
) -> tuple[Shown, ...]:
    """What is shown at the directory `real`, which lies on `mount`, and at mounts below it.

    `table`: (number of the mount that it lies on, mount) of each; by default that of this process.
    Empty if the kernel does not tell.
    """
    if mount is None:
        return ()
    on: dict[str, list[Mount]] = {}
    for lower, one in mounts() if table is None else table:
        if one.number != lower:
            on.setdefault(lower, []).append(one)
    found = [_of(mount, real)]
    pending = [mount.number]
    while pending:
        beside = on.get(pending.pop(), [])
        for one in beside:
            if below(real, one.point) is None or any(below(two.point, one.point) for two in beside):
                continue  # elsewhere, or hidden by a mount above it
            pending.append(one.number)
            over = (upper.point == one.point for upper in on.get(one.number, ()))
            if one.type != _TRIGGER and not any(over):
                found.append(_of(one, one.point))
    return tuple(one for one in found if one is not None)


def two_ways(some: Sequence[Shown], others: Sequence[Shown]) -> tuple[str, str] | None:
    """Two different paths of one directory: one of them leads there by `some`, one by `others`.

    None if there are none.
    """
    for one in some:
        for other in others:
            if one.system != other.system:
                continue
            rest = below(other.inside, one.inside)
            if rest is not None:
                mine, theirs = one.at, _join(other.at, rest)
            else:
                rest = below(one.inside, other.inside)
                if rest is None:
                    continue
                mine, theirs = _join(one.at, rest), other.at
            if mine != theirs and not _hides(some, one, mine) and not _hides(others, other, theirs):
                return mine, theirs
    return None


def below(outer: str, inner: str) -> str | None:
    """The path of `inner` from `outer` on; empty if they are one; None if it does not lie there."""
    if outer == inner:
        return ""
    above = outer.rstrip("/") + "/"
    return inner[len(above) :] if inner.startswith(above) else None


def _hides(shown_there: Sequence[Shown], one: Shown, place: str) -> bool:
    """Whether another of them is mounted over `place`, which `one` would lead to."""
    return any(
        over is not one and below(one.at, over.at) and below(over.at, place) is not None
        for over in shown_there
    )


def _of(mount: Mount, real: str) -> Shown | None:
    rest = below(mount.point, real)
    if rest is None:
        return None
    host, separator, exported = mount.source.partition(":/")
    if separator and "/" not in host:  # NFS, sshfs, CephFS: the device says nothing of a share
        return Shown(f"{host}:", _join(_join("/" + exported, mount.source_root), rest), real)
    if mount.source.startswith("//"):  # SMB
        return Shown("//", _join(_join(mount.source[1:], mount.source_root), rest), real)
    return Shown(mount.device, _join(mount.source_root, rest), real)


def _join(above: str, rest: str) -> str:
    return "/" + "/".join(part for part in f"{above}/{rest}".split("/") if part)
