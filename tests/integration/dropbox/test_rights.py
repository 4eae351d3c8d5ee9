"""Runs rights.py: one case after the other, each in a mount namespace of its own.

All together: pytest tests/integration/dropbox/test_rights.py -rP
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.hanging import alone

CASES = ["files[an access list]"]
LONG = [
    *("files[a squashed root]", "files[a quota]"),
    *("directories[entered and not listed]", "directories[listed in part]"),
    "directories[listed and not entered]",
    *(f"originals_that_may_not_be_removed[{how}]" for how in ("read-only", "an access list")),
    "originals_of_one_whose_quota_is_used_up",
]
PATIENCE = 180.0  # s


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.long) for case in LONG)]
)
def test_a_share_refuses(case: str) -> None:
    module = Path(__file__).with_name("rights.py")
    printed = alone.run(module, "-s", only=f"test_{case}", patience=PATIENCE)
    told = (line for line in printed.splitlines(keepends=True) if line.startswith("measured"))
    sys.stdout.writelines(told)
