"""How long events are gathered."""

from __future__ import annotations

import pytest

from omero_fs_plugin.monitor.telling.gathering import (
    FIRST,
    LONGEST,
    PAUSE,
    SILENCE,
    WRITES,
    Gathering,
)


def _after(looks: int, step: float = 0.01) -> tuple[Gathering, float]:
    """After so many looks, and the time of the last one."""
    gathering, now = Gathering(), 100.0
    for _ in range(looks):
        now += step
        gathering.looked(now, only_writes=False)
    return gathering, now


def test_it_grows_with_each_look_up_to_a_limit() -> None:
    found = [gathering.seconds(now) for gathering, now in map(_after, range(12))]
    assert found[:5] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST, 16 * FIRST]
    assert found[-4:] == [LONGEST] * 4


def test_a_file_each_10_ms_has_as_many_looks_as_ever() -> None:
    """Looks cost CPU: a thousand such files have at most a tenth more of them."""
    gathering, now, looks = Gathering(), 100.0, 0
    while now < 110.0:
        now += 0.01 + gathering.seconds(now)
        gathering.looked(now, only_writes=False)
        looks += 1
    assert looks < 1.1 * 10.0 / (0.01 + LONGEST)


@pytest.mark.parametrize("looks", [0, 1, 1000])
def test_after_silence_what_comes_is_told_at_once(looks: int) -> None:
    gathering, now = _after(looks)
    later = now + 1.01 * SILENCE
    assert (gathering.seconds(later), gathering.calm(later)) == (FIRST, True)
    gathering.looked(later, only_writes=False)
    assert gathering.seconds(later) == 2 * FIRST


def test_under_load_nothing_is_told_at_once() -> None:
    gathering, now = _after(20)
    assert not gathering.calm(now + SILENCE / 2)


def test_the_longer_there_are_only_writes_the_longer_they_are_gathered() -> None:
    gathering, found = Gathering(), []
    for n in range(10):
        found.append(gathering.writes(0.0))
        gathering.looked(100.0 + n, only_writes=True)
    assert found[:4] == [0.0, FIRST, 2 * FIRST, 4 * FIRST]
    assert found[-1] == WRITES
    assert gathering.writes(PAUSE) == FIRST  # what comes now may be the close
    gathering.looked(200.0, only_writes=False)
    assert gathering.writes(0.0) == 0.0


def test_a_file_that_is_written_for_long_is_no_load() -> None:
    gathering, now = _after(20)
    for n in range(100):
        gathering.looked(now + n / 10, only_writes=True)
    assert gathering.calm(now + 10.0)
