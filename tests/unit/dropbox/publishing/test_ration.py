"""How much CPU time documents may take beside imports."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.publishing.ration import Ration

STEP_S = 5.0  # between two looks


def _written(busy: float, costs: float, looks: int, due: int = 500) -> float:
    """s of CPU time for documents, of which `due` wait at each look; `busy`: cores in use."""
    ration, spent = Ration(), 0.0
    for number in range(1, looks + 1):
        ration.look(number * STEP_S, number * STEP_S * busy)
        for _ in range(due):
            if not ration.may:
                break
            ration.spend(costs)
            spent += costs
    return spent


@pytest.mark.parametrize("costs", [0.002, 0.02, 0.2], ids="{} s each".format)
@pytest.mark.parametrize("busy", [0.1, 0.3, 1.0, 2.0], ids="{} cores".format)
def test_it_is_a_small_share_of_the_other_work(busy: float, costs: float) -> None:
    looks = 2000
    spent = _written(busy, costs, looks)
    assert 0.009 < spent / (looks * STEP_S * busy) < 0.0205


def test_some_users_never_wait_while_there_is_little_to_do() -> None:
    assert _written(0.05, 0.02, 30, due=7) == pytest.approx(30 * 7 * 0.02)


def test_very_many_take_little_of_a_core_that_is_idle() -> None:
    assert 0.03 < _written(0.05, 0.02, 200) / (200 * STEP_S) < 0.05  # looks of 5 s


def test_what_was_overspent_is_forgiven_when_the_others_are_done() -> None:
    ration = Ration()
    ration.look(5.0, 5.0)
    ration.spend(60.0)
    ration.look(10.0, 10.0)
    assert not ration.may
    ration.look(15.0, 10.1)
    assert ration.may


def test_a_clock_that_stands_changes_nothing() -> None:
    ration = Ration()
    ration.look(5.0, 5.0)
    ration.spend(60.0)
    ration.look(5.0, 6.0)
    assert not ration.may
