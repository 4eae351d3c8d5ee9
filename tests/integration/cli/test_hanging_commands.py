"""Runs hanging_commands.py, in a mount namespace of its own and a process that a hang may cost."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.integration.hanging import alone


def test_a_share_hangs_while_commands_look_at_it() -> None:
    printed = alone.run(Path(__file__).with_name("hanging_commands.py"), "-s", patience=200)
    told = (line for line in printed.splitlines(keepends=True) if "measured" in line)
    sys.stdout.writelines(told)
