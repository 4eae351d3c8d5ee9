"""How many imports at a time: halved when OMERO is busy, and one more when it is not."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.importing.pace import LONGEST_REST_S, RISE_S, TOGETHER_S, Pace


def test_all_may_begin_while_nothing_is_said() -> None:
    pace = Pace(3)
    assert [pace.may_begin(n, 0.0) for n in range(4)] == [True, True, True, False]
    assert pace.told() == ""


def test_busy_halves_it_and_nothing_begins_for_a_while() -> None:
    pace = Pace(8)
    assert pace.busy("pool error", 0.0) == 1.0
    assert pace.allowed == 4
    assert not pace.may_begin(0, 0.99) and pace.may_begin(0, 1.0)
    assert pace.told() == "OMERO is busy, 4 of 8 imports at a time: pool error"


def test_imports_that_meet_it_together_count_once() -> None:
    pace = Pace(8)
    for at in (0.0, 0.1, 9.9):
        pace.busy("x", at)
    assert pace.allowed == 4
    pace.busy("x", TOGETHER_S)
    assert pace.allowed == 2


def test_one_is_always_left_and_rests_grow_to_their_longest() -> None:
    pace = Pace(8)
    rests = [pace.busy("x", n * 1000.0) for n in range(10)]
    assert rests[:4] == [1.0, 2.0, 4.0, 8.0] and rests[-1] == LONGEST_REST_S
    assert pace.allowed == 1


@pytest.mark.parametrize(("back_off", "rest"), [(0.5, 1.0), (120.0, 120.0)])
def test_omero_may_ask_for_a_longer_rest(back_off: float, rest: float) -> None:
    assert Pace(2).busy("x", 0.0, back_off=back_off) == rest


def test_it_grows_by_one_at_a_time_when_imports_go_through() -> None:
    pace = Pace(4)
    pace.busy("x", 0.0)
    pace.well(1.0)
    assert pace.allowed == 2  # too early
    now = 1.0 + RISE_S
    pace.well(now)
    pace.well(now + 1)
    assert pace.allowed == 3 and pace.told()
    pace.well(now + RISE_S)
    assert pace.allowed == 4 and not pace.told()


def test_a_success_ends_the_row() -> None:
    pace = Pace(4)
    pace.busy("x", 0.0)
    pace.busy("x", 100.0)
    pace.well(200.0)
    assert pace.busy("x", 300.0) == 1.0


def test_one_importer_tells_of_it_until_an_import_went_through() -> None:
    pace = Pace(1)
    pace.busy("x", 0.0)
    assert pace.allowed == 1 and pace.told()
    pace.well(5.0)
    assert not pace.told()
