"""Which `omero` the acceptance suite runs a given server with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.acceptance.server import COMMAND, Server, installed


def _command(directory: Path) -> Path:
    directory.mkdir(parents=True)
    command = directory / "omero"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    return command


def test_the_installed_one_and_not_that_of_the_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers ran on the checkout's virtual environment, which stood first on PATH."""
    command = _command(tmp_path / "site" / "bin")
    own = str(Path(sys.executable).parent)
    monkeypatch.delenv(COMMAND, raising=False)
    monkeypatch.setenv("PATH", os.pathsep.join([own, str(command.parent), "/usr/bin"]))
    found, path = installed()
    assert found == str(command)
    assert path.split(os.pathsep)[0] == str(command.parent)
    assert own not in path.split(os.pathsep)


def test_the_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = _command(tmp_path / "venv3" / "bin")
    monkeypatch.setenv(COMMAND, str(command))
    found, path = installed()
    assert found == str(command)
    assert path.split(os.pathsep)[0] == str(command.parent)


def test_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(COMMAND, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match=COMMAND):
        installed()


@pytest.mark.skipif(os.geteuid() == 0, reason="omero does not run as root")
def test_a_property_that_is_taken_back_leaves_no_empty_entry(tmp_path: Path) -> None:
    """It left fifteen of them in the configuration of the server that was tried."""
    (tmp_path / "etc" / "grid").mkdir(parents=True)
    omero, path = str(Path(sys.executable).with_name("omero")), os.environ["PATH"]
    server = Server(tmp_path, omero=omero, path=path, userdir=tmp_path, root_password="")
    server.configure_all({"omero.fs.whitelist": ".tif", "omero.fs.timeToIdle": "7"})
    server.configure_all({"omero.fs.whitelist": "", "omero.fs.timeToIdle": "8"})
    written = (tmp_path / "etc" / "grid" / "config.xml").read_text(encoding="utf-8")
    assert "omero.fs.timeToIdle" in written and "omero.fs.whitelist" not in written
