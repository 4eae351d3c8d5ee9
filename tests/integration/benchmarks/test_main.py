"""`make bench` runs, at its smallest: a workload with two contenders, a standing tree, cycles."""

from __future__ import annotations

from pathlib import Path

import pytest

import benchmarks.__main__
from benchmarks import runs, workloads


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "size", lambda workload, quick: 5)
    monkeypatch.setattr(benchmarks.__main__, "on_sigterm", lambda: None)
    for name, value in {
        "SETTLED": 0.6,
        "CPU_READ": 0.3,
        "TREE": (2, 2, 3),
        "MILLION": (3, 2, 1),
        "IDLE": 0.1,
        "AFTER_START": 0.1,
        "CYCLES": 3,
        "THREADS_LINGER": 0.0,
    }.items():
        monkeypatch.setattr(runs, name, value)


def test_all_parts(tmp_path: Path) -> None:
    output = tmp_path / "out.rst"
    given = ["--contender", "FSServer", "--contender", "inotify", "--output", str(output)]
    for part in ("one-by-one", "rewrites", "standing", "million", "cycles"):
        given += ["--only", part]
    assert benchmarks.__main__.main(given) == 0
    told = output.read_text(encoding="utf-8")
    for title in (
        "5 files one by one, 10 ms apart",
        "5 known files rewritten",
        "Watching 12 files in 4 directories",
        "Watching 6 files in 6 directories",
        "Left after create, start, stop, destroy",
    ):
        assert f"\n{title}\n~" in told
    figures = told.partition("Figures\n-------\n")[2].splitlines()
    rows = [line.split()[0] for line in figures if line.startswith(("FSServer ", "inotify "))]
    # In the workloads and on the standing tree both, in the others FSServer alone.
    assert rows == ["FSServer", "inotify"] * 3 + ["FSServer", "FSServer"]
