"""FSServer and DropBox in IceGrid, as an admin finds them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import QUIET_PERIOD
from .dropping import DropBox
from .server import Server
from .waiting import until

SERVERS = ("FSServer", "DropBox")


@pytest.fixture(scope="module")
def answers(grid: Server) -> dict[str, str]:
    """What `omero admin ice` answered: the rest of its command line -> output."""
    asked = [
        "server list",
        "object list",
        "server property DropBox omero.fs.dirImportWait",
        *(f"server pid {name}" for name in SERVERS),
        *(f"server state {name}" for name in SERVERS),
    ]
    ends = grid.run_all({words: ["admin", "ice", *words.split()] for words in asked})
    return {words: done.stdout for words, done in ends.items()}


def test_server_list_shows_them(answers: dict[str, str]) -> None:
    assert set(SERVERS) <= set(answers["server list"].split())


def test_well_known_objects_keep_their_names(answers: dict[str, str]) -> None:
    assert {"MonitorServer", "FileServer"} <= set(answers["object list"].split())


@pytest.mark.parametrize("name", SERVERS)
def test_server_pid_and_state(answers: dict[str, str], grid: Server, name: str) -> None:
    pid = grid.pid(name)
    assert int(answers[f"server pid {name}"]) == pid
    assert answers[f"server state {name}"].strip() == f"active (pid = {pid}, enabled)"


def test_quiet_period_set_with_omero_config_is_the_running_servers(
    answers: dict[str, str],
) -> None:
    told = answers["server property DropBox omero.fs.dirImportWait"]
    assert told.strip() == str(QUIET_PERIOD)


@pytest.mark.parametrize("name", SERVERS)
def test_switched_off_and_on(new_dropbox: Callable[..., DropBox], grid: Server, name: str) -> None:
    """disable, stop, enable, start; state and `omero fs status` tell, and no file is lost."""
    place = new_dropbox("amy", f"{name} switched")
    off = grid.ice(f"server disable {name}; server stop {name}; server state {name}").stdout
    assert off.strip() == "inactive (disabled)"
    path = place.drop("while off.tif")
    status = grid.run("fs", "status", check=False)
    assert status.returncode == 3
    assert f"{name} is inactive (disabled)" in status.stdout + status.stderr

    # An enabled server that is always to be active may be up before it is told to start.
    grid.ice(f"server enable {name}; server start {name}", check=False)
    assert grid.ice(f"server state {name}").stdout.strip().endswith("enabled)")
    place.until_imported(path)
    grid.until_healthy()
    place.assert_once(path)


def test_restart_of_dropbox_imports_nothing_again(dropbox: DropBox) -> None:
    server = dropbox.server
    paths = dropbox.drop_many(3)
    dropbox.until_imported(*paths)
    before = server.pid("DropBox")
    server.ice("server stop DropBox; server start DropBox", check=False)  # as above
    until(
        "another DropBox runs",
        lambda: server.pid("DropBox") != before,
        evidence=server.evidence,
    )
    dropbox.until_settled()
    dropbox.assert_once(*paths)
