"""The benchmark of the audit at its smallest: its questions grow with pages and with no fileset.

The pages are smaller too: what ten of them cost here is a fifth of what 200,000 filesets cost.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.audit import runs
from omero_fs_plugin.blitz import inventory
from omero_fs_plugin.dropbox.audit import directories, filesets, ghosts

SMALLER = 1000  # 200 filesets
MOST = 20  # in a page
PAGES = runs.FILESETS // SMALLER // MOST
PAGES_OF_ALL = runs.FILESETS // inventory.MOST


def test_the_questions_of_a_large_audit_fit_into_five_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (inventory, filesets, ghosts):
        monkeypatch.setattr(module, "MOST", MOST)
    for module in (inventory, filesets):
        monkeypatch.setattr(module, "FILES", 2 * MOST + 1)
    monkeypatch.setattr(directories, "_AT_ONCE", MOST // 2)
    outcome = runs.measure(tmp_path, SMALLER)
    figures = {figure.text: figure for figure in outcome.figures}
    questions = figures["questions to OMERO"].value
    assert 2 * PAGES <= questions <= runs.QUESTIONS * PAGES / PAGES_OF_ALL
    waited = figures["time with one question a second"].value
    assert waited >= questions - 1, "each a second after the one before"
