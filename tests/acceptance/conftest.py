"""A running OMERO.server for the whole session, and places to drop files into.

With OMERO_FS_ACCEPTANCE_OMERODIR set (and OMERO_ROOT_PASSWORD) that server is
tested: it must be set aside for tests, and they must run as the user it runs
as.  FSServer and DropBox must be in its grid (`omero fs install`).  Without,
a sandbox is made for this run and removed after it.

OMERO_FS_ACCEPTANCE_OMERO is the `omero` that the server runs with; else the first
on PATH that is not the tests' own.  OMERO_FS_ACCEPTANCE_HOST (localhost) is where
its router listens, and OMERO_FS_ACCEPTANCE_PATIENCE (240) the seconds that anything
may take.  What takes longer the more files there are may take as much more as a few
imports at the start took each.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import EXTERNAL

from .api import Omero
from .dropping import DropBox
from .server import Server, installed, made_sandbox, search_path

QUIET_PERIOD = 2  # s
USERS = ("amy", "zak")
MOODS = "moods.json"  # of a sandbox, in omero.data.dir
_MOODS = {"late": 3}  # s: as late as a real server is with its first logins
_WAIT = "omero.fs.dirImportWait"
_MEASURED = 5  # imports whose pace is that of the server
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server under test, configured, and stopped."""
    if os.geteuid() == 0:
        pytest.fail(
            "`omero` refuses to run as root: `make test` runs the tests as omero-server",
            pytrace=False,
        )
    userdir = tmp_path_factory.mktemp("logins")
    given = os.environ.get(EXTERNAL)
    if given:
        yield from _given(Path(given), userdir)
    else:
        yield from _sandbox(tmp_path_factory.mktemp("omero") / "sandbox", userdir)


def _given(omerodir: Path, userdir: Path) -> Iterator[Server]:
    password = os.environ.get("OMERO_ROOT_PASSWORD")
    if not password:
        pytest.fail("OMERO_ROOT_PASSWORD is not set", pytrace=False)
    omero, path = installed()
    server = Server(
        omerodir.resolve(), omero=omero, path=path, userdir=userdir, root_password=password
    )
    before, was_running = server.config(_WAIT), server.is_running()
    if was_running:
        server.stop()
    server.configure(_WAIT, str(QUIET_PERIOD))
    try:
        yield server
    finally:
        if server.is_running():
            server.stop()
        server.configure(_WAIT, before)
        if was_running:
            server.run("admin", "start")


def _sandbox(omerodir: Path, userdir: Path) -> Iterator[Server]:
    omero = made_sandbox(omerodir)
    try:
        (omerodir / "data" / MOODS).write_text(json.dumps(_MOODS))
        server = Server(
            omerodir,
            omero=omero,
            path=search_path(),
            userdir=userdir,
            root_password="omero",
            sandbox=True,
        )
        try:
            server.configure(_WAIT, str(QUIET_PERIOD))
            yield server
        finally:
            if server.is_running():
                server.stop()
            server.close()
    finally:
        shutil.rmtree(omerodir)


@pytest.fixture(scope="session")
def grid(server: Server) -> Server:
    """The server, started once for all tests; who stops it starts it again."""
    server.start()
    return server


@pytest.fixture(scope="session")
def config(server: Server) -> dict[str, str]:
    """What `omero config get` tells."""
    return server.whole_config()


@pytest.fixture(scope="session")
def omero_api(grid: Server, config: dict[str, str]) -> Iterator[Omero]:
    """Root's questions to OMERO; the users of the tests are there."""
    port = int(config.get("omero.ports.prefix", "") + config.get("omero.ports.ssl", "4064"))
    host = os.environ.get("OMERO_FS_ACCEPTANCE_HOST", "localhost")
    omero = Omero(host, port, grid.root_password)
    for name in USERS:
        omero.need_user(name)
    yield omero
    omero.close()


@pytest.fixture(scope="session")
def watch_dir(config: dict[str, str]) -> Path:
    """The DropBox: its subdirectories bear the users' names."""
    below = config.get("omero.fs.defaultDropBoxDir") or "DropBox"
    given = config.get("omero.fs.watchDir")
    return Path(given) if given else Path(config.get("omero.data.dir", "/OMERO")) / below


@pytest.fixture
def moods(config: dict[str, str]) -> Iterator[Callable[..., None]]:
    """Sets the moods of a sandbox while it runs; a real server has its own."""
    if os.environ.get(EXTERNAL):
        pytest.skip("the server under test has moods of its own")
    file = Path(config["omero.data.dir"]) / MOODS

    def write(**moods: object) -> None:
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({**_MOODS, **moods}))
        fresh.replace(file)

    yield write
    write()


@pytest.fixture(scope="session")
def run_name() -> str:
    """Part of the names of what this run makes, and of nothing else."""
    return f"acceptance-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def ledger() -> dict[Path, int]:
    """Every file that a test checked, and how often it must be imported at the end of the run."""
    return {}


@pytest.fixture(scope="session")
def new_dropbox(
    grid: Server, omero_api: Omero, watch_dir: Path, run_name: str, ledger: dict[Path, int]
) -> Iterator[Callable[..., DropBox]]:
    """Makes DropBoxes, directories of a user's.

    What is dropped there stays to the end of the run: a restart finds it all again.
    """
    made: list[Path] = []

    def make(user: str = "amy", label: str = "") -> DropBox:
        name = re.sub(r"\W+", "-", label)[:60]
        of_user = watch_dir / user
        directory = of_user / f"{run_name}-{next(_numbers)}-{name}"
        made.append(directory if of_user.exists() else of_user)
        directory.mkdir(parents=True)
        return DropBox(grid, omero_api, user, directory, ledger)

    measured = make(label="pace")
    paths = [measured.drop(f"{number}.tif") for number in range(_MEASURED)]
    begun = time.monotonic()
    measured.until_imported(*paths)
    grid.seconds_per_import = (time.monotonic() - begun) / _MEASURED
    yield make
    for directory in made:
        shutil.rmtree(directory, ignore_errors=True)  # a test may have moved it


@pytest.fixture
def dropbox(new_dropbox: Callable[..., DropBox], request: pytest.FixtureRequest) -> DropBox:
    """A directory in amy's DropBox for one test."""
    return new_dropbox("amy", request.node.name)
