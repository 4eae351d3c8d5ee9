"""The counts for Prometheus, on SQLite and on PostgreSQL."""

from __future__ import annotations

from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.metrics.tally import Step, Tally
from omero_fs_plugin.events import FileStat
from tests.integration.dropbox.journal.test_journal import bring_to, journal, postgres, url

__all__ = ["journal", "postgres", "url"]  # fixtures


def made(journal: Journal, number: int) -> int:
    found = Found(f"/dropbox/amy/{number}.tif", FileStat(1, 100 + number, 5, 5, 5))
    journal.wait("amy", "/dropbox/amy", [found])
    return journal.open_at([found.path])[found.path].id


def look(tally: Tally, url: str) -> list[Step]:
    with glance(url) as looked:
        assert looked is not None
        return tally.look(looked)


def test_a_fileset_in_each_state(url: str, journal: Journal) -> None:
    tally = Tally()
    for number, state in enumerate(State):
        bring_to(journal, made(journal, number), state)
        if number == 2:
            look(tally, url)
    steps = look(tally, url)
    assert {str(state): tally.number(state) for state in State} == {
        str(state): {"amy": 1} for state in State
    }
    (imported,) = [step for step in steps if step.after == State.IMPORTED]
    assert (imported.before, imported.user, imported.size) == ("importing", "amy", 5)
    assert imported.lasted is not None and imported.lasted >= 0
    assert tally.last_import == imported.at
    assert look(tally, url) == []
