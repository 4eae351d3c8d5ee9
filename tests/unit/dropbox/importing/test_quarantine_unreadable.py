"""A fileset that the server may not read stays out of quarantine: there nobody would mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from omero_fs_plugin.dropbox.confine import MAY_READ, UNREADABLE
from omero_fs_plugin.dropbox.journal import schema
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State

from .test_quarantine_cut_short import Site

NAMES = ("a.tif", "b.tif")


@pytest.fixture
def site(tmp_path: Path, journal: Journal) -> Site:
    return Site(tmp_path, journal)


def fails(site: Site, fileset: Fileset, reason: str) -> Fileset:
    """The same fileset, after one more try."""
    assert site.journal.retry(fileset.id)
    site.journal.move(fileset.id, State.QUEUED, State.FAILED, reason)
    now = site.now(fileset.id)
    assert (now.state, now.reason) == (State.FAILED, reason)
    return now


def why(site: Site) -> str:
    return f"{site.home / NAMES[-1]}: {UNREADABLE}: Permission denied: {MAY_READ}"


def assert_at_home(site: Site) -> None:
    assert site.lie(*NAMES) == [site.home / name for name in NAMES]
    assert site.journal.notes(GOES) == {}
    assert not site.quarantine.staying, "nothing is to be mended but its rights"


def test_whoever_wants_to_move_it(site: Site) -> None:
    fileset = fails(site, site.failed(*NAMES), why(site))
    site.quarantine.take(fileset)
    assert_at_home(site)
    site.quarantine.take_again(fileset.id, fileset.root)
    assert_at_home(site)
    site.begun().sweep()
    assert_at_home(site)
    fails(site, fileset, "unknown format")
    site.begun().sweep()
    assert site.lie(*NAMES) == [site.there(fileset, name) for name in NAMES]


def test_what_counts_is_why_it_failed_last(site: Site) -> None:
    """It may have failed again while its move waited for its turn."""
    before = site.failed(*NAMES)
    now = fails(site, before, why(site))
    site.quarantine.take(before)
    assert_at_home(site)
    fails(site, now, "unknown format")
    site.quarantine.take(site.now(now.id))
    assert site.lie(*NAMES) == [site.there(now, name) for name in NAMES]


def test_a_move_that_was_begun_is_finished(site: Site) -> None:
    """Else half of it would stay in each of the two places."""
    fileset = site.failed(*NAMES)
    site.moved_but_not_recorded(fileset)
    with site.journal.database.writing() as connection:
        connection.execute(update(schema.fileset).values(reason=why(site)))
    site.begun().sweep()
    assert site.lie(*NAMES) == [site.there(fileset, name) for name in NAMES]
    assert site.journal.notes(GOES) == {}
