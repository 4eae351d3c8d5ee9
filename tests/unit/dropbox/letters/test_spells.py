"""When somebody is told, for any order of events and looks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.letters.spells import LONGEST, Spells

INTERVAL = 10.0


def due(spells: Spells, now: float) -> list[str]:
    return [person for person, _ in spells.due(now, INTERVAL)]


def test_at_the_exact_end_of_the_quiet_spell() -> None:
    spells = Spells()
    spells.heard("amy", 1, 100.0, 100.0)
    spells.heard("amy", 2, 105.0, 105.0)
    assert due(spells, 114.9) == []
    ((person, spell),) = spells.due(115.0, INTERVAL)
    assert (person, spell.first, spell.last, spell.through) == ("amy", 100.0, 105.0, 2)
    spells.told("amy")
    assert not spells and due(spells, 1_000.0) == []


def test_one_person_waits_for_no_other() -> None:
    spells = Spells()
    spells.heard("amy", 1, 100.0, 100.0)
    spells.heard("zak", 2, 109.0, 109.0)
    assert due(spells, 110.0) == ["amy"]


def test_a_clock_that_is_set_back_delays_by_one_interval_at_most() -> None:
    spells = Spells()
    spells.heard("amy", 1, 100_000.0, 100_000.0)
    assert due(spells, 50.0) == []
    assert due(spells, 60.0) == ["amy"]


@given(st.lists(st.floats(0.0, 9.0), min_size=1, max_size=60))
def test_nobody_waits_longer_than_it_is_said(pauses: list[float]) -> None:
    """However the events come, the first of them is told within LONGEST intervals."""
    spells, now, first = Spells(), 0.0, 0.0
    for number, pause in enumerate(pauses):
        now += pause
        spells.heard("amy", number, now, now)
        if due(spells, now):
            assert now - first >= INTERVAL
            spells.told("amy")
            first = now
            spells.heard("amy", number, now, now)
        assert now - first < LONGEST * INTERVAL + 9.0
