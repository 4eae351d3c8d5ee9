"""Runs in_namespace.py where mounts can be made and limits lowered, and nobody else is hurt.

User and mount namespaces are Linux's, and some systems deny them to all but root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).with_name("in_namespace.py")
TOP = TESTS.parents[2]
INSIDE = ["unshare", "--user", "--map-root-user", "--mount"]


def test_mounts_and_limits(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed")
    if subprocess.run([*INSIDE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/inside"]
    done = subprocess.run(
        [*INSIDE, sys.executable, "-m", "pytest", *options, str(TESTS)],
        cwd=TOP,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
