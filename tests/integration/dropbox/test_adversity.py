"""Outages, full disks, vanished directories, clocks and odd names: each file once all the same."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import sqlalchemy
import tifffile
from sqlalchemy.pool import Pool

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.sandbox import rawfiles
from tests.integration.whole import Whole

MOST_PAGES = 2**30  # SQLite's own limit is higher

# -- OMERO is away ------------------------------------------------------------


def test_away_for_a_quarter_of_an_hour(whole: Whole) -> None:
    first = whole.drop("before.tif")
    whole.until_known(first)
    whole.blitz.stop()
    dropped = []
    for minute in range(0, 15, 3):
        dropped.append(whole.drop(f"minute {minute}.tif", user=("amy", "zak")[minute % 2]))
        whole.until_known(dropped[-1], states=(State.QUEUED, State.IMPORTING))
        whole.clock.pass_by(3 * 60)
    whole.until_state("waiting for OMERO")
    whole.blitz.start()
    whole.until_known(first, *dropped)
    whole.assert_once(first, *dropped)
    assert whole.journal.counts()["failed"] == 0
    assert {whole.row(path).refusals for path in dropped} == {0}
    whole.until_state("running")


# -- full disks ---------------------------------------------------------------


@pytest.fixture
def full() -> Iterator[Callable[[bool], None]]:
    """Whether the journal's disk is full: no database grows by as much as a page.

    As SQLite sees it, that is; a journal on a file system that is really full
    wants root, and is in the next test.
    """
    state = [False]

    def limit(connection: Any, _record: Any, _proxy: Any) -> None:
        if "omero-fs-journal" in str(_name(connection)):
            most = 1 if state[0] else MOST_PAGES  # 1: as many as there are already
            connection.execute(f"PRAGMA max_page_count={most}")

    sqlalchemy.event.listen(Pool, "checkout", limit)
    yield lambda now: state.__setitem__(0, now)
    sqlalchemy.event.remove(Pool, "checkout", limit)


def _name(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA database_list").fetchone()[2])


def test_no_room_for_the_journal(whole: Whole, full: Callable[[bool], None]) -> None:
    before = whole.drop("before.tif")
    whole.until_known(before)
    full(True)
    during = [whole.drop(f"{number:03}.tif") for number in range(60)]
    whole.until_state("waiting for room")
    whole.until(
        "it is said where",
        lambda: whole.dropbox.figures()["reason"].startswith("the journal has no room: "),
    )
    after = whole.drop("after.tif")
    full(False)
    whole.until_known(*during, after)
    whole.until_settled()
    whole.assert_once(before, after, *during)


def test_the_journal_fills_up_in_the_middle_of_imports(
    whole: Whole, full: Callable[[bool], None]
) -> None:
    dropped = [whole.drop(f"{number:03}.tif") for number in range(40)]
    whole.until("some are imported", lambda: whole.journal.counts()["imported"] > 3)
    full(True)
    time.sleep(2)  # some attempts come to their end meanwhile
    full(False)
    whole.until_known(*dropped)
    whole.until_settled()
    whole.assert_once(*dropped)


def test_no_room_in_the_repository(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    before = whole.drop("before.tif")
    whole.until_known(before)
    real = os.pwrite

    def no_room(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) > 200:  # the image, not the log beside it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data, offset)

    monkeypatch.setattr(rawfiles.os, "pwrite", no_room)
    paths = [whole.drop(f"{number}.tif") for number in range(5)]
    whole.until_state("waiting for room")
    whole.until(
        "it is said where",
        lambda: whole.dropbox.figures()["reason"].startswith("OMERO's repository has no room: "),
    )
    for _ in range(5):  # however often it is tried
        whole.clock.pass_by(300)
        whole.clock.sleep(0.3)
    whole.until("it is still said", lambda: "no room" in whole.dropbox.figures()["reason"])
    assert whole.journal.counts()[State.FAILED] == 0
    monkeypatch.setattr(rawfiles.os, "pwrite", real)

    def done() -> bool:
        whole.leap(300)
        return len(whole.journal.select(State.IMPORTED)) == 6

    whole.until("all are imported", done)
    whole.until_once(before, *paths, leap=300)  # when time passed by, no lease was certain


# -- the watch directory ------------------------------------------------------


def _rename_away(directory: Path) -> Callable[[], None]:
    """As an unmounted share: an empty directory stays where it was."""
    aside = directory.with_name("aside")
    directory.rename(aside)
    directory.mkdir()

    def back() -> None:
        directory.rmdir()
        aside.rename(directory)

    return back


def test_watch_directory_unmounted_and_mounted_again(
    make_whole: Callable[..., Whole],
) -> None:
    whole = make_whole(dirImportWait="1.5")
    imported = whole.drop("imported.tif")
    whole.until_known(imported)
    with whole.clock.halted():  # they do not come to rest before it is away
        settling = [whole.drop(f"settling {number}.tif") for number in range(3)]
        whole.until_known(*settling, states=(State.WAITING,))
        back = _rename_away(whole.watch_dir)
    time.sleep(2)  # their quiet period ends
    assert [whole.in_omero(path) for path in settling] == [[]] * 3
    back()
    after = whole.drop("after.tif")
    whole.until_known(*settling, after)
    whole.assert_once(imported, *settling, after)


def test_watch_directory_unmounted_with_a_queue(whole: Whole) -> None:
    whole.until_known(whole.drop("first.tif"))
    whole.blitz.stop()
    queued = [whole.drop(f"queued {number}.tif") for number in range(3)]
    whole.until_known(*queued, states=(State.QUEUED, State.IMPORTING))
    back = _rename_away(whole.watch_dir)
    whole.blitz.start()
    whole.until("it was tried", lambda: whole.dropbox.figures()["state"] != "waiting for OMERO")
    time.sleep(2)
    back()
    whole.until_known(*queued)
    whole.assert_once(*queued)


# -- the machine's clock ------------------------------------------------------


def test_clock_set_back_an_hour(whole: Whole) -> None:
    before = whole.drop("before.tif")
    whole.until_known(before)
    with whole.clock.halted():
        settling = whole.drop("settling.tif")
        whole.until_known(settling, states=(State.WAITING, State.QUEUED, State.IMPORTING))
        whole.clock.set_wall(-3600)
    after = whole.drop("after.tif")
    whole.until_known(settling, after)
    os.utime(before, (time.time() - 3600, time.time() - 3600))
    last = whole.drop("last.tif")
    whole.until_known(last)
    whole.until_settled()
    whole.assert_once(before, settling, after, last)


# -- names --------------------------------------------------------------------


def test_names_that_are_not_utf8(whole: Whole) -> None:
    odd = os.fsencode(whole.watch_dir / "amy") + b"/odd-\xff.tif"
    good = whole.drop("good.tif")
    with open(odd, "wb") as file:  # noqa: PTH123 - bytes are no Path
        file.write(good.read_bytes() + b"!")
    inside = whole.drop("good too.tif").read_bytes()
    os.mkdir(os.fsencode(whole.watch_dir / "amy") + b"/\xe9t\xe9")  # noqa: PTH102
    with open(os.fsencode(whole.watch_dir / "amy") + b"/\xe9t\xe9/a.tif", "wb") as file:  # noqa: PTH123
        file.write(inside + b"?")
    beside = whole.drop("good as well.tif", user="zak")
    whole.until_known(good, beside)
    whole.until_settled()
    whole.dropbox.rescanner.ask("look again")
    shown = [f"left.{whole.watch_dir}/amy/{name}" for name in (r"odd-\xff.tif", r"\xe9t\xe9/a.tif")]
    told: dict[str, str] = {}  # while a rescan goes on, they are told one after the other

    def both() -> bool:
        told.update(whole.dropbox.figures())
        return set(shown) <= told.keys()

    whole.until("status tells of it", both)
    assert all("UTF-8" in told[name] for name in shown)
    whole.assert_once(good, beside)
    mended = whole.watch_dir / "amy" / "mended.tif"
    os.rename(odd, mended)  # noqa: PTH104
    whole.until_known(mended)
    whole.assert_once(good, beside, mended)


# -- masses -------------------------------------------------------------------

NEVER = "100000"  # s until an import starts: what matters here is the journal


def _peak_mb() -> float:
    """The most memory this process had at a time since it was last asked."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return int(line.split()[1]) / 1024


