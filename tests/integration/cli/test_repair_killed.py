"""`omero fs audit --repair --yes` is killed between any two of its steps: run again, same end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omero_fs_plugin.cli.audit_repair import repairs
from omero_fs_plugin.dropbox.audit.findings import Finding, Kind
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.nodes import LEFTOVER
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat

NUMBER = 3
# The command's own loop, killed in the call to the database that comes after so many of them.
_KILLED = """
import os, signal, sys
from omero_fs_plugin.cli import audit_repair
from omero_fs_plugin.cli.audit_repair import Repair, repair
from omero_fs_plugin.dropbox.journal.journal import Journal
from sqlalchemy import event
url, steps, *filesets = sys.argv[1:]
journal = Journal(url, who="omero fs audit")
left = [int(steps)]
def step(*_):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
for when in ("before_cursor_execute", "commit"):
    event.listen(journal.database._engine, when, step)
for one in filesets:
    print(repair(journal, Repair(int(one), 100 + int(one), "/x")), flush=True)
print("done", left[0])
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.sqlite"


@pytest.fixture
def failed(url: str) -> list[int]:
    """Filesets that failed, of each of which OMERO has one without images."""
    journal = Journal(url, who="DropBox")
    made = []
    for number in range(NUMBER):
        path, stat = f"/dropbox/amy/{number}.tif", FileStat(1, 100 + number, 5, 5, 5)
        journal.wait("amy", "/dropbox/amy", [Found(path, stat)])
        made.append(journal.open_at([path])[path].id)
        journal.settled({made[-1]: stat})
        assert journal.take("amy") is not None
        journal.move(made[-1], State.IMPORTING, State.FAILED, "it was cut off")
    journal.close()
    return made


def notes(url: str) -> set[str]:
    journal = Journal(url, who="a test")
    found = set(journal.notes(LEFTOVER))
    journal.close()
    return found


def run(url: str, steps: int, filesets: list[int]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _KILLED, url, str(steps), *map(str, filesets)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "every", [pytest.param(False, id="some"), pytest.param(True, id="all", marks=pytest.mark.long)]
)
def test_at_each_step(url: str, failed: list[int], every: bool) -> None:
    wanted = {f"{LEFTOVER}{one}" for one in failed}
    whole = run(url, 10_000, failed)
    assert whole.returncode == 0, whole.stderr
    steps = 10_000 - int(whole.stdout.split()[-1])
    assert steps >= 2 * NUMBER, "each repair is a transaction of its own"
    assert notes(url) == wanted
    for step in range(steps) if every else (0, steps // 2, steps - 1):
        journal = Journal(url, who="a test")
        for note in journal.notes(LEFTOVER):
            journal.note(note, "")
        journal.close()
        assert run(url, step, failed).returncode == -signal.SIGKILL
        done = notes(url)
        assert done <= wanted, "a repair is done as a whole or not at all"
        again = run(url, 10_000, failed)
        assert again.returncode == 0, again.stderr
        assert notes(url) == wanted


def test_the_same_repairs_are_found_after_a_kill(url: str, failed: list[int]) -> None:
    run(url, 4, failed)
    record = Record.fresh("/opt/omero", 1.0)
    for one in failed:
        record.add(Finding(Kind.GHOST, f"/dropbox/amy/{one}.tif", "", "amy", one, 100 + one))
    with glance(url) as look:
        assert look is not None
        assert [one.fileset for one in repairs(look, record)] == failed
    record.close()
