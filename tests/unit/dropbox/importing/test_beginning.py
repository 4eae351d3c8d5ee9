"""For how long OMERO counts as starting."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.importing.beginning import PATIENCE_S, Beginning


@pytest.fixture
def beginning() -> Beginning:
    begun = Beginning()
    begun.begin(100.0)
    return begun


def test_it_is_told_since_when(beginning: Beginning) -> None:
    assert beginning.lasts("sessions are refused", 112.0) == 12.0


def test_also_if_there_is_nothing_to_import(beginning: Beginning) -> None:
    beginning.not_up = "nobody listens"
    assert beginning.lasts("", 112.0) == 12.0


@pytest.mark.parametrize(("age", "starting"), [(PATIENCE_S - 0.1, True), (PATIENCE_S, False)])
def test_not_for_ever(beginning: Beginning, age: float, starting: bool) -> None:
    assert (beginning.lasts("away", 100.0 + age) is not None) is starting


def test_an_omero_that_answers_is_not_starting(beginning: Beginning) -> None:
    assert beginning.lasts("", 101.0) is None


def test_once_it_has_imported_it_is_away_and_not_starting(beginning: Beginning) -> None:
    beginning.went()
    assert beginning.lasts("away", 101.0) is None


def test_before_the_lease_is_ours_nothing_is_said() -> None:
    assert Beginning().lasts("away", 1.0) is None
