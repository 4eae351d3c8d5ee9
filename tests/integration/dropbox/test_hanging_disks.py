"""Runs hanging_disks.py: one case after the other, each in a process that a hang may cost.

All together: pytest tests/integration/dropbox/test_hanging_disks.py -rP
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.hanging import alone

CASES = [
    *("meet[below one root]", "meet[a root of his own]", "settle", "group"),
    *("group_by_bioformats[killable]", "group_by_bioformats[not even killable]"),
    *("upload[below one root]", "upload[a root of his own]", "link_in_place", "remove"),
    *("quarantine", "rescan", "sidecar", "start", "reload"),
    *("stop[meet]", "stop[group]", "stop[upload]", "stop[remove]", "stop[rescan]"),
]
PATIENCE = 100.0  # s


@pytest.mark.parametrize("case", CASES)
def test_a_share_hangs(case: str) -> None:
    module = Path(__file__).with_name("hanging_disks.py")
    printed = alone.run(module, "-s", only=f"test_{case}", patience=PATIENCE)
    told = (line for line in printed.splitlines(keepends=True) if line.startswith("measured"))
    sys.stdout.writelines(told)
