"""A server that is being started is told apart from one that ends again and again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from omero_fs_plugin import starts
from omero_fs_plugin.starts import BEGAN, READY, STOPPED, Life, condition, life, note

WELL, STARTING, DOWN = "well", "starting", "down"


@pytest.mark.parametrize(
    ("state", "known", "answers", "kind", "words"),
    [
        ("active", Life(ready=900), True, WELL, ""),
        ("active", Life(), True, WELL, ""),  # on a machine of which nothing is known
        ("active", Life(ready=900), False, DOWN, "does not answer"),
        ("active", Life(began=2, ready=1), False, STARTING, "is starting, for 2 s"),
        ("active", Life(began=3), False, STARTING, "is starting, for 3 s"),
        ("activating", Life(began=1, grid=9000), False, STARTING, "is starting, for 1 s"),
        ("activating", Life(grid=4), False, STARTING, "is starting, for 4 s"),
        ("activating", Life(stopped=2, grid=9000), False, STARTING, "is starting, for 2 s"),
        ("activating", Life(began=1, ready=0.1), False, STARTING, "is starting"),
        ("activating", Life(ready=0.1), True, WELL, ""),  # it came up after it was looked at
        ("activating", Life(grid=9000), False, DOWN, "is activating"),  # nothing proves a start
        ("activating", Life(stopped=9000, grid=9000), False, DOWN, "is activating"),
        ("activating", Life(process=1, grid=9000), False, STARTING, "is starting, for 1 s"),
        ("activating", Life(process=90, grid=9000), False, DOWN, "is activating"),
        ("activating", Life(grid=9000, gone=True), False, STARTING, "is starting, for 0 s"),
        ("activating", Life(gone=True, ends=3), False, DOWN, "ends again and again (3 times in"),
        ("inactive", Life(grid=9000, gone=True), False, DOWN, "is inactive"),
        ("activating", Life(began=120), False, DOWN, "does not come up: it has been starting for"),
        ("activating", Life(began=1, ends=2), False, STARTING, "is starting, for 1 s"),
        ("activating", Life(began=1, ends=3), False, DOWN, "ends again and again (3 times in"),
        ("active", Life(ready=1, ends=3), True, DOWN, "ends again and again (3 times in"),
        ("inactive", Life(grid=9000, ends=4), False, DOWN, "ends again and again (4 times in"),
        ("inactive", Life(grid=0.4), False, STARTING, "is starting, for 0 s"),
        ("inactive", Life(stopped=1, grid=70), False, STARTING, "is starting, for 1 s"),
        ("inactive", Life(stopped=900, grid=9000), False, DOWN, "is inactive"),
        ("inactive", Life(), False, DOWN, "is inactive"),
        ("inactive (disabled)", Life(grid=1), False, DOWN, "is inactive (disabled)"),
        ("activationtimedout", Life(began=61), False, DOWN, "does not come up: IceGrid"),
        ("deactivating", Life(ready=900), True, DOWN, "is deactivating"),
        ("node unreachable", Life(), False, DOWN, "is node unreachable"),
        ("not deployed", Life(grid=1), False, DOWN, "is not deployed"),
    ],
)
def test_what_is_told(state: str, known: Life, answers: bool, kind: str, words: str) -> None:
    told = condition("FSServer", state, known, answers=answers)
    found = WELL if not told.what else DOWN if told.down else STARTING
    assert (found, bool(told.remedy)) == (kind, kind == DOWN)
    assert words in told.what


class Machine:
    """A boot, a clock, and servers that note what they do."""

    def __init__(self, var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.boot, self.var, self.process = 1000.0, "first", var, 0
        monkeypatch.setattr(starts, "_uptime", lambda: self.now)
        monkeypatch.setattr(starts, "_boot", lambda: self.boot)
        monkeypatch.setattr(os, "getpid", lambda: self.process)
        self.processes: dict[int, float] = {}  # when each that is there began
        monkeypatch.setattr(starts, "_began_at", self.processes.get)

    def does(self, word: str, process: int, after: float = 0.0) -> None:
        self.now += after
        self.process = process
        note("FSServer", word, self.var)

    def life(self, process: int, after: float = 0.0) -> Life:
        self.now += after
        return life("FSServer", self.var, process=process, node="")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_life_from_its_start_to_its_end(machine: Machine) -> None:
    assert machine.life(7) == Life()
    machine.does(BEGAN, 7)
    assert machine.life(7, after=2) == Life(began=2)
    machine.does(READY, 7)
    assert machine.life(7, after=10) == Life(began=12, ready=10)
    machine.does(STOPPED, 7)
    assert machine.life(0, after=3) == Life(stopped=3)
    machine.does(BEGAN, 8, after=1)
    assert machine.life(8, after=1) == Life(began=1)


def test_one_that_has_ended_by_itself_is_being_started(machine: Machine) -> None:
    machine.processes[7] = 1000.0
    machine.does(BEGAN, 7)
    machine.does(READY, 7)
    assert machine.life(0, after=9) == Life(began=None, ready=None)  # not yet told as gone
    del machine.processes[7]
    assert machine.life(0) == Life(gone=True)
    machine.processes[8] = machine.now
    assert machine.life(8, after=1) == Life(process=1, ends=1)
    machine.does(BEGAN, 8)
    assert machine.life(8, after=1) == Life(began=1, ends=1)


def test_a_server_that_was_told_to_stop_has_not_ended_by_itself(machine: Machine) -> None:
    for process in range(1, 9):
        machine.does(BEGAN, process, after=1)
        machine.does(READY, process)
        machine.does(STOPPED, process)
    assert machine.life(0).ends == 0


def test_one_that_ends_again_and_again(machine: Machine) -> None:
    for process in range(1, 4):
        machine.does(BEGAN, process, after=1)
        machine.does(READY, process)
    assert machine.life(3).ends == 2
    assert not machine.life(3).again_and_again()
    assert machine.life(4).ends == 3, "the fourth has noted nothing yet"
    machine.does(BEGAN, 4, after=1)
    machine.does(READY, 4)
    assert machine.life(4).again_and_again()
    assert machine.life(4, after=starts.WINDOW_S + 1).ends == 0, "it has been well since"


def test_one_that_hangs_at_each_start(machine: Machine) -> None:
    """IceGrid ends it after a minute, and starts the next one."""
    machine.does(BEGAN, 1)
    machine.does(READY, 1)
    for process in range(2, 6):
        machine.does(BEGAN, process, after=61)
    known = machine.life(5, after=1)
    assert (known.began, known.again_and_again()) == (3 * 61 + 1, False)
    told = condition("FSServer", "activating", known, answers=False)
    assert told.what == "FSServer does not come up: it has been starting for 184 s"


def test_a_number_of_a_process_that_comes_again(machine: Machine) -> None:
    """As in a container, where each start may give the server the same one."""
    for _ in range(5):
        machine.does(BEGAN, 7, after=1)
    assert machine.life(7).ends == 4
    assert machine.life(7).ready is None


def test_another_start_of_the_machine_counts_as_none(machine: Machine) -> None:
    for process in range(1, 9):
        machine.does(BEGAN, process)
    machine.boot, machine.now = "second", 5.0
    assert machine.life(9) == Life()


def test_the_file_stays_small(machine: Machine) -> None:
    for process in range(1, 500):
        machine.does(BEGAN, process)
        machine.does(READY, process)
    assert len((machine.var / "FSServer.starts").read_bytes()) < 5000
    assert [one.name for one in machine.var.iterdir()] == ["FSServer.starts"]


@pytest.mark.parametrize("text", ["", "x\n", "first x began 7\n", "first 1 began\n", "\xff\0"])
def test_a_file_that_is_none(machine: Machine, text: str) -> None:
    (machine.var / "FSServer.starts").write_text(text, "latin-1")
    assert machine.life(7) == Life()
    machine.does(BEGAN, 7)
    assert machine.life(7, after=1) == Life(began=1)


def test_no_disk_for_the_notes(machine: Machine) -> None:
    machine.var = machine.var / "gone"
    machine.does(BEGAN, 7)
    machine.does(READY, 7)
    assert machine.life(7) == Life()


def test_without_icegrid_nothing_is_noted(tmp_path: Path) -> None:
    note("", BEGAN, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="proc(5) is of Linux")
def test_the_age_of_a_node(tmp_path: Path) -> None:
    waits = threading.Event()
    with subprocess.Popen(["sleep", "60"]) as node:
        (tmp_path / "master.pid").write_text(f"{node.pid}\n")
        waits.wait(0.2)
        age = life("FSServer", tmp_path, process=0, node="master").grid
        node.kill()
    assert age is not None and 0.1 < age < 60
    assert life("FSServer", tmp_path, process=0, node="master").grid is None, "it has ended"
    assert life("FSServer", tmp_path, process=0, node="other").grid is None
