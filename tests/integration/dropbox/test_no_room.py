"""Runs no_room.py: one case after the other, each in a mount namespace of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.hanging import alone

PATIENCE = 180.0  # s
CASES = ("journal[quota]",)
LONG = (
    "journal[full]",
    *(
        f"{what}[{how}]"
        for what in ("repository", "temporary_files", "textfile")
        for how in ("full", "quota")
    ),
)


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.long) for case in LONG)]
)
def test_there_is_no_room(case: str) -> None:
    module = Path(__file__).with_name("no_room.py")
    alone.run(module, only=f"test_{case}", patience=PATIENCE)
