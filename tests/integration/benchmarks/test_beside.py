"""The whole benchmark of a loop beside DropBox runs, with one client and few files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.dropbox import beside


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() == 0, reason="`omero` refuses to run as root")
def test_of_its_own_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "SIZE", 10_000)
    prices = {**beside.PRICES, "omero.sandbox.import_seconds": "0.1"}
    outcome = beside.scenario(tmp_path, 1, 1, several=(1,), prices=prices)
    assert outcome.faults == []
    assert [figure.value > 0 for figure in outcome.figures] == [True] * 3
    assert not (tmp_path / "sandbox").exists()
