"""The benchmark of a loop beside DropBox runs, at its smallest, in the sandbox of all tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import beside
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.loop import USERS
from tests.conftest import EXTERNAL

from .api import Omero
from .server import Server

COUNT = 2  # files of the loop, and as many of DropBox, one of each user


@pytest.mark.skipif(EXTERNAL in os.environ, reason="the benchmark knows sandboxes only")
def test_one_round(
    grid: Server, omero_api: Omero, run_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "SIZE", 10_000)
    sandbox = Grid.there(grid.omerodir, tmp_path)
    for user in USERS:
        sandbox.home(user).mkdir(exist_ok=True)
    try:
        rates = beside.one_round(sandbox, run_name, 1, COUNT)
        loop, ours, share = beside.figures(1, [rates[0]], [rates[1]])
        assert loop.value > 0 and ours.value > 0
        assert share.value == pytest.approx(100 * ours.value / loop.value)
        # What the loop could not import ends it, and is told.
        with pytest.raises(BenchmarkError, match="No such file"):
            beside._loop(sandbox, 1, [tmp_path / "nothing.tif"])
    finally:
        shutil.rmtree(sandbox.directory / f"loop-{run_name}", ignore_errors=True)
