"""What became of every file below some directories: counts, and what needs attention."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from omero_fs_plugin.config.layout import GROUP_USER
from omero_fs_plugin.config.settings import EVERYONE, Rule, Settings, is_by_owner
from omero_fs_plugin.dropbox.journal.glance import Glance
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.situation import standing, without_paths
from omero_fs_plugin.dropbox.watching.rescan import top as listed
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.site import printable
from omero_fs_plugin.stores import is_store

from .below import above, all_below
from .disks import Disks, Silent
from .explain_facts import user_at, whose
from .passed_over import Users, rule_around, why_passed_over


def directories_of(user: str, settings: Settings, disks: Disks) -> list[str]:
    """The directories that are watched for this user, and are there."""
    tops = [
        directory
        for rule in settings.rules
        if rule.user == user or (rule.user == EVERYONE and _is_one_name(user))
        for directory in _of_rule(rule, user, disks)
    ]
    there = [top for top in tops if _may_be_there(top, disks)]
    if not there:
        raise ConfigurationError(
            f"{printable(user)}: no such user has a directory here: "
            f"{', '.join(map(printable, tops)) or 'nothing is watched for such a name'}"
        )
    return there


def _of_rule(rule: Rule, user: str, disks: Disks) -> list[str]:
    """The directories of this user by one rule."""
    watched = str(rule.watch_dir)
    if rule.user != EVERYONE:
        return [watched]
    if is_by_owner(rule):
        return [watched]
    if rule.layout != GROUP_USER:
        return [f"{watched}/{user}"]
    try:
        groups, _ = disks.ask(watched, lambda call: listed(watched, call.pulse))
    except OSError:
        groups = ["*"]
    return [f"{watched}/{group}/{user}" for group in groups]


def _is_one_name(user: str) -> bool:
    """Whether a directory can have this name.  A path would lead somewhere else."""
    return "/" not in user and user not in (".", "..")


def _may_be_there(top: str, disks: Disks) -> bool:
    """Whether a directory is there, over links too, or nobody answers."""
    try:
        return disks.ask(top, lambda call: os.path.isdir(top))  # noqa: PTH112
    except Silent:
        return True


@dataclass
class _Counted:
    """What became of the files of some directories."""

    counts: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)  # reason -> a file that it concerns
    attention: dict[int, dict[str, Any]] = field(default_factory=dict)
    files: int = 0


def all_of(
    tops: list[str],
    settings: Settings,
    look: Glance | None,
    users: Users,
    disks: Disks,
    of_user: str | None = None,
) -> dict[str, Any]:
    """`of_user`: only this user's, where users share a directory."""
    found = _Counted()
    for top in tops:
        known = look.below(top) if look is not None else {}
        unlisted: dict[str, str] = {}
        for path in all_below(top, unlisted, disks):
            if path in unlisted:
                found.passed_over[unlisted[path]] += 1
                found.first.setdefault(unlisted[path], path)
                continue
            seen = known.get(path) or next((known[s] for s in above(path) if s in known), None)
            if of_user is not None and is_by_owner(rule := rule_around(path, settings)):
                assert rule is not None
                if of_user != (seen.user if seen is not None else user_at(path, rule, disks)):
                    continue
            found.files += 1
            _count(path, seen, settings, look, found, users, disks)
    return {
        "directories": tops,
        "files": found.files,
        "counts": dict(found.counts),
        "passed_over": [
            {"reason": reason, "files": number, "for_example": found.first[reason]}
            for reason, number in found.passed_over.most_common()
        ],
        "attention": list(found.attention.values()),
    }


def _count(
    path: str,
    seen: Seen | None,
    settings: Settings,
    look: Glance | None,
    found: _Counted,
    users: Users,
    disks: Disks,
) -> None:
    if seen is None:
        try:
            why = disks.ask(path, lambda call: why_passed_over(path, settings))
        except Silent as silent:
            why = str(silent.strerror)
        why = why or users.why_none(whose(path, settings, disks)["user"])
        found.counts["passed over" if why else "not met yet"] += 1
        if why:
            found.passed_over[why] += 1
            found.first.setdefault(why, path)
        return
    stands = standing(seen, settings, look.now() if look is not None else 0.0)
    stand = str(stands.stand)
    if stand in ("settling", "queued", "importing"):
        stand = "on their way"
    found.counts[stand] += 1
    if stand in ("failed", "held up"):
        found.attention.setdefault(
            seen.id,
            {
                "id": seen.id,
                "path": seen.path if is_store(seen.path) else path,
                "stand": stand,
                "reason": without_paths(stands.what, seen.files, seen.root),
                "remedy": stands.remedy,
            },
        )
    elif stand == "skipped":
        found.passed_over[stands.what] += 1
        found.first.setdefault(stands.what, path)
