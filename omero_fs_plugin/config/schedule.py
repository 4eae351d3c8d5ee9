"""When imports begin, and which first: omero.fs.window and omero.fs.priority.  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cached_property

from .kinds import Kind
from .lists import ITEMS, items, joined, quoted

_DAY = 24 * 60  # minutes
_HOUR = 3600  # s
_SPAN = re.compile(r"([0-2]?\d):([0-5]\d)\s*-\s*([0-2]?\d):([0-5]\d)")
_SPANS = "times such as 20:00-06:00, with commas between; empty: always"
_ORDER = "small, or user:NAME, or several of these with commas between; empty: in turns"
_USER = "user:"


@dataclass(frozen=True)
class Window:
    """The times of day at which imports begin, by the clock of the server's machine.

    In the night in which the clock leaves out an hour, what would lie in it is an hour later: else
    a short window would not open at all.
    """

    spans: tuple[tuple[int, int], ...] = ()  # minutes of the day: from, and up to; none: always

    def opens(self, at: float, zone: tzinfo | None = None) -> str:
        """When imports begin again, as 20:00; empty if they begin at `at` (s since the epoch).

        `zone`: that of the server's machine, if it is not that of this one.
        """
        if not self.spans:
            return ""
        local = datetime.fromtimestamp(at, zone)
        minute = 60 * local.hour + local.minute
        left_out = local - datetime.fromtimestamp(at - _HOUR, zone) - timedelta(seconds=_HOUR)
        earlier = (minute - left_out // timedelta(minutes=1)) % _DAY
        now = (minute, earlier) if left_out > timedelta() else (minute,)
        if any(_within(one, span) for one in now for span in self.spans):
            return ""
        first = min(self.spans, key=lambda span: (span[0] - minute) % _DAY)[0]
        return _clock(first)


def _within(minute: int, span: tuple[int, int]) -> bool:
    begin, end = span
    if begin < end:
        return begin <= minute < end
    return minute >= begin or minute < end  # over midnight


@dataclass(frozen=True)
class Priority:
    """Which filesets come first.  Without any, users take turns and each one's oldest is first."""

    users: tuple[str, ...] = ()  # before all others, in this order
    small: bool = False  # each user's small filesets before the large ones

    @cached_property
    def _places(self) -> dict[str, int]:
        return {user: place for place, user in enumerate(self.users)}

    def rank(self, user: str) -> int:
        """The place of `user`; equal for all who are not named."""
        return self._places.get(user, len(self.users))


def _window(entry: str) -> Window:
    spans = []
    for item in items(entry):
        found = _SPAN.fullmatch(item)
        if found is None:
            raise ValueError(_SPANS)
        hours = [int(number) for number in found.groups()]
        begin, end = 60 * hours[0] + hours[1], 60 * hours[2] + hours[3]
        if begin >= _DAY or end > _DAY or begin == end:
            raise ValueError(_SPANS)
        spans.append((begin, end))
    return Window(tuple(spans))


def _write_window(value: Window) -> str:
    return joined((f"{_clock(begin)}-{_clock(end)}" for begin, end in value.spans), ITEMS)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _priority(entry: str) -> Priority:
    users: dict[str, None] = {}  # in their order
    small = False
    for item in items(entry):
        name = item.removeprefix(_USER).strip()
        if item == "small":
            small = True
        elif item.startswith(_USER) and name and "/" not in name and name not in users:
            users[name] = None
        else:
            raise ValueError(_ORDER)
    return Priority(tuple(users), small)


def _write_priority(value: Priority) -> str:
    words = [quoted(f"{_USER}{name}") for name in value.users]
    return joined([*words, *(["small"] if value.small else [])], ITEMS)


WINDOW = Kind("times of day", _window, _write_window)
PRIORITY = Kind("small | user:NAME", _priority, _write_priority)
