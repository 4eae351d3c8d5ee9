"""Linux: inotify's limits, how much is left, and what an admin can do.

See inotify(7).  Both limits are for one user, over all processes.  A user
namespace may have limits of its own, below those of the machine.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

# Recommended values are multiples of this.
_ROUND = 1024


@dataclass(frozen=True)
class Limit:
    """How many of something a user may have."""

    sysctl: str
    most: int


@dataclass(frozen=True)
class Use:
    """What the processes of this user use, as far as we can see."""

    watches: int
    instances: int


def watches(proc: Path = PROC) -> Limit | None:
    """The limit of watched directories; None if it cannot be read."""
    return _lowest(proc, "watches")


def instances(proc: Path = PROC) -> Limit | None:
    """The limit of inotify instances; each monitor needs one.  None if it cannot be read."""
    return _lowest(proc, "instances")


def _lowest(proc: Path, what: str) -> Limit | None:
    found = []
    for sysctl in (f"fs.inotify.max_user_{what}", f"user.max_inotify_{what}"):
        with suppress(OSError, ValueError):
            text = (proc / "sys" / sysctl.replace(".", "/")).read_text(encoding="ascii")
            found.append(Limit(sysctl, int(text)))
    return min(found, key=lambda limit: limit.most, default=None)


def use(proc: Path = PROC) -> Use:
    """Looks through this user's processes.  This takes milliseconds, so do not call it often."""
    counted = all_instances = 0
    for info in _inotify_descriptors(proc):
        all_instances += 1
        with suppress(OSError):
            counted += info.read_bytes().count(b"inotify wd:")
    return Use(counted, all_instances)


def _inotify_descriptors(proc: Path) -> Iterator[Path]:
    user = os.geteuid()
    for process in proc.iterdir():
        # It is gone, or we may not look at it: then it does not count.
        with suppress(OSError):
            if not process.name.isdigit() or process.stat().st_uid != user:
                continue
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) == "anon_inode:inotify":
                        yield process / "fdinfo" / descriptor.name


def advice(number: int, missing: int, proc: Path = PROC, *, beside: int = 0) -> str | None:
    """What to tell an admin if `missing` directories could not be watched.

    `number` is the errno; `beside`: so many more are to be left for others.  None if that error is
    not a limit of inotify.
    """
    if number == errno.ENOSPC:
        limit = watches(proc)
        if limit is None:
            return f"{missing} more inotify watches are needed: raise fs.inotify.max_user_watches"
        used = use(proc).watches
        return (
            f"{missing} more inotify watches are needed, and this user may have {limit.most} in "
            f"all, of which {used} are seen in use: set the sysctl "
            f"{limit.sysctl}={enough(max(limit.most, used) + missing + beside)}"
        )
    if number in (errno.EMFILE, errno.ENFILE):
        limit = instances(proc)
        used = use(proc).instances
        if limit is None or used < limit.most:
            return (
                "1 more inotify instance is needed, and the process or the system has too many "
                "open files: raise `ulimit -n`, or the sysctl fs.file-max"
            )
        return (
            f"1 more inotify instance is needed, and this user may have {limit.most}, of which "
            f"{used} are in use: set the sysctl {limit.sysctl}={max(2 * limit.most, 512)}"
        )
    return None


def warning(needed: int, proc: Path = PROC) -> str | None:
    """What to tell an admin if `needed` directories are watched and few more can be."""
    limit = watches(proc)
    if limit is None or needed * 10 < limit.most:
        return None  # so few that a look through every process is not worth while
    left = limit.most - use(proc).watches
    if left * 4 >= needed:
        return None
    return (
        f"{needed} directories are watched and only {max(left, 0)} more can be: set the sysctl "
        f"{limit.sysctl}={enough(limit.most + needed)}"
    )


def enough(needed: int) -> int:
    """The value for a limit: a quarter more than `needed`, and round."""
    return -(-(needed * 5 // 4) // _ROUND) * _ROUND
