"""DropBox without importers: other machines import."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from tests.rules import places_of

from .building import importers_of, queue


def test_nothing_is_taken_and_what_is_left_is_finished(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a machine that is gone had still to finish is DropBox's."""
    importers = importers_of(journal, places_of(tmp_path), number=0)
    queue(journal, "1.tif", "2.tif")
    imported = journal.take("amy")
    assert imported is not None
    journal.imported(imported.id, 70, [71], ["0" * 40], finished=False)
    finished: list[int] = []
    looked = threading.Event()

    def finish(fileset: Fileset) -> None:
        finished.append(fileset.id)
        journal.finished(fileset.id)

    def wait() -> None:
        looked.set()
        importers._stopping.wait(60)

    monkeypatch.setattr(importers._importing, "finish", finish)
    monkeypatch.setattr(importers._lookout, "wait", wait)
    importers.finish_too([imported.id])
    importers._crew.start()
    assert looked.wait(20)
    importers.ask_to_stop()
    assert importers._crew.stop(time.monotonic() + 20)
    assert finished == [imported.id]
    assert [fileset.state for fileset in journal.select(State.QUEUED)] == [State.QUEUED]


@pytest.mark.parametrize(
    ("number", "elsewhere", "told"), [(0, None, False), (0, 0, True), (0, 1, False), (1, 0, False)]
)
def test_people_are_told_when_nobody_imports(
    journal: Journal, tmp_path: Path, number: int, elsewhere: int | None, told: bool
) -> None:
    importers = importers_of(journal, places_of(tmp_path), number=number)
    importers.elsewhere = elsewhere
    assert bool(importers.nobody) is told
