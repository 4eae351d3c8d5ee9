"""A node among others, whatever the journal does meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from omero_fs_plugin.dropbox.journal.lease import Holder
from omero_fs_plugin.dropbox.journal.records import Held
from omero_fs_plugin.dropbox.journal.rounds import Rounds
from omero_fs_plugin.errors import JournalError


class Journal:
    """One that knows of no other node."""

    joined = renewed = 0

    def join(self, holder: str, told: str) -> Held:
        self.joined += 1
        return Held(holder, 1, 7)

    def renew(self, held: Held, told: str) -> bool:
        self.renewed += 1
        return True

    def nodes(self) -> list[Any]:
        return []


def test_one_whose_journal_was_away_as_it_joined_begins_at_its_next_round() -> None:
    """It counts on, so nobody else would take what it has."""
    journal: Any = Journal()
    errors: list[Exception] = [JournalError("away")]
    begun: list[Held] = []

    def joined(held: Held) -> None:
        if errors:
            raise errors.pop()
        begun.append(held)

    rounds = Rounds(
        journal, Holder.me(), told=lambda: "{}", joined=joined, adopted=lambda filesets: None
    )
    with pytest.raises(JournalError):
        rounds.once()
    assert rounds.once() and rounds.once()
    assert [held.epoch for held in begun] == [7]
    assert (journal.joined, journal.renewed) == (1, 2)
