"""The benchmark of growth runs, at its smallest, and its exponent is right."""

from __future__ import annotations

import cProfile
import math
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import running
from benchmarks.growth import flood, table
from benchmarks.growth.__main__ import main
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


@pytest.mark.parametrize(
    ("seconds", "met"),
    [
        ((0.04, 0.16, 0.64), [False]),  # the first alone would say nothing
        ((0.005, 0.02, 0.08), [False]),
        ((0.04, 0.08, 0.16), [True]),
        ((0.0, 0.0, 0.06), [False]),
        ((0.01, 0.02, 0.04), []),
    ],
    ids=["quadratic", "small quadratic", "linear", "from nothing", "too small"],
)
def test_the_largest_size_decides_whether_there_is_an_exponent(
    seconds: tuple[float, ...], met: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = iter(seconds)

    def one(name: str, size: int, directory: Path) -> dict[str, float]:
        return {"seconds": next(costs), "bytes": 0, "done": size}

    monkeypatch.setattr(table, "_one", one)
    outcome = table.measure(tmp_path, 1, ["rules"])
    found = [figure for figure in outcome.figures if "exponent" in figure.text]
    assert [figure.met for figure in found] == met
    assert all(figure.target == table.MOST for figure in found)


def test_several_runs_have_the_median_of_each_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times and bytes of one size have one text, and each run its own directory."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    costs = iter([1.0, 2.0, 4.0, 9.0, 9.0, 9.0, 2.0, 4.0, 8.0])

    def one(name: str, size: int, directory: Path) -> dict[str, float]:
        cost = next(costs)
        return {"seconds": cost, "bytes": cost * 100 * table.MB, "done": size}

    monkeypatch.setattr(table, "_one", one)
    monkeypatch.setattr(running, "on_sigterm", lambda: None)
    output = tmp_path / "out.rst"
    arguments = ["--only", "rules", "--repeat", "3", "--output", str(output)]
    assert main(arguments) == 0
    lines = [line.split("  ") for line in output.read_text("utf-8").splitlines()]
    cells = [[cell.strip() for cell in line if cell] for line in lines]
    figures = {(line[0], line[3]): line[1:3] for line in cells if len(line) > 3}
    assert figures["2,500 rules", "CPU s"] == ["2.00", "1.00 to 9.00"]
    assert figures["10,000 rules", "MB"] == ["800", "400 to 900"]
    assert any(line[0] == ":Runs: 3 of each, in turn. Each figure is the median." for line in lines)


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
    assert all(math.isfinite(figure.value) for figure in outcome.figures)
