"""The journal is held by another process, or cannot be written, for longer than the lease lasts.

As a backup that holds a transaction for minutes, a disk that stays full over a weekend, a disk
that the kernel has made read-only.  The times are a thirtieth of the real ones.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.config.settings import JOURNAL_FILE
from omero_fs_plugin.dropbox.importing import workers
from omero_fs_plugin.dropbox.importing.importers import native
from omero_fs_plugin.dropbox.journal import database, keeper, lease
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.resting import Resting
from tests.integration.whole import Whole

LEASE_S = 2.0
HELD_S = 2 * LEASE_S
_HOLD = """
import sqlite3, sys
journal = sqlite3.connect(sys.argv[1], isolation_level=None)
journal.execute(f"BEGIN {sys.argv[2]}")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_S", LEASE_S / 2)
    monkeypatch.setattr(keeper, "EXPIRES", LEASE_S)
    monkeypatch.setattr(lease, "EXPIRES", LEASE_S)
    monkeypatch.setattr(keeper, "RENEW", LEASE_S / 4)
    monkeypatch.setattr(keeper, "RENEW_AGAIN", LEASE_S / 12)
    monkeypatch.setattr(workers, "_PING_S", 0.2)


@contextmanager
def held(journal: Path, how: str = "IMMEDIATE") -> Iterator[None]:
    """Another process has a transaction there."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, journal, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    try:
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@contextmanager
def read_only(journal: Path) -> Iterator[None]:
    """Nothing of it can be written, nor anything beside it."""
    files = [*journal.parent.glob(f"{journal.name}*"), journal.parent]
    before = {file: stat.S_IMODE(file.stat().st_mode) for file in files}
    try:
        for file in files:
            file.chmod(before[file] & 0o555)
        yield
    finally:
        for file in reversed(files):
            file.chmod(before[file])


WAYS: dict[str, Callable[[Path], Any]] = {"held": held, "read-only": read_only}

# Each phase: what is called at its beginning.
PHASES: dict[str, tuple[Any, str]] = {
    "before it is met": (Journal, "wait"),
    "at the end of the quiet period": (Resting, "_hand_on"),
    "before it is queued": (Journal, "settled"),
    "before it is taken": (Journal, "take"),
    "before the upload": (native.NativeImport, "run"),
    "before verify": (Journal, "note_verified"),
    "before OMERO is told": (native.NativeImport, "_verify"),
    "before it is recorded": (Journal, "imported"),
    "before it is removed": (native.NativeImporter, "done"),
}


@pytest.fixture
def whole(make_whole: Callable[..., Whole], tmp_path: Path) -> Whole:
    place = tmp_path / "journal"
    place.mkdir()
    return make_whole(journal=f"sqlite:///{place / JOURNAL_FILE}", transfer="upload_rm")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phase", PHASES)
def test_in_each_phase(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, way: str
) -> None:
    if way == "read-only" and os.geteuid() == 0:
        pytest.skip("root may write what is read-only")
    before = whole.drop("before.tif")
    whole.until_known(before)
    whole.until_settled()
    owner, name = PHASES[phase]
    real = getattr(owner, name)
    keeping = WAYS[way](tmp_path / "journal" / JOURNAL_FILE)
    begun: list[float] = []

    def called(*arguments: Any, **more: Any) -> Any:
        if not begun:
            begun.append(time.monotonic())
            keeping.__enter__()
        return real(*arguments, **more)

    monkeypatch.setattr(owner, name, called)
    during = whole.drop("during.tif")
    whole.until("the journal is held", lambda: begun)
    also = whole.drop("also.tif", user="zak")
    time.sleep(max(0.0, begun[0] + HELD_S - time.monotonic()))
    figures = whole.dropbox.figures()
    keeping.__exit__(None, None, None)
    whole.until_known(during, also)
    whole.until_settled()
    whole.assert_once(before, during, also)
    whole.until("nothing is left to do", lambda: not whole.journal.unfinished())
    assert not during.exists() and not also.exists()
    assert {whole.row(path).refusals for path in (during, also)} == {0}
    assert whole.journal.counts()[State.FAILED] == 0
    assert not whole.dropbox._stopping.is_set(), "nobody can have taken the lease"
    assert figures["state"] == "waiting for the journal", figures["state"]
    whole.until_state("running")
