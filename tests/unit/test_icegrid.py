"""Ice as our servers use it: nobody who does not answer is waited for without end."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import Ice
import pytest

from omero_fs_plugin import grid as asked
from omero_fs_plugin.grid import Grid, command_properties
from omero_fs_plugin.icegrid import INVOCATION_TIMEOUT_MS, server_properties

SOON_S = 20.0  # less than Ice's own limit of a connection


@pytest.fixture
def deaf() -> str:
    """The port of somebody who takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


def test_every_call_of_a_server_has_a_limit(deaf: str) -> None:
    assert server_properties([]).getProperty("Ice.Default.InvocationTimeout") == str(
        INVOCATION_TIMEOUT_MS
    )
    initialization = Ice.InitializationData()
    initialization.properties = server_properties(
        ["--Ice.Default.InvocationTimeout=300", "--Ice.Override.ConnectTimeout=-1"]
    )
    communicator = Ice.initialize(initialization)
    try:
        proxy = communicator.stringToProxy(f"a:tcp -h 127.0.0.1 -p {deaf}")
        with pytest.raises(Ice.InvocationTimeoutException):
            proxy.ice_ping()
    finally:
        communicator.destroy()


class Hanging(Ice.PropertiesAdmin):  # type: ignore[misc]
    """A server that takes a question and never answers, as one that is stopped."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def getPropertiesForPrefix(self, prefix: str, current: Any = None) -> dict[str, str]:
        self.released.wait()
        return {}


def _communicator(properties: Any) -> Any:
    initialization = Ice.InitializationData()
    initialization.properties = properties
    return Ice.initialize(initialization)


def test_a_command_waits_for_no_server_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the registry, as here, the connection itself is well."""
    monkeypatch.setattr(asked, "ASK_MS", 300)
    hanging = Hanging()
    theirs = _communicator(server_properties([]))
    adapter = theirs.createObjectAdapterWithEndpoints("a", "tcp -h 127.0.0.1")
    proxy = adapter.addWithUUID(hanging)
    adapter.activate()
    (tmp_path / "internal.cfg").touch()

    class Admin:
        def getServerAdmin(self, server: str) -> Any:
            return ours.stringToProxy(theirs.proxyToString(proxy))

    ours = _communicator(command_properties(str(tmp_path / "internal.cfg")))
    told: list[dict[str, str]] = []

    def ask() -> None:
        grid = Grid(ours, Admin())
        told.append(grid.figures("FSServer"))
        told.append(grid.properties("FSServer"))
        ours.destroy()

    # Without a facet, as that servant has none.
    monkeypatch.setattr(asked, "STATUS_FACET", "")
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SOON_S)
    ended = not asking.is_alive()
    hanging.released.set()
    asking.join()
    theirs.destroy()
    assert (ended, told) == (True, [{}, {}])


def test_what_an_admin_says_counts() -> None:
    properties = server_properties(["--Ice.Default.InvocationTimeout=7000"])
    assert properties.getProperty("Ice.Default.InvocationTimeout") == "7000"


def test_the_log_has_the_level_and_the_size_that_omeros_properties_say(tmp_path: Path) -> None:
    """As docs/configuration.rst says it.  In a process of its own, whose root logger it sets."""
    program = (
        "import logging, sys\n"
        "from omero_fs_plugin.errors import FsError\n"
        "from omero_fs_plugin.icegrid import run\n"
        "def start(communicator):\n"
        "    logging.info('goes well')\n"
        "    for number in range(100):\n"
        "        logging.warning('%03d is wrong', number)\n"
        "    raise FsError('it ends')\n"
        "sys.exit(run(start, sys.argv))\n"
    )
    logs, config = tmp_path / "log", tmp_path / "config"
    logs.mkdir()
    values = {"directory": logs, "level": 30, "logsize": 2000, "lognum": 2, "timedlog": False}
    given = [f"omero.logging.{name}={value}" for name, value in values.items()]
    config.write_text("\n".join(["Ice.Admin.ServerId=DropBox", *given]))
    done = subprocess.run(
        [sys.executable, "-c", program, f"--Ice.Config={config}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    names = ["DropBox.log", "DropBox.log.1", "DropBox.log.2"]
    assert sorted(one.name for one in logs.iterdir()) == names
    assert all(0 < (logs / name).stat().st_size <= 2000 for name in names)
    told = "".join((logs / name).read_text() for name in reversed(names))
    assert "099 is wrong" in told and "cannot start: it ends" in told and "goes well" not in told
