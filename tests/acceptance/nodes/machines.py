"""A grid of a master and other machines, each with an icegridnode and a link to the database."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import Holder
from omero_fs_plugin.sandbox import moods
from tests.acceptance.server import Server, command_lines, made_sandbox, search_path
from tests.acceptance.torture.grid import STANDBY, Grid
from tests.integration.dropbox.journal.postgres import running

from .network import Network

MASTER, STANDBY_NODE = "master", "standby"
IMPORTERS = 4  # of each machine
_ADDRESS = "PGHOSTADDR"  # libpq's variable: where the host of a URL is


class Machine:
    """A node beside the master.  Its host name is its own, so that no other knows its processes."""

    def __init__(self, server: Server, name: str, address: str) -> None:
        self.name, self.running = name, False
        self._server, self._address = server, address
        self._place = server.omerodir / "var" / name
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """As `omero node NAME start` does, in the foreground."""
        self._place.mkdir(exist_ok=True)
        node = (
            *("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name),
            str(self._server.omerodir / "bin" / "icegridnode"),
            "--Ice.Config=etc/internal.cfg",
            f"--IceGrid.Node.Name={self.name}",
            f"--IceGrid.Node.Data={self._place}",
            "--IceGrid.Node.Endpoints=tcp -h 127.0.0.1",
        )
        with (self._server.omerodir / "var" / "log" / f"{self.name}.out").open("ab") as log:
            self._process = subprocess.Popen(
                node,
                cwd=self._server.omerodir,
                env={**self._server.environment, _ADDRESS: self._address},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.running = True

    def kill(self) -> None:
        """kill -9 of the node and of all its servers: the machine is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        for pid, words in command_lines().items():
            if any(f"{self._place}/servers/" in word for word in words):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.running = False

    def close(self) -> None:
        """Ends it in peace."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


@dataclass
class Site:
    """All of it."""

    grid: Grid
    network: Network
    journal: Journal  # to look at; over a way of its own that is never cut
    users: Sequence[str]
    machines: dict[str, Machine] = field(default_factory=dict)

    @property
    def server(self) -> Server:
        return self.grid.server

    def import_takes(self, seconds: float) -> None:
        """So long, from now on, at the server."""
        moods.write(self.server.omerodir / "data", moods.Moods(imports=seconds))

    def importing(self) -> int:
        """How many machines have imports under way."""
        return sum(bool(node.claims) for node in self.journal.nodes())

    def active(self) -> str:
        """The machine of the DropBox that has the lease; empty if nobody has it."""
        holder = self.journal.lease().holder
        if not holder:
            return ""
        return STANDBY_NODE if Holder.parse(holder).host == STANDBY_NODE else MASTER


@contextmanager
def site(directory: Path, users: Sequence[str], nodes: int) -> Iterator[Site]:
    """Running, with no machine but the master started yet.

    `nodes` machines have importers, and one more has a DropBox on standby.
    """
    with ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        addresses = {name: network.link(name) for name in (MASTER, STANDBY_NODE, *names(nodes))}
        postgres = stack.enter_context(running(network.inside))
        there = postgres.url("nodes")
        options = there.partition("&")[2]
        omerodir = directory / "sandbox"
        omero = made_sandbox(omerodir, users)
        stack.callback(shutil.rmtree, omerodir, ignore_errors=True)
        server = Server(
            omerodir,
            omero=omero,
            path=search_path(),
            userdir=omerodir / "var",
            root_password="omero",
            sandbox=True,
        )
        stack.callback(server.close)
        server.environment[_ADDRESS] = addresses[MASTER]
        _add_standby(omerodir)
        listed = " ".join(f"{name}:DropBoxImporter" for name in names(nodes))
        commands = nodes * IMPORTERS + 4
        server.configure_all(
            {
                "omero.server.nodedescriptors": f"master:Blitz-0,FSServer,DropBox "
                f"{STANDBY_NODE}:{STANDBY} {listed}",
                "omero.db.poolsize": str(2 * commands),
                "omero.sandbox.workers": str(commands),
                "omero.fs.journal": f"postgresql://fs@database/postgres?{options}",
                "omero.fs.bioformatsJars": "none",
                "omero.fs.dirImportWait": "1",
                "omero.fs.importers": "0",
                "omero.fs.nodeImporters": str(IMPORTERS),
            }
        )
        server.run("admin", "start")
        stack.callback(server.stop)
        journal = Journal(there, who="the benchmark")
        stack.callback(journal.close)
        made = Site(Grid(server, there), network, journal, users)
        for name in (STANDBY_NODE, *names(nodes)):
            made.machines[name] = Machine(server, name, addresses[name])
            stack.callback(made.machines[name].close)
        yield made


def names(nodes: int) -> list[str]:
    """Those of the machines with importers."""
    return [f"node{number}" for number in range(1, nodes + 1)]


def _add_standby(omerodir: Path) -> None:
    """A second DropBox, under another name, in the templates."""
    templates = omerodir / "etc/templates/grid/templates.xml"
    text = templates.read_text(encoding="utf-8")
    (template,) = re.findall(
        r'<server-template id="DropBoxTemplate">.*?</server-template>', text, re.DOTALL
    )
    second = template.replace("DropBoxTemplate", f"{STANDBY}Template")
    second = second.replace('<server id="DropBox"', f'<server id="{STANDBY}"')
    templates.write_text(text.replace(template, template + second), encoding="utf-8")
