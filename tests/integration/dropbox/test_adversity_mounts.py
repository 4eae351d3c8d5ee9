"""Runs mounted.py, as root or as who is root in a namespace of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests import inner


@pytest.mark.parametrize("rows", ["not long", pytest.param("long", marks=pytest.mark.long)])
def test_on_real_file_systems(tmp_path: Path, rows: str) -> None:
    alone = ["unshare", "--mount"]
    if os.geteuid() != 0:
        alone += ["--user", "--map-root-user"]
    try:
        subprocess.run([*alone, "mount", "-t", "tmpfs", "none", tmp_path], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("neither root nor user namespaces; test_adversity.py has the same, simulated")
    place = Path(__file__).with_name("mounted.py")
    with inner.command("-m", rows, str(place)) as command:
        done = subprocess.run([*alone, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
