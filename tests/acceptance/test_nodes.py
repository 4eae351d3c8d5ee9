"""`make bench-nodes` in a short form: machines of one grid import together, and survive blows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.filesets.relay import possible
from tests.conftest import EXTERNAL

TOP = Path(__file__).parents[2]
PATIENCE_S = 900.0  # the claims of the dead are waited for


@pytest.mark.skipif(EXTERNAL in os.environ, reason="it has a grid of its own")
@pytest.mark.long
def test_machines_of_one_grid_lose_none_and_import_none_twice(tmp_path: Path) -> None:
    """Four icegridnodes with importers, one with a standby; machines and links are cut."""
    if os.geteuid() == 0:
        pytest.skip("`omero` refuses to run as root")
    if why := possible():
        pytest.skip(f"no networks of our own here: {why}")
    report = tmp_path / "nodes.rst"
    command = [sys.executable, "-m", "tests.acceptance.nodes", "--output", str(report)]
    short = ["--filesets", "240", "--users", "4", "--window", "8", "--blows", "20"]
    done = subprocess.run(
        [*command, *short],
        cwd=TOP,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    told = {line.split("  ")[0].strip(): line for line in report.read_text().splitlines() if line}
    for what in ("missing in OMERO", "twice in OMERO"):
        assert told[what].split()[3] == "0", told[what]
