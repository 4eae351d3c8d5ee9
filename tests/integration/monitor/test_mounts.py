"""Runs in_namespace.py where mounts can be made and limits lowered, and nobody else is hurt.

User and mount namespaces are Linux's, and some systems deny them to all but root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import inner

TESTS = Path(__file__).with_name("in_namespace.py")
TOP = TESTS.parents[2]
INSIDE = ["unshare", "--user", "--map-root-user", "--mount"]


def test_mounts_and_limits() -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed")
    if subprocess.run([*INSIDE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    with inner.command(str(TESTS)) as command:
        done = subprocess.run(
            [*INSIDE, *command],
            cwd=TOP,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