def _until_all_are(whole: Whole, state: State, number: int) -> None:
    """So many files are in the journal, each once, in `state` but for what is under way."""

    def are() -> bool:
        counts = whole.journal.counts()
        return counts[state] >= number - 2 and sum(counts.values()) >= number

    whole.until(f"{number} files are {state}", are, patience=120)
    paths = [fileset.path for fileset in whole.journal.select()]
    assert len(paths) == len(set(paths)) == number


# With two events each, more than the kernel's queue of events holds (16,384).
@pytest.mark.parametrize("files", [12_000, pytest.param(50_000, marks=pytest.mark.long)])
def test_many_files_in_one_directory(make_whole: Callable[..., Whole], files: int) -> None:
    whole = make_whole(dirImportWait=NEVER)
    directory = whole.watch_dir / "amy" / "run 1"
    directory.mkdir()
    whole.until_state("running")
    _peak_mb()
    before = _peak_mb()
    for number in range(files):
        os.close(os.open(directory / f"{number:05}.tif", os.O_CREAT | os.O_WRONLY))
    _until_all_are(whole, State.WAITING, files)
    most = 50 + files * 0.005  # MB, of FSServer, DropBox and the sandbox together
    assert _peak_mb() - before < most


def _image() -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, numpy.zeros((4, 4), "uint8"))
    return content.getvalue()


@pytest.mark.parametrize("directories", [25, pytest.param(100, marks=pytest.mark.long)])
def test_a_tree_of_many_moved_in(make_whole: Callable[..., Whole], directories: int) -> None:
    whole = make_whole(throttleImport=NEVER)
    aside = whole.watch_dir.parent / "tree"
    image = _image()
    for directory in range(directories):
        (aside / f"{directory // 10}/{directory % 10}").mkdir(parents=True)
        for number in range(100):
            path = aside / f"{directory // 10}/{directory % 10}/{number:02}.tif"
            # Like no other: pixels are at its end.
            path.write_bytes(image[:-4] + struct.pack("<I", 100 * directory + number + 1))
    whole.until_state("running")
    aside.rename(whole.watch_dir / "zak" / "tree")
    _until_all_are(whole, State.QUEUED, 100 * directories)
    whole.stop_dropbox()
    whole.start_dropbox()
    late = whole.drop("late.tif")
    whole.until_known(late, states=(State.QUEUED, State.IMPORTING, State.IMPORTED))
    _until_all_are(whole, State.QUEUED, 100 * directories + 1)
