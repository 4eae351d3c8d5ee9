"""An FSServer on each file server machine: three nodes of one grid, each with its icegridnode.

Rule of what is tested: what happens to one node concerns the rules of that node alone.  DropBox
does not rescan by itself here, so what is imported was told of by an FSServer.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.conftest import EXTERNAL

from .api import Omero
from .dropping import DropBox
from .server import Server
from .torture.grid import grid
from .waiting import until

pytestmark = [
    pytest.mark.skipif(EXTERNAL in os.environ, reason="it wants a server of its own"),
    pytest.mark.skipif(os.geteuid() == 0, reason="omero refuses root"),
]

NODES = {"amy": "node2", "zak": "node3"}  # user -> the node that has the user's disk
SERVERS_ON_NODES = [f"FSServer-{node}" for node in NODES.values()]
QUIET_S = 0.5
_numbers = itertools.count(1)


class Machine:
    """A node beside the master, and the FSServer on it."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name
        self.fsserver = f"FSServer-{name}"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped: list[int] = []
        self.start()

    def start(self) -> None:
        """As `omero node NAME start` does, in the foreground."""
        place = self.server.omerodir / "var" / self.name
        place.mkdir(exist_ok=True)
        with (self.server.omerodir / "var" / "log" / f"{self.name}.out").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self.server.omerodir / "bin" / "icegridnode",
                    "--Ice.Config=etc/internal.cfg",
                    f"--IceGrid.Node.Name={self.name}",
                    f"--IceGrid.Node.Data={place}",
                    "--IceGrid.Node.Endpoints=tcp -h 127.0.0.1",
                ],
                cwd=self.server.omerodir,
                env=self.server.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stand_still(self) -> None:
        """SIGSTOP of its FSServer."""
        self._stopped.append(self.server.pid(self.fsserver))
        os.kill(self._stopped[-1], signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        while self._stopped:
            with suppress(ProcessLookupError):
                os.kill(self._stopped.pop(), signal.SIGCONT)

    def kill(self) -> None:
        """The machine is gone: kill -9 of the node and of its FSServer."""
        assert self._process is not None
        pid = self.server.pid(self.fsserver)
        self._process.kill()
        self._process.wait(10)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self.go_on()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)


class Facility:
    """Everybody's directories: amy's disk on node2, zak's on node3, user1's on the master."""

    def __init__(self, server: Server, disks: Path) -> None:
        self.server = server
        self.disks = {user: disks / node / user for user, node in NODES.items()}
        for directory in self.disks.values():
            directory.mkdir(parents=True)
        self.alias = disks / "alias"  # what node3 calls its disk
        self.alias.symlink_to(disks / "node3")
        self.rules = {
            "importUsers": "default;amy;zak",
            "watchDir": f'"";"{self.disks["amy"]}";"{self.disks["zak"]}"',
            "node": ";node2;node3",
            "pathMap": f"node3:{disks / 'node3'}={self.alias}",
            "rescanInterval": "0",
        }
        listed = " ".join(f"{node}:FSServerNode" for node in NODES.values())
        server.stop()
        server.configure(
            "omero.server.nodedescriptors", f"master:Blitz-0,FSServer,DropBox {listed}"
        )
        self.configure(**self.rules)
        server.run("admin", "start")
        self.machines = {node: Machine(server, node) for node in NODES.values()}
        server.until_healthy()
        config = server.whole_config()
        port = int(config.get("omero.ports.prefix", "") + config.get("omero.ports.ssl", "4064"))
        self.omero = Omero("localhost", port, server.root_password)
        self.dropped: list[Path] = []

    def configure(self, **properties: str) -> None:
        self.server.configure_all({f"omero.fs.{k}": value for k, value in properties.items()})

    def of(self, user: str) -> DropBox:
        directory = self.disks.get(user, self.server.omerodir / "data" / "DropBox" / user)
        return DropBox(self.server, self.omero, user, directory, {})

    def drop(self, user: str) -> Path:
        self.dropped.append(self.of(user).drop(f"{next(_numbers)}.tif"))
        return self.dropped[-1]

    def imported(self, user: str) -> None:
        """A file of this user, now, is told of and imported."""
        path = self.drop(user)
        (fileset,) = self.of(user).until_imported(path)
        assert fileset.owner == user

    def problems(self) -> dict[str, str]:
        """Node -> what `omero fs status` says of a rule of it."""
        watched = self.server.status()["watched"]
        return {rule["node"]: rule["problem"] for rule in watched if rule["problem"]}

    def until_problems(self, look: Callable[[dict[str, str]], object]) -> dict[str, str]:
        return until(
            "status tells it",
            lambda: (found := self.problems(), look(found))[1] and found,
            evidence=self.server.evidence,
        )

    def close(self) -> None:
        self.omero.close()
        for machine in self.machines.values():
            machine.close()


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    place = tmp_path_factory.mktemp("nodes")
    with ExitStack() as stack:
        made = stack.enter_context(
            grid(
                place / "sandbox",
                ["user1"],
                quiet_period=QUIET_S,
                bioformats=False,
                fault_points=False,
            )
        )
        facility = Facility(made.server, place / "disks")
        stack.callback(facility.close)
        yield facility
        # Nothing lost, nothing twice, whatever happened.
        facility.of("amy").assert_once(*facility.dropped)


def others(facility: Facility) -> None:
    """Everybody but amy goes on."""
    for user in ("zak", "user1"):
        facility.imported(user)


