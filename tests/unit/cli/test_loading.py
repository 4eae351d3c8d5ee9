"""A command loads only what it needs: each module costs whoever waits for the command."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("sqlalchemy", "rich", "omero_fs_plugin.cli.page", "omero_fs_plugin.dropbox.settling")
NEEDED = {"config": ("rich",)}  # its table


@pytest.mark.parametrize("name", ["status", "explain", "receipt", "report", "config", "reload"])
def test_a_command_loads_only_what_it_needs(name: str) -> None:
    program = f"import sys, omero_fs_plugin.cli.{name}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert f"omero_fs_plugin.cli.{name}" in loaded
    assert not loaded & {*SLOW} - {*NEEDED.get(name, ())}
