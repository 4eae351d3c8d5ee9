"""A sandbox as `omero fs sandbox create` makes it, run by the unmodified `omero admin`."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import Glacier2
import omero.clients
import pytest
from omero.config import ConfigXml

import omero
from omero_fs_plugin.sandbox.create import create
from tests.acceptance.warm import Warm, as_in

pytestmark = [
    pytest.mark.skipif(os.geteuid() == 0, reason="omero refuses root"),
    pytest.mark.skipif(not shutil.which("icegridnode"), reason="needs zeroc-icegrid"),
]


class Grid:
    """One sandbox, running."""

    def __init__(self, directory: Path) -> None:
        made = create(directory, users=["eve"], with_fs=False)
        self.directory, self.port = made.directory, made.ports.router
        self.warm = Warm(as_in(directory, os.environ))
        done = self.omero("admin", "start", "--wait", "60")
        assert done.returncode == 0, done.stdout + done.stderr
        self.ports = made.ports
        assert f"omero.port={self.port}\n" in (directory / "etc/ice.config").read_text()
        self.until_it_takes_logins()
        done = self.omero("login", "-s", f"localhost:{self.port}", "-u", "root", "-w", "omero")
        assert done.returncode == 0, done.stdout + done.stderr

    def omero(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(self.directory, *arguments)

    def until_it_takes_logins(self) -> None:
        """`omero admin start` waits for Blitz, and not for the router beside it."""
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("localhost", self.port)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "no router 60 s after the start"
                time.sleep(0.2)
            else:
                return

    def client(self, name: str, password: str) -> Any:
        """A client over ssl, through the router, and its session."""
        made = omero.client(host="localhost", port=self.port)
        try:
            made.createSession(name, password)
        except BaseException:
            made.__del__()
            raise
        return made

    def processes(self) -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command, cwd = (process / "cmdline").read_bytes(), (process / "cwd").readlink()
            except OSError:
                continue  # gone, or another user's
            if str(self.directory).encode() in command or cwd == self.directory:
                found.append(int(process.name))
        return found


@pytest.fixture(scope="module")
def grid() -> Iterator[Grid]:
    with tempfile.TemporaryDirectory(prefix="sandbox-") as parent:
        made = Grid(Path(parent) / "omero")
        try:
            yield made
        finally:
            made.omero("admin", "stop", "--wait", "30")
            made.warm.close()


@pytest.fixture
def client(grid: Grid) -> Iterator[Callable[[str, str], Any]]:
    made: list[Any] = []

    def log_in(name: str, password: str) -> Any:
        made.append(grid.client(name, password))
        return made[-1]

    yield log_in
    for one in made:
        one.__del__()


def test_logging_in_through_the_router(client: Any) -> None:
    amy = client("amy", "amy")
    context = amy.sf.getAdminService().getEventContext()
    assert (context.userName, context.groupName) == ("amy", "amy_group")
    assert str(context.groupPermissions) == "rw----"
    assert "sandbox" in amy.sf.getConfigService().getVersion()
    with pytest.raises(Glacier2.PermissionDeniedException):
        client("amy", "wrong")


def test_a_session_opened_by_root_is_joined_and_outlives_its_client(client: Any) -> None:
    root = client("root", "omero")
    service = root.sf.getSessionService()
    principal = omero.sys.Principal("zak", "", "User", None)
    opened = service.createSessionWithTimeouts(principal, 0, 600_000)
    for _ in range(2):  # closing it leaves it alive
        joined = omero.client(host="localhost", port=int(root.getProperty("omero.port")))
        session = joined.joinSession(opened.uuid.val)
        assert session.getAdminService().getEventContext().userName == "zak"
        joined.closeSession()
    service.closeSession(opened)
    with pytest.raises(Glacier2.PermissionDeniedException):
        client(opened.uuid.val, opened.uuid.val)


def test_a_session_may_not_call_the_objects_of_another(client: Any) -> None:
    amy, zak = client("amy", "amy"), client("zak", "zak")
    secret = amy.ic.proxyToString(amy.sf.getQueryService())
    stolen = omero.api.IQueryPrx.uncheckedCast(zak.ic.stringToProxy(secret))
    with pytest.raises(Exception, match="ObjectNotExist"):
        stolen.findAll("Image", None)


def test_callbacks_reach_the_client(client: Any) -> None:
    amy = client("amy", "amy")
    callback = amy.submit(omero.cmd.CurrentSessionsRequest())
    assert any(c.userName == "amy" for c in callback.getResponse().contexts)
    callback.close(True)


@pytest.fixture
def other(grid: Grid, tmp_path: Path) -> Iterator[Path]:
    """Another sandbox, not running, which somebody gave the ports of the one that runs."""
    directory = create(tmp_path / "other").directory
    config = ConfigXml(str(directory / "etc/grid/config.xml"))
    for name, value in dataclasses.asdict(grid.ports).items():
        config[f"omero.ports.{name}"] = str(value)
    config.close()
    rewritten = _run(directory, "admin", "rewrite")
    assert rewritten.returncode == 0, rewritten.stderr
    yield directory
    shutil.rmtree(directory)  # pytest keeps its own, and with it the ports would stay reserved


def test_another_sandbox_with_the_same_ports_does_not_show_this_grid(
    grid: Grid, other: Path, tmp_path: Path
) -> None:
    dropped = other / "data/DropBox/amy/a.txt"
    dropped.write_text("a")
    codes = {
        ("status",): 3,
        ("status", "--json"): 3,
        ("users",): 3,
        ("reload",): 3,
        ("watch", str(tmp_path)): 3,
        ("import", str(dropped)): 3,
        ("check",): 3,
    }
    for command, code in codes.items():
        done = _run(other, "fs", *command)
        told = done.stdout + done.stderr
        assert done.returncode == code, told
        assert f"the OMERO server of {other} is not running" in told, command
        assert f"the grid of {grid.directory}/var/master" in told, command
        assert "active" not in done.stdout, command


def _run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(directory / "bin/omero"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("admin status", ""),
        ("admin diagnostics", "sandbox"),
        ("config get omero.data.dir", "/data"),
        ("user list", "eve"),
        ("group list", "zak_group"),
        ("sessions who", "root"),
        ("fs repos", "Managed"),
        ("fs sets --style csv", "Prefix"),
        ("fs images --style csv", "# Files"),
        ("obj get Experimenter:2", "omeName=amy"),
        ("obj new Dataset name=abc", "Dataset:"),
        ("user add fred Fred Flint --group-name amy_group -P pw", "Added user fred"),
        ("group add newg --type read-only", "rwr---"),
        ("hql -q --style plain select\tcount(x)\tfrom\tDataset\tx", ",1"),
    ],
)
def test_the_command_line(grid: Grid, command: str, says: str) -> None:
    words = [word.replace("\t", " ") for word in command.split(" ")]
    done = grid.warm.run(words, limit=120.0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert says in done.stdout


def test_after_a_kill_it_is_back_and_has_forgotten_its_sessions(grid: Grid, client: Any) -> None:
    amy = client("amy", "amy")
    key = amy.getSessionId()
    done = grid.omero("admin", "ice", "server pid Blitz-0")
    os.kill(int(done.stdout.split()[-1]), signal.SIGKILL)
    with pytest.raises(Exception, match=r"."):
        amy.sf.keepAlive(None)
    deadline = time.monotonic() + 60
    while True:
        try:
            assert client("amy", "amy").sf.keepAlive(None)
            break
        except (omero.ClientError, omero.ServerError, Glacier2.CannotCreateSessionException,
                Glacier2.PermissionDeniedException):  # fmt: skip
            assert time.monotonic() < deadline, "no login within 60 s of the kill"
            time.sleep(0.5)
    with pytest.raises(Glacier2.PermissionDeniedException):
        client(key, key)


def test_stop_leaves_no_process_and_start_brings_it_back(grid: Grid) -> None:
    assert grid.processes()
    done = grid.omero("admin", "stop", "--wait", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    deadline = time.monotonic() + 30
    while grid.processes():
        assert time.monotonic() < deadline, "processes left over"
        time.sleep(0.2)
    assert grid.omero("admin", "rewrite").returncode == 0
    done = grid.omero("admin", "start", "--wait", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    grid.until_it_takes_logins()
    made = grid.client("eve", "eve")
    made.__del__()
