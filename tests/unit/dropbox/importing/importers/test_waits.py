"""When OMERO is asked whether an import has ended."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.importing.importers.waits import FIRST_S, LAST_S, Waits

MB = 1_000_000  # bytes


def _asked(waits: Waits, took: float, size: int = MB) -> list[float]:
    """When (s after the begin) OMERO is asked until it has answered, for an import of `took` s."""
    at = [waits.first(1, size)]
    while at[-1] < took:
        at.append(at[-1] + waits.pause(1, size, at[-1]))
    return at


def _after(took: float, number: int = 5, size: int = MB) -> Waits:
    waits = Waits()
    for _ in range(number):
        waits.took(1, size, took)
    return waits


@pytest.mark.parametrize("took", [0.05, 0.3, 1.3, 20.0, 3600.0])
def test_the_end_of_an_import_like_the_last_ones_is_seen_soon(took: float) -> None:
    asked = _asked(_after(took), took)
    assert asked[-1] - took <= max(FIRST_S, min(LAST_S, 0.03 * took))


@pytest.mark.parametrize("took", [0.05, 0.3, 0.9])
def test_it_takes_few_questions(took: float) -> None:
    assert len(_asked(_after(took), took)) <= 6


@pytest.mark.parametrize("took", [0.0, 0.05, 1.3, 20.0])
def test_the_first_import_of_a_size_ends_late_by_a_tenth_at_most(took: float) -> None:
    asked = _asked(Waits(), took)
    assert asked[0] == 0.0  # it may be there at once
    assert asked[-1] - took <= max(FIRST_S, 0.1 * took)


def test_one_that_fails_early_is_not_waited_for() -> None:
    """The usual hour of its like is no reason to sleep for an hour."""
    asked = _asked(_after(3600.0), 2.5)
    assert asked[-1] <= 2.5 + LAST_S


def test_few_imports_say_nothing() -> None:
    assert _after(10.0, number=2).first(1, MB) == 0.0
    assert _after(10.0, number=3).first(1, MB) == LAST_S


def test_the_fastest_of_the_last_ones_counts() -> None:
    waits = _after(10.0)
    waits.took(1, MB, 0.5)
    assert waits.first(1, MB) == pytest.approx(0.45)
    for _ in range(8):
        waits.took(1, MB, 0.8)
    assert waits.first(1, MB) == pytest.approx(0.72)


def test_other_sizes_have_other_times() -> None:
    waits = _after(0.5)
    assert waits.first(1, 1000 * MB) == 0.0
    assert waits.first(300, MB) == 0.0
