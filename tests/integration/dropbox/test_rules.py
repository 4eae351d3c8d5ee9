"""DropBox under rules for users: a wrong one, a change while it runs, a user with two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import QUIET_S, Whole


def reconfigure(whole: Whole, **properties: str) -> dict[str, str]:
    """As IceGrid does; what DropBox says of it afterwards."""
    before = whole.dropbox.figures()["seen"]
    now = whole.properties | {f"omero.fs.{name}": value for name, value in properties.items()}
    whole.dropbox.reconfigure(now)
    whole.until("DropBox has seen it", lambda: whole.dropbox.figures()["seen"] != before)
    return whole.dropbox.figures()


def monitor_of(whole: Whole) -> str:
    """That of FSServer.  DropBox is at work before it has one."""
    whole.until("it watches", lambda: whole.dropbox.figures()["monitor"])
    return whole.dropbox.figures()["monitor"]


def test_a_wrong_entry_stops_that_user_and_no_other(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(importUsers="amy;zak", dirImportWait=f"{QUIET_S};soon")
    of_amy, of_zak = whole.drop("a.tif"), whole.drop("z.tif", user="zak")
    whole.until_known(of_amy)
    figures = whole.dropbox.figures()
    problem = "omero.fs.dirImportWait = 'soon' for zak: must be a number of seconds"
    assert figures["problem.1"].startswith(problem)
    assert figures["watch.1.user"] == "amy"
    assert "watch.2.user" not in figures
    assert str(of_zak) not in {row.path for row in whole.journal.select()}
    figures = reconfigure(whole, dirImportWait=str(QUIET_S))
    assert "problem.1" not in figures
    whole.until_known(of_zak)
    whole.assert_once(of_amy, of_zak)


def test_what_is_wrong_for_all_imports_nothing_until_it_is_mended(
    make_whole: Callable[..., Whole],
) -> None:
    whole = make_whole(duplicates="maybe")
    path = whole.drop("a.tif")
    whole.until_state("misconfigured")
    assert "skip or import" in whole.dropbox.figures()["reason"]
    assert whole.journal.select() == []
    reconfigure(whole, duplicates="skip")
    whole.until_known(path)
    whole.until_state("running")


def test_a_wrong_change_is_refused_and_the_former_goes_on(whole: Whole) -> None:
    whole.until_state("running")
    monitor = monitor_of(whole)
    figures = reconfigure(whole, pathMode="Folow", watchDir="elsewhere")
    assert "did you mean Follow?" in figures["refused"]
    assert "must be an absolute path" in figures["refused"]
    assert figures["monitor"] == monitor
    whole.until_known(whole.drop("a.tif"))


def test_a_change_of_the_quiet_period_keeps_the_monitor(whole: Whole) -> None:
    whole.until_state("running")
    monitor = monitor_of(whole)
    figures = reconfigure(whole, dirImportWait="0.1", throttleImport="0.01")
    assert figures["monitor"] == monitor
    whole.until_known(whole.drop("a.tif"))


def test_what_waits_goes_on_when_its_rule_is_dropped(
    make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    users, places = "default;amy", f';"{own}"'
    whole = make_whole(importUsers=users, watchDir=places, dirImportWait="2")
    whole.until_state("running")
    path = own / "a.tif"
    path.write_bytes(whole.drop("b.tif", user="zak").read_bytes())
    whole.until("it is met", lambda: any(r.path == str(path) for r in whole.journal.select()))
    reconfigure(whole, importUsers="default", watchDir="")
    whole.until_known(path)
    assert whole.row(path).user == "amy"


def test_a_rule_is_added_and_its_files_found(
    make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    whole = make_whole()
    own = tmp_path / "own"
    own.mkdir()
    path = own / "a.tif"
    path.write_bytes(whole.drop("b.tif", user="zak").read_bytes())
    figures = reconfigure(whole, importUsers="default;amy", watchDir=f';"{own}"')
    assert [figures["watch.1.user"], figures["watch.2.user"]] in (
        ["default", "amy"],
        ["amy", "default"],
    )
    whole.until_known(path)
    assert whole.row(path).user == "amy"


def test_monitors_of_a_dropbox_that_was_killed_are_destroyed(
    make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    whole = make_whole(importUsers="default;amy", watchDir=f';"{own}"')
    whole.until("both watch", lambda: len(whole.journal.notes("monitor")) == 2)
    left = whole.journal.notes("monitor")
    whole.stop_dropbox()
    for key, monitor in left.items():  # as one that was killed leaves them
        whole.journal.note(key, monitor)
    whole.start_dropbox(importUsers="default", watchDir="")
    (key,) = [key for key in left if ":amy:" in key]
    whole.until("it is gone", lambda: not whole.journal.noted(key))


@pytest.mark.parametrize("mode", ["Flat", "Recurse"])
def test_a_narrow_path_mode_holds_for_rescans_too(
    make_whole: Callable[..., Whole], mode: str
) -> None:
    whole = make_whole(pathMode=mode)
    whole.until_state("running")
    deep = whole.drop("later/deep.tif")
    whole.until_known(whole.drop("a.tif"))
    whole.dropbox.rescanner.ask()
    whole.until_known(whole.drop("b.tif"))
    assert str(deep) not in {row.path for row in whole.journal.select()}
    assert whole.journal.counts()[State.IMPORTED] == 2
