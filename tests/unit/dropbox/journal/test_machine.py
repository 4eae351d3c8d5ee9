"""The journal under everything that is done to it, in any order, in SQLite."""

from __future__ import annotations

import tempfile

from hypothesis import HealthCheck, settings

from tests.conftest import examples
from tests.journal_moves import WholeMachine
from tests.memory import MEMORY


class InSqlite(WholeMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directories: list[tempfile.TemporaryDirectory[str]] = []

    def url(self) -> str:
        self.directories.append(tempfile.TemporaryDirectory(dir=MEMORY))
        return f"sqlite:///{self.directories[-1].name}/journal.sqlite"

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            for directory in self.directories:
                directory.cleanup()


TestJournalMachine = InSqlite.TestCase
TestJournalMachine.settings = settings(
    max_examples=examples(8),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
