"""Files below the watched directories that the journal does not know."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import PurePosixPath

from omero_fs_plugin.config.layout import OF_OWNER, OWNER, depth, owner
from omero_fs_plugin.config.settings import EVERYONE, Rule
from omero_fs_plugin.dropbox.disks.calls import Call
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.watching.rescan import tops, walk

from .findings import Finding, Kind
from .means import YOUNG_S, Means

PART = "strays"
_AT_ONCE = 2000  # files


def look_for_strays(means: Means) -> None:
    """Goes through the roots, in their order.  An audit that was broken off begins with a root."""
    record = means.record
    after = str(record.positions.get(PART) or "")
    for problem in means.settings.problems:
        # Its rule, or each rule, is left out, and nobody knows which directories it would have.
        means.not_seen(problem.key, str(problem))
    active: dict[str, bool] | None = None
    for root, user in _roots(means):
        if root <= after:
            continue
        if active is None:
            means.pace.wait()
            active = means.omero.experimenters()
        theirs = user == OF_OWNER or active.get(user)
        _look(means, root, "" if theirs else _why_none(user, active))
        record.mark(PART, root)
    record.mark(PART, None)


def _why_none(user: str, active: dict[str, bool]) -> str:
    return f"the OMERO user {user} is {'not active' if user in active else 'not there'}"


def _roots(means: Means) -> list[tuple[str, str]]:
    """(directory, its user), in the order of the directories."""
    found: dict[str, str] = {}
    for rule in means.settings.rules:
        watched = str(rule.watch_dir)
        if rule.user != EVERYONE or rule.layout == OWNER:
            found[watched] = rule.user if rule.user != EVERYONE else OF_OWNER
            continue
        names = means.look(watched, _directories, watched, depth(rule.layout), means.not_seen)
        for name in names or ():
            whose = owner(rule.layout, name.split("/"))
            if whose is not None:
                found.setdefault(f"{watched.rstrip('/')}/{name}", whose.user)
    return sorted(found.items())


def _directories(
    call: Call, watched: str, levels: int, refused: Callable[[str, str], None]
) -> list[str]:
    return tops(watched, levels, call.pulse, refused)[0]


def _look(means: Means, root: str, nobody: str) -> None:
    """One root.  `nobody`: why no file of it is imported; then it is told once for all."""
    if means.look(root, _there, root) is None:
        return  # which a walk takes for empty
    others = _within(means.settings.rules, root)
    call = means.lanes.calls.at(root)
    refused: list[tuple[str, str]] = []

    def unseen(path: str, why: str) -> None:
        if not means.passed_over(f"{path.rstrip('/')}/any"):
            refused.append((path, why))

    files = walk(root, enters=lambda path: path not in others, call=call, unseen=unseen)
    rest = means.now() - _young(means)  # s since the epoch
    while True:
        some = means.look(root, _next, files, call=call)
        for path, why in refused:
            means.not_seen(path, why)
        refused.clear()
        if not some:
            return
        means.record.looked["disk"] += len(some)
        unknown = [one for one in _unknown(means, some) if _touched(one) <= rest]
        wanted = means.look(root, _wanted, means, unknown) if unknown else None
        for path in wanted or ():
            if nobody:
                means.record.add(Finding(Kind.NO_ROW, root, f"its files wait: {nobody}"))
                return
            why = "the journal has no row for it: DropBox has not met it"
            means.record.add(Finding(Kind.NO_ROW, path, why))


def _there(call: Call, root: str) -> bool:
    """True.  Raises OSError if it is not a directory that can be entered."""
    call.pulse()
    return stat_module.S_ISDIR(os.stat(f"{root.rstrip('/')}/.").st_mode)  # noqa: PTH116


def _next(call: Call, files: Iterator[Found]) -> list[Found]:
    call.pulse()
    return list(islice(files, _AT_ONCE))


def _wanted(call: Call, means: Means, some: Sequence[Found]) -> list[str]:
    """Those that DropBox should have met: nothing says that it passes over them."""
    found = []
    for one in some:
        call.pulse()
        if not means.passed_over(one.path):
            found.append(one.path)
    return found


def _touched(found: Found) -> float:
    """When the file was changed, or came here; s since the epoch."""
    return max(found.stat.mtime_ns, found.stat.ctime_ns) / 1e9


def _young(means: Means) -> float:
    """How old (s) a file must be, so that DropBox should have met it."""
    quiet = max((rule.quiet_period for rule in means.settings.rules), default=0.0)
    return max(YOUNG_S, 2 * means.settings.rescan_interval + quiet)


def _within(rules: Sequence[Rule], root: str) -> set[str]:
    """The directories of other rules below `root`: the nearer rule has their files."""
    below = (str(rule.watch_dir) for rule in rules)
    return {one for one in below if one != root and PurePosixPath(one).is_relative_to(root)}


def _unknown(means: Means, some: Sequence[Found]) -> list[Found]:
    with glance(means.settings.journal_url) as look:
        known = look.known([one.path for one in some]) if look is not None else set()
    return [one for one in some if one.path not in known]