def test_each_disk_is_watched_by_its_own_node(facility: Facility) -> None:
    for user in ("amy", "zak", "user1"):
        facility.imported(user)
    status = facility.server.status()
    nodes = [rule["node"] for rule in status["watched"]]
    assert nodes == ["", "node2", "node3"]
    watched = {monitor["node"]: monitor["path"] for monitor in status["monitors"]}
    assert watched["node2"] == str(facility.disks["amy"])
    assert watched["node3"] == str(facility.alias / "zak")  # by omero.fs.pathMap
    said = facility.server.run("fs", "status", "--details").stdout
    assert f"watched for amy on node2: {facility.disks['amy']}" in said
    checked = facility.server.run("fs", "check", check=False).stdout
    assert f"FSServer-node2 watches {facility.disks['amy']}" in checked


def test_one_that_is_killed_hurts_nobody_else(facility: Facility) -> None:
    machine = facility.machines["node2"]
    os.kill(facility.server.pid(machine.fsserver), signal.SIGKILL)
    facility.drop("amy")
    others(facility)
    facility.imported("amy")


def test_one_that_hangs_hurts_nobody_else(facility: Facility) -> None:
    machine = facility.machines["node2"]
    machine.stand_still()
    try:
        first = facility.drop("amy")  # the rescan since the kill before may still meet this one
        others(facility)
        facility.until_problems(lambda found: "node2" in found)
        waits = facility.drop("amy")
        others(facility)
        assert facility.of("amy").omero.imported_ids(waits)[waits] == []
        assert set(facility.problems()) == {"node2"}
    finally:
        machine.go_on()
    facility.of("amy").until_imported(first, waits)
    facility.imported("amy")
    facility.server.until_healthy()


def test_a_node_that_is_gone_is_named_and_hurts_nobody_else(facility: Facility) -> None:
    machine = facility.machines["node2"]
    machine.kill()
    waits = facility.drop("amy")
    others(facility)
    found = facility.until_problems(lambda found: "node2" in found)
    assert "node2" in found["node2"] and set(found) == {"node2"}
    done = facility.server.run("fs", "status", check=False)
    assert "FSServer-node2" in done.stdout + done.stderr
    # IceGrid takes no change without a restart while a node is down.
    facility.configure(whitelist=".tif")
    refused = facility.server.run("fs", "reload", check=False)
    assert refused.returncode == 1 and "the node node2 is down" in refused.stderr
    assert "`omero node node2 start`" in refused.stderr
    others(facility)
    machine.start()
    facility.of("amy").until_imported(waits)
    taken = facility.server.run("fs", "reload").stdout.splitlines()
    assert taken == [f"{s}: taken" for s in ("FSServer", "DropBox", *SERVERS_ON_NODES)]
    facility.configure(whitelist="")
    facility.server.ask("fs", "reload")
    facility.server.until_healthy()
    facility.imported("amy")


def test_a_rule_moves_to_another_node_and_an_unknown_one_is_named(facility: Facility) -> None:
    facility.configure(node=";node3;node3")
    facility.server.ask("fs", "reload")
    facility.server.until_healthy()
    facility.imported("amy")
    monitors = {one["path"]: one["node"] for one in facility.server.status()["monitors"]}
    assert monitors[str(facility.disks["amy"])] == "node3"
    assert "node2" not in monitors.values()
    facility.configure(node=";node9;node3")
    facility.server.ask("fs", "reload")
    found = facility.until_problems(lambda found: "node9" in found)
    assert found["node9"].startswith("the grid has no FSServer-node9: list FSServerNode for node9")
    assert "\n" not in found["node9"]
    others(facility)
    checked = facility.server.run("fs", "check", check=False).stdout
    assert "omero.fs.node is node9, and the grid has no FSServer-node9" in checked
    facility.configure(node=";node2;node3")
    facility.server.ask("fs", "reload")
    facility.server.until_healthy()
    facility.imported("amy")


@pytest.mark.long
def test_blows_at_random_for_long(facility: Facility) -> None:
    """Nodes, FSServers and DropBox are killed or stand still, while everybody drops files."""
    chance = random.Random(15)
    end = time.monotonic() + float(os.environ.get("OMERO_FS_NODES_S", "40"))
    server, machines = facility.server, list(facility.machines.values())
    blows: Counter[str] = Counter()
    while time.monotonic() < end:
        for user in ("amy", "zak", "user1"):
            facility.drop(user)
        time.sleep(chance.uniform(0.2, 2.0))
        machine = chance.choice(machines)
        blow = chance.choice(["DropBox", "FSServer", "FSServer of a node", "node", "still"])
        blows[blow] += 1
        if blow == "node":
            machine.kill()
            facility.drop("amy")
            facility.drop("zak")
            time.sleep(chance.uniform(0.0, 3.0))
            machine.start()
        elif blow == "still":
            machine.stand_still()
            facility.drop("amy")
            facility.drop("zak")
            time.sleep(chance.uniform(0.0, 6.0))
            machine.go_on()
        else:
            server.kill(machine.fsserver if blow == "FSServer of a node" else blow)
    print(f"{blows.total()} blows, {len(facility.dropped)} files: {dict(blows)}")  # noqa: T201
    server.until_healthy()
    facility.of("amy").until_imported(*facility.dropped)
    for user in ("amy", "zak", "user1"):
        facility.imported(user)
