"""An OMERODIR with our servers installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.omerodirs import installed


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An OMERODIR with our servers in its templates, and data/DropBox."""
    installed(tmp_path)
    (tmp_path / "data/DropBox").mkdir(parents=True)
    return tmp_path
