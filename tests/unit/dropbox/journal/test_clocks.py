"""The clock and the time zone of DropBox, on another machine."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from omero_fs_plugin.dropbox.journal.clocks import Clock, DropBoxClock, zone_at

SUMMER = datetime(2026, 7, 1, tzinfo=timezone.utc).timestamp()
WINTER = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
HOUR = 3600

pytestmark = pytest.mark.usefixtures("berlin")


@pytest.mark.parametrize("clock", [Clock(0.0), Clock(-3.5, 7200), Clock(12.0, -12600)])
def test_it_is_noted_and_read(clock: Clock) -> None:
    assert Clock.read(clock.text) == clock


def test_a_note_of_an_older_release_has_no_zone() -> None:
    assert Clock.read("-12.5") == Clock(-12.5)


def test_the_zone_goes_with_the_season() -> None:
    assert (zone_at(SUMMER), zone_at(WINTER)) == (2 * HOUR, HOUR)


@pytest.mark.parametrize(
    ("told", "zone"),
    [
        (None, None),  # nobody knows
        (Clock(0.0), None),
        (Clock(0.0, 2 * HOUR), None),  # ours, so that it changes as ours does
        (Clock(0.0, 0), timezone.utc),
        (Clock(0.0, -9000), timezone(timedelta(seconds=-9000))),
    ],
)
def test_only_another_zone_than_ours_is_told(told: Clock | None, zone: timezone | None) -> None:
    clock = DropBoxClock(lambda: SUMMER)
    clock.differs(told)
    assert clock.zone() == zone


def test_what_is_not_known_now_stays() -> None:
    clock = DropBoxClock(lambda: SUMMER)
    clock.differs(Clock(300.0, 0))
    clock.differs(None)
    assert (clock(), clock.zone()) == (SUMMER + 300, timezone.utc)
