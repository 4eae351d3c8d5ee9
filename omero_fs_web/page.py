"""What the page says of a user's document: one sentence, what needs the user, and so on.  Pure.

All times are in s since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from omero_fs_plugin.dropbox.publishing.document import in_omero
from omero_fs_plugin.dropbox.publishing.heartbeat import Heard
from omero_fs_plugin.dropbox.publishing.written import is_time

NEEDS, UNDER_WAY, IMPORTED, SKIPPED = "needs", "way", "imported", "skipped"
SHOWS = ("", NEEDS, UNDER_WAY, IMPORTED, SKIPPED)
_OF_STAND = {
    "failed": NEEDS,
    "held up": NEEDS,
    "importing": UNDER_WAY,
    "queued": UNDER_WAY,
    "settling": UNDER_WAY,
    "imported": IMPORTED,
    "skipped": SKIPPED,
}
_WAY = {
    "importing": "is being imported",
    "queued": "waits for its turn",
    "settling": "waits until nobody writes to it any more",
}
_MOST_LEFT_S = 86400.0  # a longer estimate is not told

# What a reason has in it -> what it means for a microscopist, and what to do.  The first counts.
_WORDS: tuple[tuple[str, str, str], ...] = (
    (
        r"^waits for .* which is in its quiet period|^waits for the end of an",
        "Other files of this set are still being written.",
        "Nothing: it goes on by itself.",
    ),
    (
        r"^waits for ",
        "Some files of this set are missing.",
        "Copy the missing files to the same place. The set is imported when it is whole.",
    ),
    (r"omero-fs\.toml", "Its sidecar omero-fs.toml is wrong.", "Mend omero-fs.toml beside it."),
    (
        r"cut short|is empty$|not written|has no end yet|is not whole|promises \d+ bytes",
        "The file is not whole.",
        "Copy it again, if no program is writing it any more.",
    ),
    (
        r"Permission denied|cannot be read by the server",
        "The server may not read the file.",
        "Let the server read it, or ask your administrator.",
    ),
    (
        r"no OMERO user|may not import|not a member|inactive",
        "Your account may not import there.",
        "Ask your administrator.",
    ),
    (
        r"OMERO is (away|down)|cannot be reached",
        "OMERO did not answer.",
        "Nothing: it is tried again by itself.",
    ),
    (
        r"no space|disk is full|No space left",
        "The server has no room left.",
        "Tell your administrator. It goes on when there is room.",
    ),
    (
        r"is not there$|does not answer",
        "The files cannot be found now.",
        "Is the share away, or were the files moved? Ask your administrator.",
    ),
    (
        r"^its reader: |error-on-init|import-request-failure|Exception|[Ii]nvalid"
        r"|unknown file format",
        "OMERO cannot read this file.",
        "Is it an image, and does it open on your own computer? Copy a good one over it, or "
        "forget it.",
    ),
)
_OTHERS = ("It could not be imported.", "See the technical reason, or ask your administrator.")


@dataclass(frozen=True)
class Item:
    """One fileset on the page."""

    id: int  # of the journal
    group: str  # NEEDS and so on
    failed: bool
    name: str  # its first file, from the user's directory on
    others: tuple[str, ...]  # its other files that are named
    more: int  # files that are not named
    says: str  # in words for a microscopist
    todo: str  # what to do; empty: nothing
    reason: str  # technical
    since: datetime
    until: datetime | None  # it fails then if nothing happens
    percent: int | None  # of its bytes that are in OMERO
    progress: str  # as DropBox tells it
    left: str  # an estimate, in words; empty: none
    images: tuple[int, ...]
    more_images: int
    fileset: int | None  # its id in OMERO
    asked: str = ""  # what the user has asked for and DropBox has not answered yet
    answer: str = ""  # what DropBox answered last
    dataset: int | None = None  # of its first image, as the user may see it
    dataset_name: str = ""

    # For the rows, of which there are many: a filter of the template takes ten times as long.

    @property
    def moment(self) -> str:
        """When it came to its state, for programs."""
        return self.since.isoformat()

    @property
    def when(self) -> str:
        """When it came to its state, for people."""
        return f"{self.since.day} {self.since:%B, %H:%M}"

    @property
    def count(self) -> int:
        """Its images, all of them."""
        return len(self.images) + self.more_images


@dataclass(frozen=True)
class Page:
    """All that the page says."""

    sentence: str
    heard: str  # since when nothing was heard; empty: DropBox and FSServer are there
    needs: Sequence[Item] = ()
    under_way: Sequence[Item] = ()
    today: Sequence[Item] = ()
    earlier: Sequence[Item] = ()
    skipped: Sequence[Item] = ()
    roots: Sequence[Mapping[str, str]] = ()  # user's directories that are in trouble
    shown: int = 0  # filesets that match the search
    known: int = 0  # filesets in the document
    total: int = 0  # filesets of the user, in all
    asked: bool = False  # whether there is a search
    changed: datetime | None = None
    images: tuple[int, ...] = field(default=())


def page_of(
    document: Mapping[str, Any],
    sign: Heard | None,
    *,
    now: float,
    query: str = "",
    show: str = "",
    asked: Mapping[int, str] | None = None,
) -> Page:
    """The page for a document that was `parsed`.  `asked`: fileset -> the wish without answer."""
    answers = {one["id"]: one["answer"] for one in document.get("answers", ())}
    items = [_item(one, now, asked or {}, answers) for one in document["filesets"]]
    wanted = [one for one in items if _matches(one, query) and (not show or one.group == show)]
    midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    of = {group: [one for one in wanted if one.group == group] for group in SHOWS}
    today: list[Item] = []
    earlier: list[Item] = []
    for one in of[IMPORTED]:
        (today if one.since.replace(tzinfo=None) >= midnight else earlier).append(one)
    return Page(
        sentence=sentence(document),
        heard=silence(sign, document, now),
        # What the user can mend comes before what waits.
        needs=sorted(of[NEEDS], key=lambda one: not one.failed),
        under_way=of[UNDER_WAY],
        today=today,
        earlier=earlier,
        skipped=of[SKIPPED],
        roots=[root for root in document["roots"] if root["trouble"]],
        shown=len(wanted),
        known=len(items),
        total=sum(document["counts"].values()),
        asked=bool(query or show),
        changed=_moment(document["written"]),
        images=tuple(one.images[0] for one in today if one.images),
    )


def placed(page: Page, datasets: Mapping[int, tuple[int, str]]) -> Page:
    """`page` with the datasets of today's images.  `datasets`: image -> id and name."""
    today = []
    for one in page.today:
        dataset, name = datasets.get(one.images[0], (None, "")) if one.images else (None, "")
        today.append(replace(one, dataset=dataset, dataset_name=name))
    return replace(page, today=today)


