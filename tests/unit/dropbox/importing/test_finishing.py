"""What is left to do after an import, if it fails."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.importing.refusals import TRIES
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from tests.rules import places_of

from .building import ODD, importers_of, queue


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
def test_one_that_cannot_be_finished_keeps_nothing_from_being_imported(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    importers = importers_of(journal, places_of(tmp_path))
    _, other = queue(journal, "a", "b")
    first = journal.take("amy")
    assert first is not None
    journal.imported(first.id, 1, [1], ["ab"], finished=False)
    importers._importing.unfinished.append(first.id)

    def finish(_: Fileset) -> None:
        raise error

    monkeypatch.setattr(importers._importing, "finish", finish)
    taken: list[int] = []
    for _ in range(2):
        with suppress(type(error)), importers._load.one_more():
            importers._finishing.finish_one()
            taken += [one.id for one in importers._taking.take()]
    assert taken == [other]
    for _ in range(TRIES):
        importers._blame._resting.clear()
        importers._blame.was_imported()
        with suppress(type(error)):
            importers._finishing.finish_one()
    assert not importers._importing.unfinished
    assert not journal.unfinished()
    told = journal.get(first.id)
    assert told is not None and told.reason.startswith("imported, but ")
