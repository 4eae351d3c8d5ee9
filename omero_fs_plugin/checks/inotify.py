"""Whether inotify's limits are high enough for the watched trees: see inotify(7).

Each watched directory takes a watch, and each monitor takes an instance.
FSServer polls the directories above the limits and loses nothing: so these
checks give warnings, not errors.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.config.settings import EVERYONE, Rule, levels
from omero_fs_plugin.filesystems import Mounts
from omero_fs_plugin.filters import Filter
from omero_fs_plugin.monitor.kernel import limits
from omero_fs_plugin.stores import not_entered

from . import Line, Subject, ok, warning

ABOUT = "inotify"
QUEUED_EVENTS = Path("sys/fs/inotify/max_queued_events")  # below /proc
_QUEUED = 16_384  # the kernel's own default
_SECONDS = 8.0  # directories are counted for at most so long


@dataclass(frozen=True)
class Count:
    """The directories of one rule that FSServer watches."""

    directories: int
    complete: bool  # False: there are more


@dataclass(frozen=True)
class Taken:
    """The watches and instances that FSServer has already: it does not need them again."""

    watches: int = 0
    instances: int = 0


def limits_of(subject: Subject, taken: Taken) -> Iterator[Line]:
    """Compares the limits with the trees of all rules."""
    end = time.monotonic() + _SECONDS
    counts = []
    for rule in subject.settings.rules:
        if rule.node:  # another kernel watches it
            continue
        # If a directory is not there, another check says so.
        with suppress(OSError):
            counts.append(count(rule, observer=subject.monitoring.observer, end=end))
    yield from enough(counts, taken)


def count(rule: Rule, *, observer: str, end: float) -> Count:
    """Looks through the tree of `rule`, until the time `end` (s, monotonic).

    Raises OSError if the directory itself cannot be listed.
    """
    top = os.path.realpath(rule.watch_dir)
    mounts = Mounts()
    try:

        def polled(path: str) -> bool:
            return observer != "inotify" and mounts.share(os.fsencode(path)) is not None

        if observer == "polling" or polled(top):
            return Count(0, True)
        if rule.path_mode == "Flat" and rule.user != EVERYONE:
            return Count(1, True)
        return _below(top, rule, polled, end)
    finally:
        mounts.close()


def _below(top: str, rule: Rule, polled: Callable[[str], bool], end: float) -> Count:
    names = Filter(
        os.fsencode(top),
        whitelist=rule.whitelist,
        blacklist=[*rule.blacklist, *not_entered(levels(rule))],
        ignore_sys_files=rule.ignore_sys_files,
    )
    number, left = 0, [top]
    while left:
        directory = left.pop()
        number += 1
        try:
            here = os.fsencode(directory)
            below: list[str] = []
            with os.scandir(directory) as entries:
                for entry in entries:
                    if names.closes(here, os.fsencode(entry.name)):
                        below = []
                        break
                    if (
                        entry.is_dir(follow_symlinks=False)
                        and names.directory(here, os.fsencode(entry.name))
                        and not polled(entry.path)
                    ):
                        below.append(entry.path)
            left += below
        except OSError:
            if directory == top:
                raise
            # Nobody watches what cannot be read.
        if time.monotonic() > end:
            return Count(number + len(left), not left)
    return Count(number, True)


def enough(counts: Iterable[Count], taken: Taken, *, proc: Path = limits.PROC) -> Iterator[Line]:
    """Whether the limits of this user are high enough for all these trees."""
    counts = list(counts)
    watches, instances = limits.watches(proc), limits.instances(proc)
    if watches is None or instances is None:
        yield ok(ABOUT, "this system shows no limits of inotify")
        return
    use = limits.use(proc)
    needed = sum(one.directories for one in counts)
    at_least = "" if all(one.complete for one in counts) else "at least "
    watched = sum(1 for one in counts if one.directories)
    for needs, what, limit, used, own in (
        (
            needed,
            f"directories to watch: {at_least}{needed}",
            watches,
            use.watches,
            taken.watches,
        ),
        (watched, f"monitors to start: {watched}", instances, use.instances, taken.instances),
    ):
        others = max(0, used - own)
        room = limit.most - others
        told = f"{what} of {room}: {limit.sysctl} is {limit.most}, others have {others}"
        if needs * 5 > room * 4:
            more = limits.enough(others + needs)
            remedy = (
                f"as root: `sysctl -w {limit.sysctl}={max(more, 2 * limit.most)}`, and in sysctl.d"
            )
            less = "; the others are polled" if needs > room else "; only few more can be added"
            yield warning(ABOUT, told + less, remedy)
        else:
            yield ok(ABOUT, told)
    yield from _queue(proc)


def _queue(proc: Path) -> Iterator[Line]:
    try:
        queued = int((proc / QUEUED_EVENTS).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return
    if queued < _QUEUED:
        yield warning(
            ABOUT,
            f"fs.inotify.max_queued_events is {queued}: after a burst of more a rescan is needed",
            f"as root: `sysctl -w fs.inotify.max_queued_events={_QUEUED}`, and in sysctl.d",
        )
    else:
        yield ok(ABOUT, f"fs.inotify.max_queued_events is {queued}")
