"""Stores that change again and again: each further revision within a day rests twice as long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.settling.often import DAY_S, LONGEST_S, Often

STORE = "/in/amy/a.zarr/"
QUIET = 60.0


@pytest.mark.parametrize(
    ("queued", "rests"), [(0, 60.0), (1, 60.0), (2, 120.0), (3, 240.0), (8, 7680.0), (9, LONGEST_S)]
)
def test_each_further_time_it_rests_twice_as_long(queued: int, rests: float) -> None:
    often = Often()
    for time in range(queued):
        often.queued(STORE, float(time))
    assert often.rest(STORE, QUIET, 100.0) == rests
    assert often.rest("/in/amy/b.zarr/", QUIET, 100.0) == QUIET


def test_after_a_day_without_a_change_it_rests_as_ever() -> None:
    often = Often()
    for time in range(5):
        often.queued(STORE, float(time))
    assert often.rest(STORE, QUIET, 4.0 + DAY_S) == QUIET
    often.queued("/in/amy/b.zarr/", 4.0 + DAY_S)
    assert list(often._queued) == ["/in/amy/b.zarr/"], "what is over needs no memory"


@given(st.floats(0, 10 * DAY_S), st.integers(0, 10_000))
def test_it_never_rests_for_less_than_its_rule_says_nor_for_ever(quiet: float, times: int) -> None:
    often = Often()
    for time in range(times):
        often.queued(STORE, float(time))
    assert quiet <= often.rest(STORE, quiet, float(times)) <= max(quiet, LONGEST_S)


def test_a_writer_that_goes_on_all_day_is_imported_a_few_times() -> None:
    """A chunk every five minutes, for ten hours: it would be 120 revisions."""
    often, imports, now = Often(), 0, 0.0
    pause = 300.0
    while now < 10 * 3600:
        if often.rest(STORE, QUIET, now) <= pause:
            often.queued(STORE, now)
            imports += 1
        now += pause
    assert imports == 4
