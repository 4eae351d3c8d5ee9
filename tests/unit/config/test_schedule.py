"""omero.fs.window and omero.fs.priority."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from omero_fs_plugin.config.schedule import PRIORITY, WINDOW, Priority, Window

NIGHT = WINDOW.read("20:00-06:00")


def at(hour: int, minute: int = 0) -> float:
    return datetime(2026, 7, 1, hour, minute).timestamp()


@pytest.mark.parametrize(
    ("entry", "spans"),
    [
        ("", ()),
        ("20:00-06:00", ((1200, 360),)),
        ("8:30 - 9:00, 20:00-24:00", ((510, 540), (1200, 1440))),
    ],
)
def test_windows_that_are_taken(entry: str, spans: tuple[tuple[int, int], ...]) -> None:
    assert WINDOW.read(entry) == Window(spans)
    assert WINDOW.read(WINDOW.write(Window(spans))) == Window(spans)


@pytest.mark.parametrize(
    "entry", ["night", "20-06", "25:00-06:00", "20:00-20:00", "24:00-06:00", "20:61-22:00", "20:00"]
)
def test_windows_that_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="times such as 20:00-06:00"):
        WINDOW.read(entry)


@pytest.mark.parametrize(
    ("hour", "minute", "opens"),
    [
        (19, 59, "20:00"),
        (20, 0, ""),
        (23, 59, ""),
        (0, 0, ""),
        (5, 59, ""),
        (6, 0, "20:00"),
        (12, 0, "20:00"),
    ],
)
def test_over_midnight(hour: int, minute: int, opens: str) -> None:
    assert NIGHT.opens(at(hour, minute)) == opens


def test_the_next_of_several_is_told() -> None:
    window = WINDOW.read("12:00-13:00,20:00-24:00")
    assert [window.opens(at(hour)) for hour in (0, 12, 14, 23)] == ["12:00", "", "20:00", ""]
    assert Window().opens(at(3)) == ""


@pytest.mark.usefixtures("berlin")
def test_it_is_the_clock_on_the_wall_in_summer_and_in_winter() -> None:
    begin = datetime(2026, 1, 1, 19, 0, tzinfo=timezone.utc)
    assert NIGHT.opens(begin.timestamp()) == ""  # 20:00
    assert NIGHT.opens((begin - timedelta(minutes=1)).timestamp()) == "20:00"
    summer = datetime(2026, 7, 1, 18, 0, tzinfo=timezone.utc)
    assert NIGHT.opens(summer.timestamp()) == ""


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("entry", "open_at"),
    [
        ("02:00-03:00", ["03:00", "03:15", "03:30", "03:45"]),
        ("02:15-02:45", ["03:15", "03:30"]),
        ("01:30-02:30", ["01:30", "01:45", "03:00", "03:15"]),
        ("03:00-04:00", ["03:00", "03:15", "03:30", "03:45"]),
    ],
)
def test_a_window_in_the_hour_that_is_left_out_in_spring(entry: str, open_at: list[str]) -> None:
    """The clock goes from 2:00 to 3:00."""
    begin = datetime(2026, 3, 28, 23, 30, tzinfo=timezone.utc)  # 0:30
    quarters = [(begin + timedelta(minutes=15 * n)).timestamp() for n in range(16)]
    window = WINDOW.read(entry)
    opens = [datetime.fromtimestamp(one) for one in quarters if not window.opens(one)]
    assert [f"{one:%H:%M}" for one in opens] == open_at


@pytest.mark.usefixtures("berlin")
def test_it_is_the_clock_on_the_wall_of_the_servers_machine() -> None:
    """Importers on another machine go by that, whatever zone their own is in."""
    noon = datetime(2026, 7, 1, 18, 30, tzinfo=timezone.utc).timestamp()
    assert NIGHT.opens(noon) == ""  # 20:30 here
    assert NIGHT.opens(noon, timezone.utc) == "20:00"
    assert NIGHT.opens(noon, timezone(timedelta(hours=9))) == ""  # 3:30


@pytest.mark.usefixtures("berlin")
def test_in_autumn_an_hour_that_comes_twice_is_open_twice() -> None:
    begin = datetime(2026, 10, 24, 23, 0, tzinfo=timezone.utc)  # 1:00, summer time
    hours = [(begin + timedelta(hours=n)).timestamp() for n in range(5)]  # 1, 2, 2, 3, 4
    window = WINDOW.read("02:00-03:00")
    assert [bool(window.opens(one)) for one in hours] == [True, False, False, True, True]


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ("", Priority()),
        ("small", Priority(small=True)),
        ("user:amy,user:zak", Priority(("amy", "zak"))),
        ("small, user:amy lee", Priority(("amy lee",), small=True)),
    ],
)
def test_priorities_that_are_taken(entry: str, wanted: Priority) -> None:
    assert PRIORITY.read(entry) == wanted
    assert PRIORITY.read(PRIORITY.write(wanted)) == wanted


@pytest.mark.parametrize("entry", ["large", "amy", "user:", "user:a/b", "user:amy,user:amy"])
def test_priorities_that_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="small, or user:NAME"):
        PRIORITY.read(entry)


def test_who_is_not_named_comes_after_all_who_are() -> None:
    priority = Priority(("zak", "amy"))
    assert sorted(("kim", "amy", "zak"), key=priority.rank) == ["zak", "amy", "kim"]


class Name(str):
    """A user's name that counts how often it is compared with another."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, str(other))

    def __hash__(self) -> int:
        return str.__hash__(self)


def test_two_thousand_named_users_are_not_compared_with_one_another() -> None:
    """Each import asks for the place of each user who waits."""
    names = [Name(f"user{number}") for number in range(2_000)]
    priority = Priority(tuple(reversed(names)))
    Name.compared = 0
    assert sorted(names, key=priority.rank) == names[::-1]
    assert Name.compared <= 4 * len(names)
    assert PRIORITY.read(PRIORITY.write(priority)) == priority
