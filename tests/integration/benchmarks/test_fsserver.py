"""`make bench-fsserver` runs, at its smallest, and tells of both FSServers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fsserver, runs, workloads


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "SETTLED", 0.6)
    monkeypatch.setattr(runs, "CPU_READ", 0.3)
    monkeypatch.setattr(workloads, "size", lambda workload, quick: 5)


def test_each_function_stands_beside_what_it_was_before(tmp_path: Path) -> None:
    output = tmp_path / "told.rst"
    arguments = ["--quick", "--only", "one-by-one", "--repeat", "1", "--output", str(output)]
    assert fsserver.main([*arguments, "--before", fsserver.CHECKOUT]) == 0
    lines = output.read_text(encoding="utf-8").splitlines()
    (total,) = (line.split() for line in lines if line.startswith("CPU, as always"))
    assert all(float(cell) > 0 for cell in total[-2:])
    (look,) = (line.split() for line in lines if line.startswith("watcher.py:Watcher._turn"))
    now, before = look[-2:]
    assert 0 < float(now) <= 20
    assert 0 < float(before) <= 20
    (thread,) = (line.split() for line in lines if line.startswith("monitor "))
    assert "%" in thread


def test_what_was_missed_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsserver, "measured", lambda *arguments: "seldom: 1 missing, 0 twice")
    monkeypatch.setattr(fsserver, "lines", lambda sides: [])
    assert fsserver.main(["--quick", "--only", "seldom", "--repeat", "1"]) == 1
    assert "bench: seldom: 1 missing" in capsys.readouterr().err
