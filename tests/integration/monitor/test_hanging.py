"""Runs hanging_below.py, in a mount namespace of its own and a process that a hang may cost.

With what was measured: pytest tests/integration/monitor/test_hanging.py -rP
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.integration.hanging import alone


def test_a_share_below_that_hangs() -> None:
    printed = alone.run(Path(__file__).with_name("hanging_below.py"), "-s", "-v", patience=400)
    told = (line for line in printed.splitlines(keepends=True) if "measured" in line)
    sys.stdout.writelines(told)
