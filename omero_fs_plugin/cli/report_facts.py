"""What came in during a period, and what became of it: numbers for a report.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from omero_fs_plugin.dropbox.journal.fates import Fate
from omero_fs_plugin.dropbox.journal.seen import After, Came
from omero_fs_plugin.dropbox.journal.states import OPEN, State

# The longest period (s) that is shown in steps of an hour, and of a day; beyond: of a week.
_BY_HOURS, _BY_DAYS = 2 * 86400.0, 92 * 86400.0


@dataclass(frozen=True)
class Waits:
    """How long filesets took from the moment when they were met until they were imported, in s."""

    median: float
    most: float  # nine of ten took no longer
    longest: float

    @classmethod
    def of(cls, times: Sequence[float]) -> Waits | None:
        """None: nothing was imported."""
        ordered = sorted(times)
        if not ordered:
            return None

        def at(part: float) -> float:
            return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

        return cls(at(0.5), at(0.9), ordered[-1])


@dataclass(frozen=True)
class Part:
    """A part of the period, such as one day."""

    begin: float  # s since the epoch
    imported: int
    wait: float | None  # the median, s; None: nothing was imported


@dataclass(frozen=True)
class Facts:
    """A report in numbers."""

    since: float  # s since the epoch
    until: float
    dropped: int  # filesets met or handed over in this period
    files: int  # of them
    imported: int  # filesets imported in this period, whenever they were met
    size: int  # bytes, of those imported
    skipped: int  # these three: of all that came in or changed, as they are now
    failed: int
    open: int
    waits: Waits | None
    parts: tuple[Part, ...]
    users: tuple[tuple[str, int, int, int], ...]  # name, dropped, imported, failed
    failures: tuple[Came, ...]  # the newest first
    waiting: tuple[Came, ...]  # the oldest first
    moved: int = 0  # filesets whose files were moved after their import, in this period
    deleted: int = 0  # ... or deleted
    left: tuple[After, ...] = ()  # ... or are left where they are; the newest first
    imports: tuple[Came, ...] = field(repr=False, default=())

    @property
    def hourly(self) -> float:
        """Filesets imported in an hour, over the whole period."""
        return self.imported / max((self.until - self.since) / 3600, 1 / 60)


def facts(
    came: Sequence[Came], since: float, until: float, afterwards: Sequence[After] = ()
) -> Facts:
    """The numbers for the period from `since` to `until`, s since the epoch."""

    def within(at: float | None) -> bool:
        return at is not None and since <= at < until

    dropped = [one for one in came if within(one.created)]
    imports = [one for one in came if within(one.imported)]
    now: Counter[State] = Counter(one.state for one in came)
    failures = sorted(
        (one for one in came if one.state is State.FAILED), key=lambda one: -one.changed
    )
    waiting = sorted((one for one in came if one.state in OPEN), key=lambda one: one.created)
    return Facts(
        since=since,
        until=until,
        dropped=len(dropped),
        files=sum(one.files for one in dropped),
        imported=len(imports),
        size=sum(one.size for one in imports),
        skipped=now[State.SKIPPED],
        failed=len(failures),
        open=len(waiting),
        waits=Waits.of([_wait(one) for one in imports]),
        parts=tuple(_parts(imports, since, until)),
        users=tuple(_users(dropped, imports, failures)),
        failures=tuple(failures),
        waiting=tuple(waiting),
        imports=tuple(imports),
        moved=sum(one.ended.fate is Fate.MOVED for one in afterwards),
        deleted=sum(one.ended.fate is Fate.DELETED for one in afterwards),
        left=tuple(
            sorted((one for one in afterwards if one.ended.why), key=lambda one: -one.ended.at)
        ),
    )


def _wait(one: Came) -> float:
    return max(0.0, (one.imported or 0.0) - one.created)


def _users(*lists: Sequence[Came]) -> Iterator[tuple[str, int, int, int]]:
    counted = [Counter(one.user for one in some) for some in lists]
    for user in sorted(set().union(*counted)):
        dropped, imported, failed = (of[user] for of in counted)
        yield user, dropped, imported, failed


def _parts(imports: Sequence[Came], since: float, until: float) -> Iterator[Part]:
    bounds = list(_bounds(since, until))
    ordered = sorted(imports, key=lambda one: one.imported or 0.0)
    at = 0
    for begin, end in zip(bounds, [*bounds[1:], until], strict=True):
        waits = []
        while at < len(ordered) and (ordered[at].imported or 0.0) < end:
            waits.append(_wait(ordered[at]))
            at += 1
        told = Waits.of(waits)
        yield Part(begin, len(waits), told.median if told else None)


def _bounds(since: float, until: float) -> Iterator[float]:
    """The begin of each part: full hours, days or weeks by the clock on the wall."""
    span = until - since
    step = timedelta(hours=1) if span <= _BY_HOURS else timedelta(days=1 if span <= _BY_DAYS else 7)
    first = datetime.fromtimestamp(since)
    if step < timedelta(days=1):
        first = first.replace(minute=0, second=0, microsecond=0)
    else:
        first = first.replace(hour=0, minute=0, second=0, microsecond=0)
    at = first
    while at.timestamp() < until:
        yield at.timestamp()
        at += step
