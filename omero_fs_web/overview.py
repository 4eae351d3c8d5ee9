"""What administrators see: all users, who waits longest, and failures by reason.  Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_REASONS = 20  # the most frequent
_MOST_FILES = 20  # of a fileset that are looked for in its reason
_MOST_REASON = 400  # characters
_NAMED = 5  # users with a directory in trouble, of each


@dataclass(frozen=True)
class Row:
    """One user."""

    user: str
    imported: int
    way: int
    needing: int
    failed: int
    oldest: datetime | None  # since when the oldest one waits
    oldest_name: str
    changed: datetime
    roots: Sequence[Mapping[str, str]]  # directories in trouble


@dataclass(frozen=True)
class Group:
    """The users of one default group, together."""

    name: str
    users: int
    imported: int
    way: int
    needing: int
    failed: int
    oldest: datetime | None  # since when the oldest one waits


@dataclass(frozen=True)
class Overview:
    """All users."""

    rows: Sequence[Row]  # who waits longest first
    groups: Sequence[Group]  # where somebody waits longest first
    reasons: Sequence[tuple[str, int, int]]  # reason, failures, users
    unread: int  # documents that are none of ours


def overview(
    documents: Iterable[tuple[str, Mapping[str, Any] | None]], groups: Mapping[str, str]
) -> Overview:
    """Of each user's name and document; None: it is none that DropBox wrote.

    `groups`: user name -> default group.  Who has none is in the group with the empty name.
    """
    rows, unread = [], 0
    failures: Counter[str] = Counter()
    users: dict[str, set[str]] = {}
    for user, document in documents:
        if document is None:
            unread += 1
            continue
        rows.append(_row(user, document))
        for one in document["filesets"]:
            if one["state"] == "failed":
                reason = _kind(one["reason"], one["files"])
                failures[reason] += 1
                users.setdefault(reason, set()).add(user)
    rows.sort(key=lambda row: (row.oldest is None, row.oldest or row.changed, row.user))
    reasons = [(why, number, len(users[why])) for why, number in failures.most_common(_REASONS)]
    return Overview(rows, _groups(rows, groups), reasons, unread)


def _groups(rows: Sequence[Row], of: Mapping[str, str]) -> list[Group]:
    """`rows` are sorted: who waits longest first.  The groups come in the same order."""
    members: dict[str, list[Row]] = {}
    for row in rows:
        members.setdefault(of.get(row.user, ""), []).append(row)
    return [
        Group(
            name=name,
            users=len(some),
            imported=sum(row.imported for row in some),
            way=sum(row.way for row in some),
            needing=sum(row.needing for row in some),
            failed=sum(row.failed for row in some),
            oldest=some[0].oldest,
        )
        for name, some in members.items()
    ]


def _row(user: str, document: Mapping[str, Any]) -> Row:
    counts, held = document["counts"], document["held_up"]
    waiting = [one for one in document["filesets"] if one["state"] in ("waiting", "queued")]
    oldest = min(waiting, key=lambda one: one["since"], default=None)
    names = oldest["files"] if oldest else ()
    return Row(
        user=user,
        imported=counts["imported"],
        way=max(0, counts["waiting"] + counts["queued"] + counts["importing"] - held),
        needing=counts["failed"] + held,
        failed=counts["failed"],
        oldest=None if oldest is None else _moment(oldest["since"]),
        oldest_name=names[0] if names else "",
        changed=_moment(document["written"]),
        roots=[root for root in document["roots"] if root["trouble"]][:_NAMED],
    )


def _kind(reason: str, files: Sequence[str]) -> str:
    """The reason without the name of the file, so that equal ones are counted together."""
    names = sorted({name for name in files if name}, key=len, reverse=True)[:_MOST_FILES]
    if names:
        # In one pass: what was put in for a name may have another name in it.
        reason = re.sub("|".join(map(re.escape, names)), "the file", reason[:_MOST_REASON])
    return reason[:_MOST_REASON] or "no reason"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()
