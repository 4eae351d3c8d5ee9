"""Each command as a real second account: one line that says whom to be, and the documented code.

Only root can become other accounts.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminals import Terminal

OMERO = str(Path(sys.executable).with_name("omero"))
LIMIT_S = 120.0
MAKE = """
import sys
from pathlib import Path
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.sandbox.create import create
create(Path(sys.argv[1]))
Journal(f"sqlite:///{sys.argv[1]}/data/omero-fs-journal.sqlite").close()
"""
SERVER, OTHER = "daemon", "nobody"  # accounts that every Debian has

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv here"),
]


def as_account(name: str, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    account = pwd.getpwnam(name)
    return subprocess.run(
        [
            "setpriv",
            *(f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"),
            *command,
        ],
        env={
            "PATH": os.defpath,
            "HOME": str(home),
            "OMERODIR": str(home / "omero"),
            "OMERO_USERDIR": str(home / name),
        },
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    # Not below pytest's own directory, which is closed to others.
    home = Path("/tmp") / f"omero-fs-account-{os.getpid()}"
    home.mkdir()
    shutil.chown(home, SERVER)
    (home / OTHER).mkdir()
    shutil.chown(home / OTHER, OTHER)
    made = as_account(SERVER, home, sys.executable, "-c", MAKE, str(home / "omero"))
    assert made.returncode == 0, made
    (home / "omero/data/DropBox/amy").chmod(0o700)
    yield home
    shutil.rmtree(home)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("explain 5", 4),
        ("forget 5", 4),
        ("report --html", 4),
        ("journal copy sqlite:////tmp/none.sqlite", 4),
        ("import {file}", 2),
        ("import --dry-run {file}", 2),
        ("receipt {file}", 2),
        ("reload", 2),
        ("uninstall", 2),
    ],
)
def test_one_line_says_whom_to_be(home: Path, command: str, code: int) -> None:
    file = home / "omero/data/DropBox/amy/a.tif"
    done = as_account(OTHER, home, OMERO, "fs", *command.format(file=file).split())
    assert done.returncode == code, done
    assert len(done.stderr.splitlines()) == 1 and not done.stdout, done
    assert "run this as " in done.stderr, done


@pytest.mark.parametrize("what", ["5", "{file}", "--user amy"])
def test_explain_says_it_on_a_terminal(home: Path, what: str) -> None:
    account = pwd.getpwnam(OTHER)
    file = home / "omero/data/DropBox/amy/a.tif"
    words = ["fs", "explain", *what.format(file=file).split()]
    command = [
        str(shutil.which("setpriv")),
        *(f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"),
        *(OMERO, *words),
    ]
    environment = {
        "PATH": os.defpath,
        "HOME": str(home),
        "OMERODIR": str(home / "omero"),
        "OMERO_USERDIR": str(home / OTHER),
    }
    with Terminal(command, environment, where="/", patience=LIMIT_S) as screen:
        assert screen.wait() == 4
        assert len(screen.written) == 1, screen.text
        assert f"run this as {SERVER}, the user that OMERO.server runs as" in screen.written[0]


def test_status_says_it_too(home: Path) -> None:
    done = as_account(OTHER, home, OMERO, "fs", "status")
    assert done.returncode == 3, done
    assert f"Permission denied: run this as {SERVER}" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
