"""The journal is held by another process, or cannot be written, for longer than the lease lasts.

As a backup that holds a transaction for minutes, a disk that stays full over a weekend, a disk
that the kernel has made read-only.  The times are a thirtieth of the real ones.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.pool import Pool

from omero_fs_plugin.config.settings import JOURNAL_FILE
from omero_fs_plugin.dropbox.importing import activity, tidying, workers
from omero_fs_plugin.dropbox.importing.importers import native
from omero_fs_plugin.dropbox.journal import engines, keeper, lease
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.service import awaiting
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
    monkeypatch.setattr(engines, "_BUSY_S", LEASE_S / 2)
    monkeypatch.setattr(keeper, "EXPIRES", LEASE_S)
    monkeypatch.setattr(lease, "EXPIRES", LEASE_S)
    monkeypatch.setattr(keeper, "RENEW", LEASE_S / 4)
    monkeypatch.setattr(keeper, "RENEW_AGAIN", LEASE_S / 12)
    monkeypatch.setattr(workers, "_PING_S", 0.2)
    monkeypatch.setattr(tidying, "_PING_S", 0.2)
    monkeypatch.setattr(tidying, "SWEEP_S", 0.5)
    for name in ("START_S", "FILE_S", "LATE_S", "WATCH_S"):
        monkeypatch.setattr(activity, name, 1.0)


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


_read_only: set[str] = set()  # journals


@pytest.fixture(autouse=True)
def _mounted() -> Iterator[None]:
    """Whether a journal may be written decides, at each use, also for a connection that is open."""

    def mount(connection: Any, _record: Any, _proxy: Any) -> None:
        (*_, file) = connection.execute("PRAGMA database_list").fetchone()
        connection.execute(f"PRAGMA query_only={int(file in _read_only)}")

    sqlalchemy.event.listen(Pool, "checkout", mount)
    yield
    sqlalchemy.event.remove(Pool, "checkout", mount)
    _read_only.clear()


@contextmanager
def read_only(journal: Path) -> Iterator[None]:
    """Nothing of it can be written."""
    _read_only.add(str(journal))
    try:
        yield
    finally:
        _read_only.discard(str(journal))


WAYS: dict[str, Callable[[Path], Any]] = {"held": held, "read-only": read_only}


def assert_once(whole: Whole, *paths: Path) -> None:
    """OMERO has each once.

    While nobody can tell whether it has the lease, DropBox deletes nothing in OMERO, only later.
    """
    whole.until("nothing half is left", lambda: all(len(whole.in_omero(one)) < 2 for one in paths))
    whole.assert_once(*paths)


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


# Each takes more than ten seconds.
_SHORT = (("before the upload", "held"), ("before it is recorded", "read-only"))


@pytest.mark.parametrize(
    ("phase", "way"),
    [
        pytest.param(phase, way, marks=() if (phase, way) in _SHORT else (pytest.mark.long,))
        for phase in PHASES
        for way in WAYS
    ],
)
def test_in_each_phase(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, way: str
) -> None:
    before = whole.drop("before.tif")
    whole.until_known(before)
    whole.until_settled()
    owner, name = PHASES[phase]
    real = getattr(owner, name)
    keeping = WAYS[way](tmp_path / "journal" / JOURNAL_FILE)
    begun: list[float] = []
    first = threading.Lock()

    def called(*arguments: Any, **more: Any) -> Any:
        if first.acquire(blocking=False):
            keeping.__enter__()
            begun.append(time.monotonic())
        return real(*arguments, **more)

    monkeypatch.setattr(owner, name, called)
    during = whole.drop("during.tif")
    whole.until("the journal is held", lambda: begun)
    also = whole.drop("also.tif", user="zak")
    time.sleep(max(0.0, begun[0] + HELD_S - time.monotonic()))
    whole.until_state("waiting for the journal")
    keeping.__exit__(None, None, None)
    whole.until_known(during, also)
    whole.until_settled()
    assert_once(whole, before, during, also)
    whole.until("nothing is left to do", lambda: not whole.journal.unfinished())
    assert not during.exists() and not also.exists()
    assert {whole.row(path).refusals for path in (during, also)} == {0}
    assert whole.journal.counts()[State.FAILED] == 0
    assert not whole.dropbox._stopping.is_set(), "nobody can have taken the lease"
    whole.until_state("running")


# -- who waits for it ---------------------------------------------------------

LONG_S = 300.0  # that a call to the journal waits here: longer than any test lasts
PATIENCE_S = 30.0


def ends(call: Callable[[], object]) -> bool:
    """Whether it returns although the journal does not answer."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return not thread.is_alive()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_BUSY_S", LONG_S)


