"""The drop-in for systemd's omero-server.service, as systemd itself reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DROP_IN = Path(__file__).parents[3] / "deploy" / "systemd" / "omero-fs.conf"
_SERVICE = """[Unit]
Description=OMERO.server
[Service]
Type=forking
ExecStart=/bin/true
"""


def verified(tmp_path: Path, drop_in: str) -> str:
    """What `systemd-analyze verify` says against a service with this drop-in."""
    service = tmp_path / "omero-server.service"
    service.write_text(_SERVICE, encoding="utf-8")
    directory = tmp_path / "omero-server.service.d"
    directory.mkdir()
    (directory / "omero-fs.conf").write_text(drop_in, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(service)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = done.stdout + done.stderr
    return "\n".join(line for line in told.splitlines() if "omero" in line)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_understands_it(tmp_path: Path) -> None:
    """Of its programs only the path is ours to correct: here there is no such OMERO."""
    text = DROP_IN.read_text(encoding="utf-8")
    here = text.replace("/opt/omero/server/venv3/bin/omero", "/bin/true")
    assert here != text
    assert verified(tmp_path, here) == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_a_mistake_would_be_seen(tmp_path: Path) -> None:
    assert "ExecStartBefore" in verified(tmp_path, "[Service]\nExecStartBefore=/bin/true\n")
