"""An older journal is put in the place of the one that DropBox works on, or it is removed.

As when an admin puts a backup back, and does not stop DropBox before.  Whatever DropBox was at:
it writes nothing of what it knows of the former into the other one.  It ends, and begins anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from omero_fs_plugin.config.settings import JOURNAL_FILE
from omero_fs_plugin.dropbox.journal import keeper, lease
from tests.integration.whole import Whole

from .test_changes_in_mid_import import STEPS, Once, _in_a_test_s_time, assert_each_once, at, sha1

__all__ = ["_in_a_test_s_time"]  # a fixture

LEASE_S = 2.0


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (keeper, lease):
        monkeypatch.setattr(module, "EXPIRES", LEASE_S)
    monkeypatch.setattr(keeper, "RENEW", LEASE_S / 4)
    monkeypatch.setattr(keeper, "RENEW_AGAIN", LEASE_S / 12)


def copy_into(source: Path, target: Path) -> None:
    """With SQLite's own command, which locks both."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def remove(journal: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{journal}{suffix}").unlink(missing_ok=True)


def exchange(backup: Path, journal: Path) -> None:
    remove(journal)
    os.replace(backup, journal)  # noqa: PTH105


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "restored": copy_into,
    "exchanged": exchange,
    "removed": lambda backup, journal: remove(journal),
}
SHORT = (
    ("restored", "while OMERO imports"),
    ("exchanged", "before it is recorded"),
    ("removed", "between blocks"),
)


@pytest.mark.parametrize(
    ("way", "step"),
    [
        pytest.param(way, step, marks=() if (way, step) in SHORT else (pytest.mark.long,))
        for way in WAYS
        for step in STEPS
    ],
)
def test_each_file_is_there_once(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, way: str, step: str
) -> None:
    journal = whole.blitz.data / JOURNAL_FILE
    backup = journal.with_name("backup.sqlite")
    before = whole.drop("before.tif")
    whole.until_known(before)
    copy_into(journal, backup)
    missed = whole.drop("missed.tif")  # the backup does not know it
    whole.until_known(missed)
    # Until then it has counted on.
    count = whole.journal.lease().count
    whole.until("the lease is renewed", lambda: whole.journal.lease().count > count)
    once = Once(lambda: WAYS[way](backup, journal))
    at(step, once, monkeypatch)
    during = whole.drop("during.tif")
    whole.until("it is done", lambda: once.done)
    whole.until("DropBox ends, to be started anew", whole._dropbox_ice.isShutdown)
    whole.stop_dropbox()
    renamed = missed.rename(missed.with_name("renamed.tif"))
    whole.start_dropbox()
    last = whole.drop("last.tif")
    whole.until_known(last, during)
    assert_each_once(whole, [(sha1(path),) for path in (before, renamed, during, last)])