def test_others_go_on_while_a_step_waits_for_the_journal(
    patient: None, whole: Whole, tmp_path: Path
) -> None:
    """amy's step holds the pipeline meanwhile."""
    before = whole.drop("before.tif")
    whole.until_known(before)
    whole.until_settled()
    dropbox, zaks = whole.dropbox, str(whole.watch_dir / "zak")
    with held(tmp_path / "journal" / JOURNAL_FILE):
        during = whole.drop("during.tif")
        whole.until("amy's step waits", dropbox.pipeline.files.lock.locked)
        also = whole.drop("also.tif", user="zak")
        whole.until("zak's event is with his lane", lambda: (zaks, "") in dropbox.lanes._lanes)
        assert ends(lambda: dropbox.dispatch.heard([f"{zaks}/another.tif"]))
        whole.until("events are handed out", dropbox.dispatch._events.empty)
        assert ends(dropbox.figures)
        assert ends(lambda: dropbox.reconfigure(whole.properties))
        assert dropbox.pipeline.files.lock.locked(), "it still waits"
    whole.until_known(during, also)
    assert_once(whole, before, during, also)
    assert not dropbox.rescanner.trouble, "nothing had to be found again"
    whole.until_state("running")


# With nothing begun, with a file in OMERO that is not told of, and with images in OMERO.
_STOPS = ("before it is taken", "before verify", "before it is recorded")


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param(phase, marks=() if phase in _STOPS else (pytest.mark.long,))
        for phase in [*PHASES][3:]
    ],
)
def test_a_stop_does_not_wait(
    patient: None, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    owner, name = PHASES[phase]
    real, reached, go = getattr(owner, name), threading.Semaphore(0), threading.Event()

    def called(*arguments: Any, **more: Any) -> Any:
        if not go.is_set():
            reached.release()
            assert go.wait(PATIENCE_S)
        return real(*arguments, **more)

    monkeypatch.setattr(owner, name, called)
    paths = [whole.drop(f"{number}.tif", user) for number in (1, 2) for user in ("amy", "zak")]
    assert reached.acquire(timeout=PATIENCE_S)
    with held(tmp_path / "journal" / JOURNAL_FILE):
        go.set()
        assert ends(whole.stop_dropbox)
    whole.start_dropbox()
    whole.until_known(*paths)
    whole.until_settled()
    assert_once(whole, *paths)


# -- at the start -------------------------------------------------------------


def test_a_start_while_it_is_held(whole: Whole, tmp_path: Path) -> None:
    whole.stop_dropbox()
    path = whole.drop("a.tif")
    with held(tmp_path / "journal" / JOURNAL_FILE):
        whole.start_dropbox()
        whole.until_state("waiting for the journal")
    whole.until_known(path)
    assert_once(whole, path)


def test_a_start_while_its_disk_is_away(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not end, for IceGrid would disable it.  It ends when the disk is back."""
    monkeypatch.setattr(awaiting, "_AGAIN_S", 0.1)
    whole.stop_dropbox()
    path = whole.drop("a.tif")
    aside = (tmp_path / "journal").rename(tmp_path / "aside")
    whole.start_dropbox()
    whole.until_state("waiting for the journal")
    assert "No such file or directory" in whole.dropbox.figures()["reason"]
    assert not whole._dropbox_ice.isShutdown()
    aside.rename(tmp_path / "journal")
    whole.until("it ends, to be started anew", whole._dropbox_ice.isShutdown)
    whole.stop_dropbox()
    whole.start_dropbox()
    whole.until_known(path)
    assert_once(whole, path)
