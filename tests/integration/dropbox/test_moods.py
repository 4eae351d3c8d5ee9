"""DropBox against an OMERO that is slow and moody: what waits, what backs off, what fails."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.importing import (
    activity,
    beginning,
    blame,
    leftovers,
    outage,
    pace,
    tidying,
    workers,
)
from omero_fs_plugin.dropbox.journal.records import GONE
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.service.figures import troubles
from omero_fs_plugin.sandbox.moods import NO_CONNECTION_FREE, Fault, Moods, write
from tests.integration.whole import Whole


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules, in a test's time."""
    monkeypatch.setattr(workers, "_PING_S", 0.2)
    monkeypatch.setattr(tidying, "_PING_S", 0.2)
    monkeypatch.setattr(outage, "PING_S", 0.2)
    monkeypatch.setattr(pace, "FIRST_REST_S", 0.1)
    monkeypatch.setattr(pace, "TOGETHER_S", 0.1)
    # How long what an import left shows no sign of life, by OMERO's clock.
    for module, name, seconds in (
        (activity, "START_S", 1.0),
        (activity, "FILE_S", 0.1),
        (activity, "LATE_S", 1.0),
        (leftovers, "LATE_S", 1.0),
        (activity, "WATCH_S", 0.2),
        (tidying, "SWEEP_S", 0.2),
    ):
        monkeypatch.setattr(module, name, seconds)


def _moods(whole: Whole, moods: Moods | None = None) -> None:
    write(whole.blitz.data, moods)


def _hurry(whole: Whole, *paths: Path) -> None:
    """As `until_known`, while time flies: what an interrupted import left is waited for."""
    wanted = set(map(str, paths))
    # First, for OMERO's clock does not fly: what it makes must be younger than the files' rows.
    whole.until("all are met", lambda: wanted <= {f.path for f in whole.journal.select()})

    def look() -> bool:
        whole.clock.pass_by(2.0)
        return wanted <= {f.path for f in whole.journal.select(State.IMPORTED)}

    whole.until(f"{len(wanted)} files are imported", look)


def _until_once(whole: Whole, *paths: Path) -> None:
    """OMERO has one fileset of each, and nothing that an attempt left there, in the end."""
    whole.until(
        "nothing is left of the attempts",
        lambda: all(len(whole.in_omero(path)) == 1 for path in paths),
    )
    whole.assert_once(*paths)


def _troubles(whole: Whole) -> dict[str, str]:
    """What admins would be told."""
    dropbox = whole.dropbox
    return troubles(dropbox.parts, dropbox.subscriptions, dropbox.configuration)


def _refusals(whole: Whole) -> int:
    return sum(fileset.refusals for fileset in whole.journal.select())


def test_its_database_is_away_and_no_file_pays_for_it(make_whole: Callable[..., Whole]) -> None:
    """Twelve files meet the outage; hundreds failed within seconds of one before."""
    whole = make_whole(importers="4", retryInterval="0.1")
    first = whole.drop("first.tif")
    whole.until_known(first)
    _moods(whole, Moods(database="away"))
    paths = [whole.drop(f"{n}.tif", user) for n in range(6) for user in ("amy", "zak")]
    whole.until_state("waiting for OMERO")
    whole.until(
        "all are queued",
        lambda: {f.path for f in whole.journal.select(State.QUEUED)} == set(map(str, paths)),
    )
    assert not whole.journal.counts()[State.FAILED]
    _moods(whole)
    whole.until_known(*paths)
    whole.assert_once(*paths)
    assert _refusals(whole) == 0
    whole.until_state("running")


@pytest.mark.parametrize(
    "calls",
    [
        # Before the upload, after it, when the images are there, and before all of this.
        r"ManagedRepository\.importFileset",
        r"ImportProcess\.verifyUpload",
        r"ImportRequest\.end",
        r"IAdmin\..*",
        *(
            pytest.param(calls, marks=pytest.mark.long)
            for calls in (r"RawFileStore\.close", r"ImportRequest\.begin", r"IQuery\.projection")
        ),
    ],
)
def test_a_busy_database_wherever_it_is_met(make_whole: Callable[..., Whole], calls: str) -> None:
    """Also within an import's ERR, where the message says nothing of it."""
    whole = make_whole(importers="4", retryInterval="0.1")
    fault = Fault(calls, "DatabaseBusyException", NO_CONNECTION_FREE, times=6)
    _moods(whole, Moods(faults=(fault,)))
    paths = [whole.drop(f"{n}.tif") for n in range(4)]
    _hurry(whole, *paths)
    _until_once(whole, *paths)
    assert _refusals(whole) == 0


