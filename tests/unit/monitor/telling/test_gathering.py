"""How long events are gathered."""

from __future__ import annotations

import pytest

from omero_fs_plugin.monitor.telling.gathering import (
    AMONG,
    FEW,
    FIRST,
    LONGEST,
    MANY,
    PAUSE,
    SPAN,
    WRITES,
    Gathering,
)

OF_A_FILE = 1  # event: it comes, is written, is closed


def _after(files: int, apart: float) -> tuple[Gathering, float]:
    """After this many files, each of which is looked at, and the time of the last look."""
    gathering, now = Gathering(), 100.0
    for _ in range(files):
        now += apart
        gathering.looked(now, events=OF_A_FILE, writes=0)
    return gathering, now


@pytest.mark.parametrize("files", [0, 1, 1000])
@pytest.mark.parametrize("apart", [0.01, 0.1, 10.0])
def test_files_that_do_not_come_fast_are_told_at_once_each(files: int, apart: float) -> None:
    gathering, now = _after(files, apart)
    assert (gathering.seconds(now), gathering.rest(now)) == (FIRST, 0.0)


def test_it_grows_with_what_is_going_on_up_to_a_limit() -> None:
    found = []
    for rate in (FEW / 2, FEW, (FEW + MANY) / 2, MANY, 100 * MANY):
        gathering, now = _after(1000, OF_A_FILE / rate)
        found.append(gathering.seconds(now))
    assert found == sorted(found)
    assert (found[0], found[-1]) == (FIRST, LONGEST)
    assert FIRST < found[2] < LONGEST


def test_load_is_over_soon_after_it() -> None:
    gathering, now = _after(1000, 0.0001)
    later = now + 5 * SPAN
    assert (gathering.seconds(later), gathering.rest(later)) == (FIRST, 0.0)


def test_a_look_that_took_long_is_followed_by_the_next_at_once() -> None:
    gathering, now = _after(1000, 0.0001)
    assert gathering.seconds(now) == LONGEST
    assert gathering.seconds(now + LONGEST / 2) == pytest.approx(LONGEST / 2)
    assert gathering.seconds(now + LONGEST) == FIRST


def test_under_load_the_next_look_comes_without_an_event() -> None:
    gathering, now = _after(1000, 0.0001)
    assert gathering.rest(now) == LONGEST
    assert gathering.rest(now + LONGEST / 2) == pytest.approx(LONGEST / 2)
    assert gathering.rest(now + LONGEST) == 0.0  # it has found nothing
    gathering, now = _after(1000, 2 / MANY)
    assert gathering.rest(now) == 0.0  # it waits for an event


def test_a_look_at_many_is_load() -> None:
    gathering = Gathering()
    gathering.looked(100.0, events=1000, writes=0)
    assert gathering.rest(100.0) == LONGEST
    assert gathering.seconds(100.0) == LONGEST


def test_the_longer_there_are_only_writes_the_longer_they_are_gathered() -> None:
    gathering, found = Gathering(), []
    for n in range(12):
        found.append(gathering.writes(0.0))
        gathering.looked(100.0 + n, events=5, writes=5)
    assert found[:4] == [0.0, FIRST, 2 * FIRST, 4 * FIRST]
    assert found[-1] == WRITES
    assert gathering.writes(0.0, alone=False) == AMONG
    assert gathering.writes(PAUSE) == FIRST  # what comes now may be the close
    gathering.looked(200.0, events=1, writes=0)
    assert gathering.writes(0.0) == 0.0


def test_a_file_that_is_written_for_long_is_no_load() -> None:
    gathering, now = Gathering(), 100.0
    for n in range(100):
        gathering.looked(now + n / 1000, events=100, writes=100)
    assert gathering.rest(now + 0.1) == 0.0
    assert gathering.seconds(now + 0.1) == FIRST
