"""Each part of `make bench-filesets` runs, at its smallest; two have tests of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.filesets import grouping, importing, large, stores
from tests import bioformats

FILES = 40
not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="`omero` refuses to run as root")


def test_grouping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bioformats.installation()
    monkeypatch.setattr(grouping, "BATCHES", 2)  # cold JVMs: one before ours and one after
    outcome = grouping.scenario(tmp_path, 10, 1, 1)
    assert outcome.faults == []
    assert all(figure.value > 0 for figure in outcome.figures)


def test_a_store_before_its_upload(tmp_path: Path) -> None:
    outcome = stores.scenario(tmp_path, FILES, 1)
    assert outcome.faults == []
    assert outcome.figures


@not_as_root
def test_importing(tmp_path: Path) -> None:
    outcome = importing.scenario(tmp_path, 3_000_000, 1)
    assert outcome.faults == []
    assert all(figure.value > 0 for figure in outcome.figures)


@pytest.mark.long  # it starts a grid, and a process for each import
@not_as_root
def test_importing_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "QUIET", 1)
    outcome = stores.imported(tmp_path, FILES, 1)
    assert outcome.faults == []
    assert outcome.figures


@pytest.mark.long  # each starts a grid, and another user's files take seconds
@pytest.mark.parametrize("kind", ["store", "plate"])
@not_as_root
def test_a_large_set_and_others(tmp_path: Path, kind: str) -> None:
    outcome = large.scenario(tmp_path, kind, FILES, large.TRANSFERS[:1])
    assert outcome.faults == []
    assert outcome.figures
