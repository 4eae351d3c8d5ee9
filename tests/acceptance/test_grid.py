"""FSServer and DropBox in IceGrid, as an admin finds them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from omero_fs_plugin.config.properties import BY_NAME

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


def test_they_run_below_omeros_priority(
    dropbox: DropBox, grid: Server, config: dict[str, str]
) -> None:
    """With all their threads, and with the processes that group files and run Java."""
    dropbox.until_imported(dropbox.drop("some.tif"))  # the processes that group are there now
    known = BY_NAME["nice"]
    by = int(config.get(known.key) or known.default)
    pid = grid.pid("DropBox")
    node = _parent(pid)
    below = _nice(node)
    ours = [pid, *_descendants(pid)]
    assert len(ours) > 2, "the process that starts others, and those that group"
    assert {number: _of_threads(number) for number in ours} == {
        number: {(min(19, below + by), os.SCHED_BATCH)} for number in ours
    }
    fsserver = {(min(19, below + by // 2), os.SCHED_BATCH)}
    assert _of_threads(grid.pid("FSServer")) == fsserver
    # A nice value counts only within a session, where the kernel shares processors between them.
    assert {os.getsid(number) for number in ours} == {os.getsid(node)}


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _nice(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def _of_threads(pid: int) -> set[tuple[int, int]]:
    """Nice value and policy; a thread may end while we ask."""
    found = set()
    for entry in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            found.add((_nice(int(entry.name)), os.sched_getscheduler(int(entry.name))))
    return found


def _descendants(pid: int) -> list[int]:
    """Those that run."""
    children = [
        int(word)
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for word in file.read_text().split()
    ]
    running = [child for child in children if _stat(child)[0] != "Z"]
    return [*running, *(one for child in running for one in _descendants(child))]


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
