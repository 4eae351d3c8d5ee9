"""What becomes of filesets that were taken, if an importer fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.importing.importing import Plan
from omero_fs_plugin.dropbox.importing.methods import Methods
from omero_fs_plugin.dropbox.importing.refusals import TRIES
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.targets.sidecar import Sidecar
from omero_fs_plugin.events import FileStat
from tests.rules import places_of

from .building import ODD, importers_of, queue


@pytest.fixture
def importers(journal: Journal, tmp_path: Path) -> Importers:
    return importers_of(journal, places_of(tmp_path))


class TestAnImporterThatFails:
    """A defect of ours, or a write that the journal refuses: it hurts its own fileset alone."""

    @pytest.fixture
    def queued(self, journal: Journal) -> list[int]:
        """amy's two filesets, the first of which meets the defect."""
        return queue(journal, "a", "b")

    @pytest.fixture(params=ODD, ids=lambda error: type(error).__name__)
    def error(self, request: pytest.FixtureRequest) -> Exception:
        error: Exception = request.param
        return error

    def work(self, importers: Importers, times: int) -> list[int]:
        """What is taken, in `times` turns of a thread."""
        taken = []
        for _ in range(times):
            if found := importers._taking.take():
                taken += [one.id for one in found]
                with suppress(Exception):
                    importers._runs.make(found)
        return taken

    @pytest.fixture
    def failing(
        self,
        importers: Importers,
        queued: list[int],
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
        journal: Journal,
        where: str,
    ) -> Importers:
        importing = importers._importing

        def plan(fileset: Fileset) -> Plan:
            if where == "plan" and fileset.id == queued[0]:
                raise error
            return Plan(Methods(None).of(None), Sidecar())

        def run(_: Plan, filesets: Sequence[Fileset]) -> Iterator[tuple[Fileset, State]]:
            for fileset in filesets:
                if fileset.id == queued[0]:
                    raise error
                journal.imported(fileset.id, fileset.id, [fileset.id], ["ab"])
                yield fileset, State.IMPORTED

        monkeypatch.setattr(importing, "plan", plan)
        monkeypatch.setattr(importing, "run", run)
        monkeypatch.setattr(importers._runs._recovery, "of", lambda user: None)
        return importers

    @pytest.mark.parametrize("where", ["plan", "run"])
    def test_the_others_of_the_same_user_go_on(
        self, failing: Importers, queued: list[int], journal: Journal
    ) -> None:
        assert self.work(failing, 3) == queued
        states = {one.id: one for one in map(journal.get, queued) if one is not None}
        assert states[queued[1]].state is State.IMPORTED
        assert states[queued[0]].state is State.QUEUED
        assert states[queued[0]].reason, "status says why"

    @pytest.mark.parametrize("where", ["plan", "run"])
    def test_when_others_went_through_meanwhile_it_ends_as_failed(
        self, failing: Importers, queued: list[int], journal: Journal
    ) -> None:
        for number in range(8):
            path = f"/dropbox/amy/more {number}"
            journal.hand_over("amy", "/dropbox/amy", Found(path, FileStat(1, number, 1, 1, 1)))
            failing._blame._resting.clear()  # its rest is over
            self.work(failing, 2)
        fileset = journal.get(queued[0])
        assert fileset is not None and fileset.state is State.FAILED
        assert fileset.refusals == TRIES
        assert journal.counts()[State.IMPORTING] == 0
