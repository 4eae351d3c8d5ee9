"""A disk of our own is full, or the quota there is used up: it is named, and all waits for room.

test_no_room.py runs each of these, in a mount namespace of its own.  The disk is a share that
answers as one does on which there is no room.
"""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.processes.counted import GROUPING, JAVA
from omero_fs_plugin.dropbox.settling.groupers import NUMBER
from omero_fs_plugin.metrics import publisher
from omero_fs_plugin.sandbox.repository import MANAGED
from tests import bioformats
from tests.integration.hanging.share import Share
from tests.integration.whole import Whole

CODES = pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
MADE = ("write", "create", "mkdir")  # what needs room


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[Path], Share]]:
    made: list[Share] = []

    def mount(point: Path) -> Share:
        made.append(Share(tmp_path / f"behind{len(made)}", point, direct=False))
        return made[-1]

    yield mount
    for one in made:
        one.close()


def come_and_go(
    whole: Whole,
    share: Share,
    code: int,
    where: str,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """There is no room for a while; `meanwhile` is done once there is none."""
    before = whole.drop("before.tif")
    whole.until_known(before)
    share.fail(code, *MADE)
    meanwhile()
    during = [whole.drop(f"{number}.tif") for number in range(5)]
    whole.until_state("waiting for room")

    def is_said() -> bool:
        reason = whole.dropbox.figures()["reason"]
        return reason.startswith(f"{where} has no room: ") and os.strerror(code) in reason

    whole.until("it is said where", is_said)
    assert not whole.dropbox._stopping.is_set()
    share.answer()

    def imported() -> bool:
        whole.leap(60)
        return whole.journal.counts()[State.IMPORTED] == 1 + len(during)

    whole.until("there is room again, and all are imported", imported, patience=60.0)
    whole.assert_once(before, *during)
    assert whole.journal.counts()[State.FAILED] == 0
    whole.until_state("running")


@CODES
def test_journal(
    disk: Callable[[Path], Share], make_whole: Callable[..., Whole], tmp_path: Path, code: int
) -> None:
    place = tmp_path / "journal"
    share = disk(place)
    whole = make_whole(journal=f"sqlite:///{place}/journal.sqlite")
    come_and_go(whole, share, code, "the journal")


@CODES
def test_repository(
    disk: Callable[[Path], Share], make_whole: Callable[..., Whole], tmp_path: Path, code: int
) -> None:
    share = disk(tmp_path / "OMERO" / MANAGED)
    come_and_go(make_whole(), share, code, "OMERO's repository")


@CODES
def test_temporary_files(
    disk: Callable[[Path], Share],
    make_whole: Callable[..., Whole],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    code: int,
) -> None:
    """Bio-Formats has a directory of its own among them.  No file is at fault."""
    bioformats.installation()  # skips without one
    place = tmp_path / "temporary"
    share = disk(place)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    whole = make_whole(bioformatsJars=bioformats.as_property())

    def start_anew() -> None:
        """Bio-Formats' processes end, as after a while without files: it needs new ones."""
        for one in whole.dropbox.groupers._groupers:
            if one.pid is not None:
                os.kill(one.pid, signal.SIGKILL)

    started = JAVA.numbers()[GROUPING]
    come_and_go(whole, share, code, "the directory for what is temporary", start_anew)
    assert JAVA.numbers()[GROUPING] - started <= 2 * NUMBER, "what was not started is not counted"


@CODES
def test_textfile(
    disk: Callable[[Path], Share],
    make_whole: Callable[..., Whole],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    code: int,
) -> None:
    """It is told, and holds up nobody; no part is left."""
    monkeypatch.setattr(publisher, "INTERVAL_S", 0.2)
    monkeypatch.setattr(publisher, "_REST", 1.0)  # the machine may be slow
    place = tmp_path / "collector"
    share = disk(place)
    file = place / "omero-fs.prom"
    whole = make_whole(metrics=str(file))
    whole.until("it is written", file.exists)
    share.fail(code, *MADE)
    why = os.strerror(code)
    whole.until("it is told", lambda: why in whole.dropbox.figures().get("metrics", ""))
    path = whole.drop("a.tif")
    whole.until_known(path)
    whole.until_state("running")
    share.answer()
    whole.until("it is written again", lambda: not whole.dropbox.figures().get("metrics"))
    assert all(one.suffix == ".prom" for one in share.behind.iterdir()), "a part is left"
