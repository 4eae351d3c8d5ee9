"""DropBox is killed in the middle of an upload, on a grid whose router keeps sessions apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.filesets import resumed


# The import of a large set has a process of its own.
@pytest.mark.parametrize(
    "files",
    [
        pytest.param(630, id="in DropBox", marks=pytest.mark.long),
        pytest.param(1_260, id="in its own process"),
    ],
)
@pytest.mark.skipif(os.geteuid() == 0, reason="`omero` refuses to run as root")
def test_an_upload_that_a_kill_cut_off_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    monkeypatch.setattr(resumed, "_LOOK", 0.02)
    outcome = resumed.scenario(tmp_path, files)
    assert outcome.faults == []
