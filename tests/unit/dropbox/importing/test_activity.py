"""For how long an import has shown no sign of life, whatever anybody does to a clock."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.importing.activity import WATCH_S, Look, Rest, Signs, Watch

NOON = 1_700_000_000.0  # s since the epoch
LIMIT = 610.0  # s


class OMERO:
    """An import that began at noon, as OMERO shows it, and the two clocks."""

    def __init__(self) -> None:
        self.passed = 0.0  # s since noon
        self.set_by = 0.0  # s that somebody has set OMERO's clock by
        self.started = NOON - 5_000.0
        self.logged = 0
        self.watch = Watch(lambda: 77.0 + self.passed)

    def rest(self, seconds: float = 0.0) -> Rest:
        """What is known of it after so many seconds more."""
        self.passed += seconds
        signs = {1: Signs(begun=NOON, told=True, logged=self.logged)}
        now = NOON + self.passed + self.set_by
        # Nobody has set our own clock.
        rest = self.watch.rest(1, Look(now, self.started, signs, ahead=-self.set_by))
        assert rest is not None
        return rest


@pytest.fixture
def omero() -> OMERO:
    return OMERO()


@pytest.mark.parametrize("by", [-86_400.0, -3600.0, 3600.0, 86_400.0, 10.0**9])
def test_a_clock_that_is_set_while_we_watch_changes_nothing(omero: OMERO, by: float) -> None:
    assert not omero.rest(10).over(LIMIT)
    omero.set_by = by
    assert not omero.rest(10).over(LIMIT)
    assert not omero.rest(LIMIT - 21).over(LIMIT)
    assert omero.rest(2).over(LIMIT)


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
def test_a_sign_of_life_counts_whatever_the_clock_says(omero: OMERO, by: float) -> None:
    omero.rest(500)
    omero.logged, omero.set_by = 1, by
    assert not omero.rest(200).over(LIMIT)
    assert not omero.rest(LIMIT - 1).over(LIMIT)
    assert omero.rest(1).over(LIMIT)


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
def test_a_clock_that_is_set_makes_nothing_younger_or_older(omero: OMERO, by: float) -> None:
    """Only what was begun after the journal knew the file may be ours."""
    begun = omero.rest(100).begun
    omero.set_by = by
    assert omero.rest(10).begun == begun
    omero.logged = 1  # it goes on
    assert omero.rest(10).begun == begun


def test_one_that_seems_to_be_begun_later_than_now_may_be_of_any_age(omero: OMERO) -> None:
    """A DropBox that has just started sees it first after OMERO's clock was set back."""
    omero.set_by = -3600.0
    assert omero.rest(100).begun < NOON - 10**6


def test_one_that_was_quiet_for_long_is_watched_for_a_while_all_the_same(omero: OMERO) -> None:
    """A DropBox that has just started sees it so, also if only the clock was set."""
    omero.set_by = 10 * LIMIT
    assert not omero.rest(1).over(LIMIT)
    assert not omero.rest(WATCH_S - 1).over(LIMIT)
    assert omero.rest(1).over(LIMIT)


def test_one_from_before_the_start_of_omero_has_ended(omero: OMERO) -> None:
    omero.started = NOON + 5
    assert omero.rest(10).over(LIMIT)


def test_a_clock_that_was_set_back_since_the_start_ends_nothing(omero: OMERO) -> None:
    """As after a start by a wrong clock, which is set right before the import begins."""
    omero.started = NOON + 3600
    assert not omero.rest(10).over(LIMIT)
    assert omero.rest(LIMIT).over(LIMIT)


def test_not_even_when_the_clock_has_come_to_the_time_of_that_start(omero: OMERO) -> None:
    """OMERO started with a clock an hour ahead, and the import takes longer than that."""
    omero.started = NOON + 3600
    assert not omero.rest(600).ended
    omero.logged = 1
    assert not omero.rest(3600).ended
    omero.started = NOON + 5000  # a start after that
    assert omero.rest(3600).ended


def test_the_start_that_was_told_has_not_ended_whatever_its_clock_said() -> None:
    """Nobody looked while OMERO's clock was before that start."""
    signs = {1: Signs(begun=NOON, told=True)}
    for told_at, latest, ended in ((3, 3, False), (3, 4, True), (0, 3, True), (0, 0, True)):
        found = Look(NOON + 3700, NOON + 3600, signs, start=latest)
        rest = Watch(lambda: 77.0).rest(1, found, told_at)
        assert rest is not None
        assert rest.ended is ended, (told_at, latest)
