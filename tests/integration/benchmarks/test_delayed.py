"""The network with a delay, and the benchmark over it at its smallest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.filesets import delayed
from benchmarks.filesets.relay import ALONE, possible

NOT_HERE = possible()


@pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE)
def test_each_packet_is_kept_for_the_delay_and_arrives() -> None:
    code = (
        "from benchmarks.filesets.relay import Behind\n"
        "for delay in (3, 20):\n"
        "    with Behind(delay) as behind:\n"
        "        print(behind.round_trip())\n"
    )
    done = subprocess.run(
        [*ALONE, sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    short, long = map(float, done.stdout.split())
    assert short >= 6
    assert long >= 40


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() == 0, reason="`omero` refuses to run as root")
@pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE)
def test_small_files_are_uploaded_over_it(tmp_path: Path) -> None:
    outcome = delayed.scenario(tmp_path, 40, 1)
    assert outcome.faults == []
    assert [figure.value > 0 for figure in outcome.figures] == [True] * 4
    assert outcome.figures[0].value >= 2 * delayed.DELAYS[0]
