"""The journal under everything that is done to it, in any order, in SQLite."""

from __future__ import annotations

import tempfile

from hypothesis import HealthCheck, settings

from tests.conftest import examples
from tests.journal_machine import JournalMachine
from tests.memory import MEMORY


class InSqlite(JournalMachine):
    def url(self) -> str:
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY)
        return f"sqlite:///{self.directory.name}/journal.sqlite"

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if hasattr(self, "directory"):
                self.directory.cleanup()


TestJournalMachine = InSqlite.TestCase
TestJournalMachine.settings = settings(
    max_examples=examples(10),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
