"""A run that was killed holds nothing that the next ones need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from omero_fs_plugin.sandbox import ports
from tests import leftovers


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Where pytest keeps the runs of one user."""
    made = tmp_path / "pytest-of-somebody"
    made.mkdir()
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "reservations"


def _gone() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _run(runs: Path, number: int, lock: object, place: Path) -> Path:
    """A run with one sandbox, which is there.  None: the run removed its lock."""
    run = runs / f"pytest-{number}"
    sandbox = run / "popen-gw3" / "test_it0" / "sandbox"
    sandbox.mkdir(parents=True)
    if lock is not None:
        (run / ".lock").write_text(str(lock))
    ports.reserve(sandbox, place=place)
    return run


def _held(place: Path) -> set[str]:
    """The runs whose sandboxes have ports."""
    return {path.parents[2].name for path in leftovers._reserved(place)}


def test_a_killed_run_and_one_that_ended_hold_nothing(runs: Path, place: Path) -> None:
    killed = _run(runs, 1, _gone(), place)
    _run(runs, 2, None, place)
    ours = _run(runs, 3, os.getpid(), place)
    leftovers.end(ours / "popen-gw0", place)
    assert _held(place) == {"pytest-3"}
    assert not (killed / ".lock").exists()  # pytest may remove it
    assert (ours / ".lock").exists()


@pytest.mark.parametrize("lock", ["", "x", "1", "-", "9" * 30, "é"])
def test_one_that_may_live_keeps_what_it_has(runs: Path, place: Path, lock: str) -> None:
    """Another's process, or a lock that is being written."""
    other = _run(runs, 1, lock, place)
    ours = _run(runs, 2, os.getpid(), place)
    leftovers.end(ours, place)
    assert _held(place) == {"pytest-1", "pytest-2"}
    assert (other / ".lock").exists()


def test_what_is_no_run_is_left_alone(runs: Path, place: Path, tmp_path: Path) -> None:
    ours = _run(runs, 1, os.getpid(), place)
    (runs / "pytest-current").symlink_to(ours)
    kept = tmp_path / "kept" / "a" / "b" / "sandbox"
    kept.mkdir(parents=True)
    ports.reserve(kept, place=place)
    leftovers.end(ours, place)
    assert kept in leftovers._reserved(place)
    leftovers.end(Path("/a/directory/that/pytest/was/given"), place)
    assert (ours / ".lock").exists() and "pytest-1" in _held(place)