def test_it_backs_off_and_says_so(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(importers="4")
    fault = Fault(
        r"ManagedRepository\.importFileset", "DatabaseBusyException", NO_CONNECTION_FREE, times=3
    )
    _moods(whole, Moods(faults=(fault,)))
    paths = [whole.drop(f"{n}.tif") for n in range(4)]
    whole.until("status says so", lambda: whole.dropbox.figures()["busy"])
    whole.until_known(*paths)
    assert " of 4 imports at a time: importing: cannot get" in whole.dropbox.figures()["busy"]
    for n in range(8):  # time passes, and imports go through
        whole.clock.pass_by(pace.RISE_S + pace.LONGEST_REST_S)
        whole.until_known(whole.drop(f"later-{n}.tif"))
    whole.until("it is at its pace again", lambda: not whole.dropbox.figures()["busy"])


def test_what_nobody_knows_is_waited_for(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(importers="2", retryInterval="0.1")
    whole.until_known(whole.drop("first.tif"))
    fault = Fault(r"ManagedRepository\.importFileset", "InternalException", "null")
    _moods(whole, Moods(faults=(fault,)))
    paths = [whole.drop(f"{n}.tif") for n in range(3)]
    whole.until_state("waiting for OMERO")
    _moods(whole, Moods(faults=(replace(fault, times=3),)))  # and then it is well
    _hurry(whole, *paths)
    assert not whole.journal.counts()[State.FAILED]


def test_a_file_that_alone_meets_it_again_and_again_fails_in_the_end(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go through meanwhile, so that it is the file and not OMERO."""
    for module in (outage, blame):
        monkeypatch.setattr(module, "IN_VAIN_S", 0.3)
    monkeypatch.setattr(blame, "TRY_AGAIN_S", (0.1, 0.1))
    whole = make_whole(importers="2", retryInterval="0.1")
    fault = Fault(r"ManagedRepository\.importFileset", "InternalException", "null", user="amy")
    _moods(whole, Moods(faults=(fault,)))
    bad, good = whole.drop("bad.tif", "amy"), []

    def failed() -> bool:
        good.append(whole.drop(f"{len(good)}.tif", "zak"))
        whole.until_known(good[-1])
        return bool(whole.journal.select(State.FAILED))

    whole.until("it has failed", failed)
    assert whole.row(bad).state is State.FAILED and whole.row(bad).refusals == 3
    whole.assert_once(*good)


def test_late_logins_are_waited_for(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(retryInterval="0.1")
    whole.blitz.stop()
    _moods(whole, Moods(late=1.0))
    whole.blitz.start()
    path = whole.drop("a.tif")
    whole.until_known(path)
    whole.assert_once(path)
    assert _refusals(whole) == 0


@pytest.mark.parametrize("logins", ["refused", "null"])
def test_logins_that_are_refused_are_waited_for(
    make_whole: Callable[..., Whole], logins: str
) -> None:
    whole = make_whole(retryInterval="0.1")
    _moods(whole, Moods(logins=logins))
    path = whole.drop("a.tif")
    whole.until_state("OMERO is starting")
    said = r"for \d+ s: ."
    whole.until("it is told since when", lambda: re.match(said, whole.dropbox.figures()["reason"]))
    assert "OMERO" not in _troubles(whole), "nobody is alarmed"
    whole.clock.pass_by(beginning.PATIENCE_S)
    whole.until_state("waiting for OMERO")
    whole.until("admins are told", lambda: "OMERO" in _troubles(whole))
    _moods(whole)
    whole.until_known(path)
    whole.until_state("running")
    assert _refusals(whole) == 0


def test_an_omero_that_was_there_is_away_and_not_starting(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(retryInterval="0.1")
    whole.until_known(whole.drop("a.tif"))
    _moods(whole, Moods(logins="refused"))
    whole.blitz.stop()
    whole.drop("b.tif")
    whole.until_state("waiting for OMERO")


def test_that_omero_is_starting_is_known_without_any_file(
    make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    data = tmp_path / "OMERO"
    data.mkdir()
    write(data, Moods(database="away"))
    whole = make_whole(retryInterval="0.1")
    whole.until_state("OMERO is starting")
    _moods(whole)
    whole.until_state("running")


def test_files_of_nobody_that_were_removed_leave_the_queue(whole: Whole) -> None:
    """The name was taken for a user's while OMERO was away; then the whole directory went."""
    _moods(whole, Moods(database="away"))
    gone, there = whole.drop("gone.tif", "eve"), whole.drop("there.tif", "mallory")
    wanted = {str(gone), str(there)}
    whole.until(
        "both are queued", lambda: {f.path for f in whole.journal.select(State.QUEUED)} == wanted
    )
    shutil.rmtree(gone.parent)
    _moods(whole)
    whole.until_known(gone, states=(State.SKIPPED,))
    assert whole.row(gone).reason == GONE
    whole.until("status tells of mallory", lambda: "left.mallory" in whole.dropbox.figures())
    assert whole.row(there).state is State.QUEUED
    whole.until("and of eve no more", lambda: "left.eve" not in whole.dropbox.figures())
