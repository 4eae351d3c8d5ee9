"""The whole benchmark of isolation runs, with this checkout on both sides and few files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.isolation import importing, sides

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() == 0, reason="`omero` refuses to run as root")
def test_of_its_own_sandbox(tmp_path: Path) -> None:
    outcome = importing.scenario(tmp_path, sides.Trees(CHECKOUT, CHECKOUT), 8, 1)
    assert outcome.faults == []
    assert [figure.value > 0 for figure in outcome.figures] == [True] * 12
    assert not (tmp_path / "sandbox").exists()
