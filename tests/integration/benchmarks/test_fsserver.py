"""`make bench-fsserver` runs, at its smallest, and tells of both FSServers; and it ends whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks import fsserver, noted, runs, workloads

PATIENCE_S = 60.0


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


def test_where_calls_cannot_be_noted_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from Python 3.12 on, where a second thread may have no profiler."""
    monkeypatch.setattr(sys, "monitoring", object(), raising=False)
    output = tmp_path / "told.rst"
    arguments = ["--quick", "--only", "one-by-one", "--repeat", "1", "--output", str(output)]
    assert fsserver.main(arguments) == 1
    told = output.read_text(encoding="utf-8")
    assert "CPU, as always" in told and "each call noted" not in told
    why = "to note the calls of several threads takes Python 3.11, not "
    assert f"not noted: {why}" in told
    assert f"bench: not noted: {why}" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["noted.py", str(tmp_path / "noted.json")])
    assert noted.main() == 2
    assert f"noted: {why}" in capsys.readouterr().err


def test_threads_side_by_side_are_noted_where_it_is_said_that_they_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes, both = noted.Notes(), threading.Barrier(2)
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    before = threading.getprofile()
    threading.setprofile(notes.begin)
    try:
        threads = [threading.Thread(target=both.wait, args=[PATIENCE_S]) for _ in range(2)]
        for thread in threads:
            thread.start()
    finally:
        threading.setprofile(before)  # type: ignore[arg-type]
    for thread in threads:
        thread.join()
    assert bool(failures) is bool(noted.cannot())


@pytest.mark.parametrize("module", ["benchmarks.fsserver", "benchmarks"])
def test_sigterm_leaves_no_process_and_no_file(module: str, tmp_path: Path) -> None:
    arguments = ["--quick", "--only", "seldom", "--repeat", "1"]
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=fsserver.CHECKOUT, env=environment) as process:
        try:
            _until("FSServer runs", lambda: len(_processes_of(tmp_path)) == 1)
            process.terminate()
            status = process.wait(PATIENCE_S)
        finally:
            process.kill()
            left = _processes_of(tmp_path)
            for pid in left:
                os.kill(pid, signal.SIGKILL)
    assert (status, left) == (130, [])
    assert list(tmp_path.iterdir()) == []


def _processes_of(scratch: Path) -> list[int]:
    """Those whose command names what lies there: FSServer by its configuration."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has just ended
                if os.fsencode(scratch) in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def _until(what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"still not: {what}"
        time.sleep(0.05)


def test_what_was_missed_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsserver, "measured", lambda *arguments: "seldom: 1 missing, 0 twice")
    monkeypatch.setattr(fsserver, "lines", lambda sides: [])
    assert fsserver.main(["--quick", "--only", "seldom", "--repeat", "1"]) == 1
    assert "bench: seldom: 1 missing" in capsys.readouterr().err
