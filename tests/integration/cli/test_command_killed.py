"""`omero fs import` killed -9 on either side of a transition it writes: all of it, or nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from tests import CHECKOUT

FAULTS = CHECKOUT / "tests" / "acceptance" / "torture"
# As the command does it, with the fault points of the campaign in its journal.
COMMAND = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from faults import Faults, put_into_the_journal
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat
_, _, url, directory, act, path = sys.argv
put_into_the_journal(Faults(Path(directory)).pass_by)
journal = Journal(url)
if act == "retry":
    journal.retry(1)
else:
    journal.hand_over("amy", str(Path(path).parent), Found(path, FileStat.of(Path(path).lstat())))
"""


def _nothing(journal: Journal, found: Found) -> None:
    pass


def _waiting(journal: Journal, found: Found) -> None:
    journal.wait("amy", str(Path(found.path).parent), [found])


def _skipped(journal: Journal, found: Found) -> None:
    _waiting(journal, found)
    assert journal.move(1, State.WAITING, State.SKIPPED, "for the test")


def _failed(journal: Journal, found: Found) -> None:
    _waiting(journal, found)
    assert journal.move(1, State.WAITING, State.QUEUED)
    assert journal.take("amy")
    journal.refused(1, State.FAILED, "for the test")


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(
    ("prepare", "act", "transition"),
    [
        (_nothing, "hand over", "-queued"),
        (_waiting, "hand over", "waiting-queued"),
        (_skipped, "hand over", "skipped-queued"),
        (_failed, "hand over", "failed-queued"),
        (_failed, "retry", "failed-queued"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_killed(
    tmp_path: Path,
    prepare: Callable[[Journal, Found], None],
    act: str,
    transition: str,
    side: str,
) -> None:
    path = tmp_path / "image.tif"
    path.write_bytes(b"an image")
    url, faults = f"sqlite:///{tmp_path}/journal.sqlite", tmp_path / "faults"
    journal = Journal(url)
    prepare(journal, Found(str(path), FileStat.of(path.lstat())))
    before = _told(journal)
    faults.mkdir()
    (faults / f"{side}.{transition}").touch()
    command = [sys.executable, "-c", COMMAND, FAULTS, url, faults, act, path]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    queued = [(str(path), State.QUEUED)]
    assert _told(journal) == (before if side == "before" else queued)
    if side == "before":
        assert subprocess.run(command).returncode == 0, "the journal can still be written"
    assert _told(journal) == queued
    journal.close()


def _told(journal: Journal) -> list[tuple[str, State]]:
    filesets: list[Fileset] = journal.select()
    return [(fileset.path, fileset.state) for fileset in filesets]
