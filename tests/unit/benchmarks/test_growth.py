"""The benchmark of growth runs, at its smallest, and its exponent is right."""

from __future__ import annotations

import cProfile
import math
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.contenders import BenchmarkError
from benchmarks.growth import flood, table
from benchmarks.growth.subjects import SUBJECTS


@pytest.mark.parametrize("name", SUBJECTS)
def test_each_subject_is_done_whole(name: str, tmp_path: Path) -> None:
    with ExitStack() as after:
        assert SUBJECTS[name].prepare(tmp_path, 20, after)() == 20


@pytest.mark.parametrize("name", SUBJECTS)
def test_each_size_is_twice_the_one_before(name: str) -> None:
    first, second, third = SUBJECTS[name].sizes
    assert (second, third) == (2 * first, 2 * second)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_exponent(power: float) -> None:
    sizes = [100, 200, 400]
    assert table.exponent(sizes, [3 * n**power for n in sizes]) == pytest.approx(power)


def test_n_log_n_is_allowed_and_no_more() -> None:
    for subject in SUBJECTS.values():
        linear = table.exponent(subject.sizes, [n * math.log(n) for n in subject.sizes])
        assert linear < table.MOST < 1.5


def _calls(name: str, size: int, directory: Path) -> int:
    directory.mkdir()
    profile = cProfile.Profile()
    with ExitStack() as after:
        work = SUBJECTS[name].prepare(directory, size, after)
        profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


def test_twice_as_many_rules_take_twice_as_many_calls(tmp_path: Path) -> None:
    fewer, more = (_calls("rules", size, tmp_path / f"{size}") for size in (100, 200))
    assert more < 2.1 * fewer


def test_one_subject_in_a_table(tmp_path: Path) -> None:
    """As a process of its own; one that cannot be measured is told."""
    outcome = table.measure(tmp_path, 500, ["rules"])
    assert outcome.faults == []
    texts = [figure.text for figure in outcome.figures if figure.unit]
    assert texts == ["5 rules", "10 rules", "20 rules"] * 2
    with pytest.raises(BenchmarkError, match="waiting ended with 1"):
        table._one("waiting", 5, tmp_path / "nothing")


def test_a_file_beside_a_flood_is_queued_and_the_flood_too(tmp_path: Path) -> None:
    outcome = flood.measure(tmp_path, 1_000)
    assert [figure.unit for figure in outcome.figures] == ["s"] * len(flood.SIZES)
    assert all(-0.1 < figure.value < 30 for figure in outcome.figures)
