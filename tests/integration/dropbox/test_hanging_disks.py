"""Runs hanging_disks.py: one case after the other, each in a process that a hang may cost.

All together: pytest tests/integration/dropbox/test_hanging_disks.py -rP
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.hanging import alone

CASES = [
    *("meet[below one root]", "upload[below one root]", "new_processes"),
    *("group", "rescan", "stop[upload]", "lost[upload-errors]", "lost[meet-it dies]"),
]
CASES += ["store[uploaded-small]"]
LONG = [
    *("store[met-small]", "store[met-large]", "store[uploaded-large]", "store[its metadata-small]"),
    *("store[its metadata-large]", "store[known-small]", "store[known-large]"),
    *("meet[a root of his own]", "settle", "link_in_place", "remove", "upload[a root of his own]"),
    *("group_by_bioformats[killable]", "group_by_bioformats[not even killable]"),
    *("upload_of_many_users", "quarantine", "sidecar", "start", "reload"),
    *("lost[meet-errors]", "lost[group-errors]", "lost[remove-errors]", "lost[rescan-errors]"),
    *("lost[group-it dies]", "lost[upload-it dies]"),
    *(
        "lost[rescan-it dies]",
        "lost[remove-it dies]",
        "stop[meet]",
        "stop[group]",
        "stop[remove]",
        "stop[rescan]",
    ),
]
PATIENCE = 240.0  # s


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.long) for case in LONG)]
)
def test_a_share_hangs(case: str) -> None:
    module = Path(__file__).with_name("hanging_disks.py")
    printed = alone.run(module, "-s", only=f"test_{case}", patience=PATIENCE)
    told = (line for line in printed.splitlines(keepends=True) if line.startswith("measured"))
    sys.stdout.writelines(told)
