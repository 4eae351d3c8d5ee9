"""The end of the grid and its next start, while all files of this run are in place."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .api import Omero
from .conftest import QUIET_PERIOD
from .dropping import DropBox
from .server import Server
from .test_commands import assert_one_line
from .waiting import PATIENCE, until

LONG = 3600  # s; a quiet period that no test sees the end of


@dataclass(frozen=True)
class Outage:
    """What was found while the grid was down, and after it came up again."""

    left: dict[int, str]  # processes after `omero admin stop`
    down: dict[str, subprocess.CompletedProcess[str]]  # command -> how it ended meanwhile
    place: DropBox
    while_down: list[Path]  # dropped when nothing ran
    property_long: str  # omero.fs.dirImportWait of the DropBox that was started with LONG
    waiting: list[dict[str, Any]]  # what status then told of `while_down`
    killed: list[dict[str, Any]]  # the same after a kill -9 of that DropBox
    early: dict[Path, list[int]]  # what OMERO then had of them
    property_short: str  # and of the one started after it


@pytest.fixture(scope="module")
def outage(
    new_dropbox: Callable[..., DropBox], grid: Server, omero_api: Omero, tmp_path_factory: Any
) -> Iterator[Outage]:
    place = new_dropbox("amy", "restart")
    before = place.drop("before.tif")
    place.until_imported(before)
    place.assert_once(before)

    omero_api.close()
    grid.stop()
    left = _left(grid)
    handed = tmp_path_factory.mktemp("down") / "image.tif"
    handed.write_bytes(before.read_bytes())
    user = ("--user", "amy")
    down = grid.run_all(
        {
            "status": ["fs", "status"],
            "status --json": ["fs", "status", "--json"],
            "import": ["fs", "import", handed, *user],
            "watch": ["fs", "watch", handed.parent, "--timeout", "1"],
        },
        check=False,
    )
    while_down = [place.drop("while down.tif"), place.drop("new/while down.tif")]
    try:
        grid.configure("omero.fs.dirImportWait", str(LONG))
        grid.run("admin", "start")
        waiting = grid.until_told(*while_down)
        property_long = _quiet_period(grid)
        dropbox = grid.pid("DropBox")
        grid.kill("DropBox")
        until("another DropBox", lambda: grid.pid("DropBox") != dropbox, evidence=grid.evidence)
        killed = grid.until_told(*while_down)
        early = omero_api.fileset_ids(*while_down)
    finally:
        omero_api.close()
        grid.configure("omero.fs.dirImportWait", str(QUIET_PERIOD))
        grid.stop()
        grid.run("admin", "start")
    place.until_imported(*while_down)
    place.until_settled()
    yield Outage(
        left,
        down,
        place,
        while_down,
        property_long,
        waiting,
        killed,
        early,
        _quiet_period(grid),
    )


def _left(grid: Server) -> dict[int, str]:
    """The processes that do not end.

    `omero admin stop` waits until the node does not answer, which may still be on its way out then.
    """
    end = time.monotonic() + PATIENCE
    while (left := grid.processes()) and time.monotonic() < end:
        time.sleep(0.25)
    return left


def _quiet_period(grid: Server) -> str:
    return grid.ice("server property DropBox omero.fs.dirImportWait").stdout.strip()


def test_stop_leaves_no_process_behind(outage: Outage) -> None:
    assert outage.left == {}


@pytest.mark.parametrize("command", ["import", "watch"])
def test_without_a_server_one_line_says_so(outage: Outage, command: str) -> None:
    assert_one_line(outage.down[command], "omero admin start")


def test_without_a_server_status_says_so(outage: Outage) -> None:
    """And shows the journal all the same."""
    done = outage.down["status"]
    assert done.returncode == 3
    (line,) = done.stderr.strip().splitlines()
    assert "omero admin start" in line
    first = done.stdout.splitlines()[0]
    assert " imported" in first
    assert "; last import " in first
    assert "Traceback" not in done.stdout + done.stderr


def test_without_a_server_status_as_json_says_so(outage: Outage) -> None:
    done = outage.down["status --json"]
    assert done.returncode == 3
    assert "Traceback" not in done.stdout + done.stderr
    assert "unreachable" in done.stdout
    assert len(done.stderr.strip().splitlines()) == 1


def test_quiet_period_of_omero_config_holds_after_a_restart(outage: Outage) -> None:
    assert (outage.property_long, outage.property_short) == (str(LONG), str(QUIET_PERIOD))


def test_in_a_long_quiet_period_files_wait(outage: Outage) -> None:
    assert [told["state"] for told in outage.waiting] == ["waiting", "waiting"]


def test_dropbox_killed_in_a_long_quiet_period_goes_on_waiting(outage: Outage) -> None:
    assert [told["state"] for told in outage.killed] == ["waiting", "waiting"]
    assert not any(outage.early.values())


def test_files_that_were_there_before_the_start_are_imported_once(outage: Outage) -> None:
    outage.place.assert_once(*outage.while_down)


def test_nothing_that_was_dropped_in_this_run_is_imported_again(
    outage: Outage, ledger: dict[Path, int]
) -> None:
    assert ledger
    for times in sorted(set(ledger.values())):
        outage.place.assert_times(times, [path for path, n in ledger.items() if n == times])
