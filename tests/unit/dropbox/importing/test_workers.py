"""Importers and a journal that cannot be written: no fileset is left between two states."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.methods import Methods
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.events import FileStat
from tests.rules import places_of

RUN = 30  # filesets


@pytest.fixture
def importers(journal: Journal, tmp_path: Path) -> Importers:
    places = places_of(tmp_path)
    return Importers(
        journal,
        None,  # type: ignore[arg-type]
        places=places,
        number=1,
        held=lambda user: "",
        import_duplicates=lambda: False,
        quarantine=lambda fileset: None,
        changed=lambda fileset: None,
        methods=Methods(None),
    )


def test_a_whole_run_is_given_back_when_the_journal_is_there_again(
    journal: Journal, importers: Importers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(RUN):
        path = f"/dropbox/amy/{number}"
        journal.hand_over("amy", "/dropbox/amy", Found(path, FileStat(1, number, 1, 1, 1)))
    run = [journal.take("amy") for _ in range(RUN)]
    with monkeypatch.context() as patch:

        def down(*_: Any, **__: Any) -> bool:
            raise JournalError("the disk is full")

        patch.setattr(journal, "move", down)
        with pytest.raises(JournalError):
            importers._give_back([one for one in run if one is not None], "OMERO is away")
    assert journal.counts()[State.IMPORTING] == RUN
    importers._take()  # before anything else
    assert journal.counts()[State.IMPORTING] <= 1
    assert journal.counts()[State.QUEUED] >= RUN - 1


@pytest.mark.parametrize("attempts", [1, 100, 5000])
def test_however_often_it_was_tried_it_rests_a_minute_at_most(
    journal: Journal, importers: Importers, attempts: int
) -> None:
    """An import that OMERO is at for a week is looked at some ten thousand times."""
    journal.hand_over("amy", "/dropbox/amy", Found("/dropbox/amy/a", FileStat(1, 7, 1, 1, 1)))
    fileset = journal.take("amy")
    assert fileset is not None
    begun = time.monotonic()
    importers._ended(replace(fileset, attempts=attempts), State.QUEUED)
    assert 0 < importers._resting[fileset.id] - begun <= 61
