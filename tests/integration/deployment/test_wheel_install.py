"""From a wheel in a new virtual environment: no checkout, no editable install.

What a site does, at the size of a test: build, install with the extra
`sandbox`, and see that the plugin, the grid fragment and the sandbox came
along.  zeroc-ice comes from the wheels that the set-up keeps
(OMERO_FS_WHEELS), so that nothing is compiled here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import CHECKOUT

OURS = ("install", "uninstall", "status", "import", "watch", "sandbox")
OMERO_PYS = ("images", "importtime", "logfile", "ls", "mkdir", "rename", "repos", "sets", "usage")
ACTIVE_WITHIN = 120  # s from the end of `admin start`; never waited for in full

pytestmark = pytest.mark.skipif(
    os.geteuid() == 0, reason="omero refuses to run as root; `make test` uses omero-server"
)


@dataclass(frozen=True)
class Installed:
    """A virtual environment that has the wheel."""

    venv: Path
    elsewhere: Path  # a directory to run commands in

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command with this environment's PATH and nothing of the one of the tests."""
        leaks = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "OMERODIR", "OMERO_HOME")
        environment = {key: value for key, value in os.environ.items() if key not in leaks}
        environment["PATH"] = f"{self.venv / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.elsewhere,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if check and done.returncode:
            pytest.fail(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel, made from the sdist as for a release, installed with what it asks for."""
    scratch = tmp_path_factory.mktemp("wheel")
    source = scratch / "source"
    shutil.copytree(
        CHECKOUT,
        source,
        # Other processes of tests write into their caches meanwhile, as into .hypothesis.
        ignore=shutil.ignore_patterns(
            *(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info")
        ),
    )
    here = Installed(venv=Path(sys.prefix), elsewhere=scratch)
    # The set-up of the tests has shown that pip can fetch the build backend.
    here.run("python", "-m", "build", "--no-isolation", "--outdir", scratch / "dist", source)
    (wheel,) = (scratch / "dist").glob("*.whl")
    shutil.rmtree(source)

    there = Installed(venv=scratch / "venv", elsewhere=scratch)
    here.run("python", "-m", "venv", there.venv)
    links = (
        ["--find-links", os.environ["OMERO_FS_WHEELS"]] if "OMERO_FS_WHEELS" in os.environ else []
    )
    options = ["--no-compile", *links]  # the tests load few of the modules
    there.run("pip", "install", *options, f"omero-fs-plugin[sandbox] @ {wheel.as_uri()}")
    yield there
    shutil.rmtree(there.venv)  # pytest keeps its directories for three runs


@pytest.fixture(scope="module")
def sandbox(installed: Installed) -> Iterator[Path]:
    """The OMERODIR of a sandbox made by the installed wheel; its grid is stopped at the end."""
    omerodir = installed.elsewhere / "sandbox"
    installed.run("omero", "fs", "sandbox", "create", omerodir)
    yield omerodir
    installed.run(omerodir / "bin" / "omero", "admin", "stop", "--wait", "60", check=False)
    shutil.rmtree(omerodir)  # as it stays, so do the ports that it reserved


def server_state(installed: Installed, omerodir: Path, server: str) -> str:
    """As IceGrid words it, such as `active (pid = 4711, enabled)`."""
    omero = omerodir / "bin" / "omero"
    return installed.run(
        omero, "admin", "ice", f"server state {server}", check=False
    ).stdout.strip()


def test_omero_fs_lists_its_subcommands_and_ours(installed: Installed) -> None:
    text = installed.run("omero", "fs", "-h").stdout

    listed = {
        line.split()[0] for line in text.splitlines() if line.startswith("    ") and line.split()
    }
    assert set(OURS) | set(OMERO_PYS) <= listed


def test_the_wheel_carries_the_grid_fragment(installed: Installed) -> None:
    site = Path(
        installed.run(
            "python", "-c", "import omero_fs_plugin as p; print(p.__path__[0])"
        ).stdout.strip()
    )

    assert site.is_relative_to(installed.venv)
    carried = {path.name: path.read_bytes() for path in (site / "grid").glob("*.xml")}
    assert carried == {path.name: path.read_bytes() for path in (CHECKOUT / "grid").glob("*.xml")}
    assert carried


def test_a_sandbox_made_by_the_wheel_runs_both_servers(installed: Installed, sandbox: Path) -> None:
    omero = sandbox / "bin" / "omero"
    installed.run(omero, "admin", "start")

    deadline = time.monotonic() + ACTIVE_WITHIN
    for server in ("FSServer", "DropBox"):
        while not (state := server_state(installed, sandbox, server)).startswith("active"):
            assert time.monotonic() < deadline, f"{server} is {state!r}"
            time.sleep(0.5)

    installed.run(omero, "admin", "stop", "--wait", "60")
    # It has waited until the node does not answer: that one may still be on its way out.
    deadline = time.monotonic() + ACTIVE_WITHIN
    while left := processes_with(sandbox):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def processes_with(directory: Path) -> list[str]:
    """Command lines of running processes that name `directory`."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended while we looked
        if any(os.fsencode(directory) in word for word in words):
            lines.append(os.fsdecode(b" ".join(words)))
    return lines


def test_the_app_for_omero_web_came_along_with_its_pages(installed: Installed) -> None:
    def files(app: Path) -> set[str]:
        found = (one for one in app.rglob("*") if one.is_file() and one.suffix != ".pyc")
        return {str(one.relative_to(app)) for one in found}

    (there,) = installed.venv.glob("lib/python3*/site-packages/omero_fs_web")
    assert files(there) == files(CHECKOUT / "omero_fs_web")