def sentence(document: Mapping[str, Any]) -> str:
    """How all is, in one sentence."""
    counts = document["counts"]
    total = sum(counts.values())
    held = document["held_up"]
    needing = counts["failed"] + held
    way = max(0, counts["waiting"] + counts["queued"] + counts["importing"] - held)
    if not total:
        return "You have dropped nothing yet."
    sets = f"{total} drop" if total == 1 else f"{total} drops"
    needs = "1 needs you" if needing == 1 else f"{needing} need you"
    if not way and not needing:
        done = f"{counts['imported']} of your {sets} are in OMERO"
        return f"{done}; nothing is on its way." if total > 1 else f"{sets}, and it is done."
    if total == 1:
        return "It needs you." if needing else "It is still on the way."
    verb = "are" if way > 1 else "is"
    moving = f"{way or 'none'} of your {sets} {verb} still on the way".capitalize()
    return f"{moving}; {needs if needing else 'nothing needs you'}."


def silence(sign: Heard | None, document: Mapping[str, Any], now: float) -> str:
    """Since when nothing was heard of DropBox, or by it of FSServer; empty if both are there."""
    if sign is not None and not sign.silent(now):
        if sign.unwatched is None:
            return ""
        since = f"{_moment(sign.unwatched):%d %B, %H:%M:%S}"
        return (
            f"FSServer has not been heard since {since}. New files may be found later than usual."
        )
    last = document["written"] if sign is None else sign.at
    return f"DropBox has not been heard since {_moment(last):%d %B, %H:%M:%S}."


def _item(
    one: Mapping[str, Any], now: float, asked: Mapping[int, str], answers: Mapping[int, str]
) -> Item:
    stand, reason = one["stand"], one["reason"]
    group = _OF_STAND.get(stand, SKIPPED)
    says, todo = _words(stand, group, reason)
    files = one["files"] or [f"drop {one['id']}"]
    percent = _percent(one["progress"])
    until: Any = one.get("until")
    return Item(
        id=one["id"],
        group=group,
        failed=stand == "failed",
        name=files[0],
        others=tuple(files[1:]),
        more=one["more_files"],
        says=says,
        todo=todo,
        reason=reason,
        since=_moment(one["since"]),
        until=_moment(float(until)) if is_time(until) else None,
        percent=percent,
        progress=one["progress"],
        left=_left(percent, now - one["since"]) if stand == "importing" else "",
        images=tuple(one["images"]),
        more_images=_count(one.get("more_images")),
        fileset=in_omero(one),
        asked=asked.get(one["id"], ""),
        answer=answers.get(one["id"], ""),
    )


def _words(stand: str, group: str, reason: str) -> tuple[str, str]:
    if group == NEEDS:
        for pattern, says, todo in _WORDS:
            if re.search(pattern, reason):
                missing = re.match(r"waits for (.*?)(, which is .*)?$", reason, re.DOTALL)
                return (f"{says[:-1]}: {missing[1]}" if missing else says), todo
        return _OTHERS
    if group == UNDER_WAY:
        return _WAY[stand], ""
    return (f"left out: {reason}" if reason else "left out") if group == SKIPPED else "", ""


def _matches(one: Item, query: str) -> bool:
    wanted = query.casefold().strip()
    return not wanted or any(wanted in name.casefold() for name in (one.name, *one.others))


def _percent(progress: str) -> int | None:
    found = re.match(r"(\d{1,18}) of (\d{1,18})\b", progress, re.ASCII)
    if not found or not int(found[2]):
        return None
    return min(100, 100 * int(found[1]) // int(found[2]))


def _left(percent: int | None, age: float) -> str:
    if not percent or percent >= 100 or age < 5:
        return ""
    left = age * (100 - percent) / percent
    if left > _MOST_LEFT_S:
        return ""
    return f"about {left:.0f} s left" if left < 120 else f"about {left / 60:.0f} min left"


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()
