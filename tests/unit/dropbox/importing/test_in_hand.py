"""Importers and a journal that cannot be written: no fileset is left between two states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import JournalError
from tests.rules import places_of

from .building import importers_of, queue

RUN = 30  # filesets


@pytest.fixture
def importers(journal: Journal, tmp_path: Path) -> Importers:
    return importers_of(journal, places_of(tmp_path))


def test_a_whole_run_is_given_back_when_the_journal_is_there_again(
    journal: Journal, importers: Importers, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(journal, *map(str, range(RUN)))
    run = [journal.take("amy") for _ in range(RUN)]
    with monkeypatch.context() as patch:

        def down(*_: Any, **__: Any) -> bool:
            raise JournalError("the disk is full")

        patch.setattr(journal, "move", down)
        with pytest.raises(JournalError):
            importers._in_hand.give_back([one for one in run if one is not None], "OMERO is away")
    assert journal.counts()[State.IMPORTING] == RUN
    importers._taking.take()  # before anything else
    assert journal.counts()[State.IMPORTING] <= 1
    assert journal.counts()[State.QUEUED] >= RUN - 1


class TestAWriteWhoseAnswerWasLost:
    """The journal has done it, and its server went away before it could say so."""

    @contextmanager
    def lost(self, journal: Journal, monkeypatch: pytest.MonkeyPatch, call: str) -> Iterator[None]:
        real = getattr(journal, call)

        def done_and_lost(*arguments: Any, **options: Any) -> Any:
            real(*arguments, **options)
            raise JournalError("server closed the connection unexpectedly")

        with monkeypatch.context() as patch:
            patch.setattr(journal, call, done_and_lost)
            yield

    def test_what_was_taken_is_taken_again(
        self, journal: Journal, importers: Importers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue(journal, "a")
        with self.lost(journal, monkeypatch, "take"), pytest.raises(JournalError):
            importers._taking.take()
        assert journal.counts()[State.IMPORTING] == 1
        importers._in_hand.adrift = True  # as `_work` does
        (taken,) = importers._taking.take()
        assert taken.path == "/dropbox/amy/a"
        importers._in_hand.adrift = True
        assert importers._taking.take() == [], "it is under way"
        assert journal.counts()[State.IMPORTING] == 1

    def test_what_is_left_to_finish_is_not_forgotten(
        self, journal: Journal, importers: Importers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue(journal, "a")
        fileset = journal.take("amy")
        assert fileset is not None
        with self.lost(journal, monkeypatch, "imported"), pytest.raises(JournalError):
            journal.imported(fileset.id, 1, [1], ["ab"], finished=False)
        importers._in_hand.adrift = True
        for _ in range(2):
            importers._taking.take()
            assert list(importers._importing.unfinished) == [fileset.id]
        with monkeypatch.context() as patch:

            def down(*_: Any) -> None:
                raise JournalError("the disk is full")

            patch.setattr(journal, "get", down)
            with pytest.raises(JournalError):
                importers._finishing.finish_one()
        assert list(importers._importing.unfinished) == [fileset.id]
